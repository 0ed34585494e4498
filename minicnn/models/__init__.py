"""The networks of the lectures."""

from minicnn.models.classification import (
    MLP,
    VGG,
    BasicBlock,
    Bottleneck,
    LeNet5,
    LeNet5Softmax,
    LeNetGAP,
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    vgg11,
    vgg13,
    vgg16,
    vgg19,
)
from minicnn.models.segmentation import UNet

__all__ = [
    "MLP",
    "VGG",
    "BasicBlock",
    "Bottleneck",
    "LeNet5",
    "LeNet5Softmax",
    "LeNetGAP",
    "ResNet",
    "UNet",
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
