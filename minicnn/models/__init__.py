"""The networks of the lectures."""

from minicnn.models.classification import MLP, LeNet5, LeNet5Softmax, LeNetGAP

__all__ = ["MLP", "LeNet5", "LeNet5Softmax", "LeNetGAP"]
