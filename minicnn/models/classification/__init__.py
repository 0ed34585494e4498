"""Networks that name what an image shows."""

from minicnn.models.classification.lenet import LeNet5, LeNet5Softmax, LeNetGAP
from minicnn.models.classification.mlp import MLP

__all__ = ["MLP", "LeNet5", "LeNet5Softmax", "LeNetGAP"]
