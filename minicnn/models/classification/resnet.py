"""ResNet: blocks that add what they compute to what they were given, in depths from 18 to 152."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from minicnn import nn, ops
from minicnn.core import checks
from minicnn.core.tensor import Tensor
from minicnn.nn import init

__all__ = ["BasicBlock", "Bottleneck", "ResNet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """The projection that gives the input the output's shape; None where it has it."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """``ReLU(x + F(x))``, F two 3 × 3 convolutions with batch normalisation; the stride is on the first.

    Parameters
    ----------
    inputs, width : int
        Maps of the input, and of both convolutions.
    stride : int
    stride_on : {"3x3", "1x1"}
        Of no effect here; as in `Bottleneck`.

    Examples
    --------
    >>> import minicnn as mc
    >>> block = mc.models.BasicBlock(8, 16, stride=2)
    >>> block(mc.zeros((1, 8, 4, 4))).shape
    (1, 16, 2, 2)
    """

    expansion = 1
    folds: ClassVar = {"conv1": "bn1", "conv2": "bn2"}

    def __init__(self, inputs: int, width: int, stride: int = 1, stride_on: str = "3x3") -> None:
        self.conv1 = _conv(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The normalisation before the addition."""
        return self.bn2

    def forward(self, input: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, width, H / stride, W / stride)."""
        x = ops.relu(self.bn1(self.conv1(input)))
        x = self.bn2(self.conv2(x))
        return ops.relu(x + (input if self.downsample is None else self.downsample(input)))


class Bottleneck(nn.Module):
    """``ReLU(x + F(x))``, F convolutions 1 × 1, 3 × 3 and 1 × 1, the last to four times as many maps.

    Parameters
    ----------
    inputs, width : int
        Maps of the input, and of the inner convolutions.
    stride : int
    stride_on : {"3x3", "1x1"}
        The convolution that takes the step: the second, as torchvision has it ("v1.5"), or the first, as in the
        paper. The weights have the same shapes.

    Examples
    --------
    >>> import minicnn as mc
    >>> block = mc.models.Bottleneck(8, 4, stride=2)
    >>> block(mc.zeros((1, 8, 4, 4))).shape
    (1, 16, 2, 2)
    """

    expansion = 4
    folds: ClassVar = {"conv1": "bn1", "conv2": "bn2", "conv3": "bn3"}

    def __init__(self, inputs: int, width: int, stride: int = 1, stride_on: str = "3x3") -> None:
        first = stride if stride_on == "1x1" else 1
        self.conv1 = _conv(inputs, width, 1, first)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride // first)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, 4 * width, 1)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(inputs, 4 * width, stride)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The normalisation before the addition."""
        return self.bn3

    def forward(self, input: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, 4 width, H / stride, W / stride)."""
        x = ops.relu(self.bn1(self.conv1(input)))
        x = ops.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return ops.relu(x + (input if self.downsample is None else self.downsample(input)))


class ResNet(nn.Module):
    """Four stages of residual blocks between a 7 × 7 stem and global average pooling.

    ===  ==========  ==========  ==========
         block       stages      parameters
    ===  ==========  ==========  ==========
    18   basic       2 2 2 2     11 689 512
    34   basic       3 4 6 3     21 797 672
    50   bottleneck  3 4 6 3     25 557 032
    101  bottleneck  3 4 23 3    44 549 160
    152  bottleneck  3 8 36 3    60 192 808
    ===  ==========  ==========  ==========

    Parameters
    ----------
    block : type
        `BasicBlock` or `Bottleneck`.
    layers : sequence of 4 int
        Blocks of each stage.
    num_classes : int
        Outputs.
    width : int
        Maps of the stem and of the first stage's inner convolutions, doubled in each further stage; 64 in the paper.
    in_channels : int
        Maps of the image.
    stride_on : {"3x3", "1x1"}
        Where bottlenecks take their step: "3x3" as torchvision ("v1.5"), "1x1" as the paper.
    zero_init_residual : bool
        Start the last scale of each block from 0, so that each block starts as ReLU of its shortcut.

    Attributes
    ----------
    conv1, bn1, layer1, layer2, layer3, layer4, fc
        Named, like everything inside the blocks, as in torchvision.

    Notes
    -----
    Convolutions start from N(0, 2 / fan_out), scales from 1, shifts from 0.

    References
    ----------
    He, Zhang, Ren, Sun, *Deep residual learning for image recognition*, CVPR 2016, table 1.
    Goyal et al., *Accurate, large minibatch SGD*, 2017, section 5.1 (last scale from 0).

    Examples
    --------
    >>> import minicnn as mc
    >>> net = mc.models.resnet18(10, width=8)
    >>> net(mc.zeros((2, 3, 64, 64))).shape
    (2, 10)
    """

    folds: ClassVar = {"conv1": "bn1"}

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        *,
        width: int = 64,
        in_channels: int = 3,
        stride_on: Literal["3x3", "1x1"] = "3x3",
        zero_init_residual: bool = False,
    ) -> None:
        if len(layers) != 4 or min(layers) < 1:
            raise checks.value_error("ResNet", f"layers must be 4 numbers of blocks, got {list(layers)}")
        if stride_on not in ("3x3", "1x1"):
            raise checks.value_error("ResNet", f"stride_on must be '3x3' or '1x1', got {stride_on!r}")
        self.in_channels, self.zero_init_residual = in_channels, zero_init_residual
        with init.skip():
            self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.relu = nn.ReLU()
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
            inputs = width
            for stage, count in enumerate(layers):
                row = nn.Sequential()
                for number in range(count):
                    step = 2 if stage and not number else 1
                    row.append(block(inputs, width << stage, step, stride_on))
                    inputs = block.expansion * (width << stage)
                self.add_module(f"layer{stage + 1}", row)
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(inputs, num_classes)
        self.reset_parameters()

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def reset_parameters(self) -> None:
        """Draw new starting values."""
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(part, nn.BatchNorm2d | nn.Linear):
                part.reset_parameters()
        if self.zero_init_residual:
            for part in self.modules():
                if isinstance(part, BasicBlock | Bottleneck) and part.last_norm.weight is not None:
                    init.zeros_(part.last_norm.weight)

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, num_classes) logits."""
        if input.ndim != 4 or input.shape[1] != self.in_channels:
            raise checks.value_error("ResNet", f"input must have shape (N, {self.in_channels}, H, W)", input=input)
        x = self.maxpool(self.relu(self.bn1(self.conv1(input))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(ops.flatten(self.avgpool(x), 1))
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Softmax cross-entropy, averaged over the batch."""
        return ops.cross_entropy(logits, labels)

    def predict(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N,) classes."""
        return ops.argmax(self(input), 1)


def resnet18(num_classes: int = 1000, **options: Any) -> ResNet:
    """18 layers; see `ResNet` for the options."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, **options)


def resnet34(num_classes: int = 1000, **options: Any) -> ResNet:
    """34 layers; see `ResNet` for the options."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, **options)


def resnet50(num_classes: int = 1000, **options: Any) -> ResNet:
    """50 layers; see `ResNet` for the options."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, **options)


def resnet101(num_classes: int = 1000, **options: Any) -> ResNet:
    """101 layers; see `ResNet` for the options."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, **options)


def resnet152(num_classes: int = 1000, **options: Any) -> ResNet:
    """152 layers; see `ResNet` for the options."""
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, **options)
