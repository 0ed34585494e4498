"""Networks that name what an image shows."""

from minicnn.models.classification.lenet import LeNet5, LeNet5Softmax, LeNetGAP
from minicnn.models.classification.mlp import MLP
from minicnn.models.classification.resnet import (
    BasicBlock,
    Bottleneck,
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
)
from minicnn.models.classification.vgg import VGG, vgg11, vgg13, vgg16, vgg19

__all__ = [
    "MLP",
    "VGG",
    "BasicBlock",
    "Bottleneck",
    "LeNet5",
    "LeNet5Softmax",
    "LeNetGAP",
    "ResNet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
]
