"""VGG: depth by 3 × 3 convolutions alone, in five configurations A to E."""

from __future__ import annotations

from typing import Any, Literal

from minicnn import nn, ops
from minicnn.core import checks
from minicnn.core.tensor import Tensor
from minicnn.nn import init

__all__ = ["VGG", "vgg11", "vgg13", "vgg16", "vgg19"]

# Kernel sizes of the convolutions of the five blocks; a pooling follows each block.
_BLOCKS: dict[str, tuple[tuple[int, ...], ...]] = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
_WIDTHS = (1, 2, 4, 8, 8)  # maps of the blocks, in units of the first block's


class VGG(nn.Module):
    """A network of the paper's table 1: five blocks of convolutions, three fully connected layers.

    Each convolution keeps the size (3 × 3, padding 1; in C also 1 × 1) and is followed by ReLU; 2 × 2 pooling ends
    each block, after which the number of maps doubles up to eight times that of the first.

    ====  =======================  ===========  =================
    name  convolutions in blocks   parameters   without the head
    ====  =======================  ===========  =================
    A     1 1 2 2 2                132 863 336          9 220 480
    B     2 2 2 2 2                133 047 848          9 404 992
    C     2 2 3 3 3 (last 1 × 1)   133 638 952          9 996 096
    D     2 2 3 3 3 ("VGG-16")     138 357 544         14 714 688
    E     2 2 4 4 4 ("VGG-19")     143 667 240         20 024 384
    ====  =======================  ===========  =================

    Parameters
    ----------
    configuration : {"A", "B", "C", "D", "E"}
    num_classes : int
        Outputs.
    batch_norm : bool
        Whether batch normalisation stands between each convolution and its ReLU (not in the paper).
    width : int
        Maps of the first block; the hidden layers have 64 times as many units. 64 in the paper.
    in_channels : int
        Maps of the image.
    input_size : int
        Size for which the head is made, at least 32: it sees ``input_size // 32`` squared positions, to which maps of
        images of other sizes are averaged.
    dropout : float
        Probability of zero in the hidden layers.
    pooling : {"max", "average"}
        What ends the blocks; averages are used for the transfer of style.

    Attributes
    ----------
    features, classifier : Sequential
        Convolutions, and fully connected layers, numbered as in torchvision.
    names : dict of str to str
        Paths of the layers by their usual names: ``conv4_2``, ``relu4_2``, (``bn4_2``,) ``pool4``, ``fc6``, ...

    Notes
    -----
    Convolutions start from N(0, 2 / fan_out), fully connected layers from N(0, 0.01²), biases from 0. The paper drew
    all from N(0, 0.01²) and had to start the deeper networks from a trained A.

    References
    ----------
    Simonyan, Zisserman, *Very deep convolutional networks for large-scale image recognition*, ICLR 2015, table 1.

    Examples
    --------
    >>> import minicnn as mc
    >>> net = mc.models.VGG("D", num_classes=10, width=4, input_size=32, batch_norm=True)
    >>> net(mc.zeros((2, 3, 32, 32))).shape
    (2, 10)
    >>> net.names["conv4_2"], net.layer("conv4_2").out_channels
    ('features.27', 32)
    """

    def __init__(
        self,
        configuration: str = "D",
        num_classes: int = 1000,
        *,
        batch_norm: bool = False,
        width: int = 64,
        in_channels: int = 3,
        input_size: int = 224,
        dropout: float = 0.5,
        pooling: Literal["max", "average"] = "max",
    ) -> None:
        if configuration not in _BLOCKS:
            raise checks.value_error("VGG", f"configuration must be one of {', '.join(_BLOCKS)}, got {configuration!r}")
        if pooling not in ("max", "average"):
            raise checks.value_error("VGG", f"pooling must be 'max' or 'average', got {pooling!r}")
        if input_size < 32:
            raise checks.value_error("VGG", f"input_size must be at least 32, got {input_size}")
        self.configuration, self.in_channels = configuration, in_channels
        self.names: dict[str, str] = {}
        side, hidden = input_size // 32, 64 * width
        with init.skip():
            self.features = self._blocks(in_channels, width, batch_norm, pooling)
            self.avgpool = nn.AdaptiveAvgPool2d((side, side))
            self.classifier = nn.Sequential(
                nn.Linear(_WIDTHS[-1] * width * side * side, hidden), nn.ReLU(), nn.Dropout(dropout),
                nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout),
                nn.Linear(hidden, num_classes),
            )  # fmt: skip
        places = {"fc6": 0, "relu6": 1, "fc7": 3, "relu7": 4, "fc8": 6}
        self.names |= {name: f"classifier.{place}" for name, place in places.items()}
        self.reset_parameters()

    def _blocks(self, channels: int, width: int, batch_norm: bool, pooling: str) -> nn.Sequential:
        features = nn.Sequential()

        def add(name: str, layer: nn.Module) -> None:
            self.names[name] = f"features.{len(features)}"
            features.append(layer)

        for block, (kernels, times) in enumerate(zip(_BLOCKS[self.configuration], _WIDTHS, strict=True), 1):
            for number, kernel in enumerate(kernels, 1):
                add(f"conv{block}_{number}", nn.Conv2d(channels, times * width, kernel, padding=kernel // 2))
                channels = times * width
                if batch_norm:
                    add(f"bn{block}_{number}", nn.BatchNorm2d(channels))
                add(f"relu{block}_{number}", nn.ReLU())
            add(f"pool{block}", nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2))
        return features

    def reset_parameters(self) -> None:
        """Draw new starting values."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                if isinstance(layer, nn.Conv2d):
                    init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                else:
                    init.normal_(layer.weight, 0.0, 0.01)
                if layer.bias is not None:
                    init.zeros_(layer.bias)
            elif isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()

    def layer(self, name: str) -> Any:
        """The layer of a usual name, such as ``conv4_2`` or ``fc7``.

        Raises
        ------
        ValueError
            If the configuration has no such layer.
        """
        if name not in self.names:
            message = f"configuration {self.configuration} has no layer {name!r}; it has {', '.join(self.names)}"
            raise checks.value_error("VGG", message)
        return self.get_submodule(self.names[name])

    def activations(self, input: Tensor, names: list[str]) -> dict[str, Tensor]:
        """Outputs of named layers of the blocks, with their history; nothing behind the last of them is computed.

        Parameters
        ----------
        input : Tensor (N, in_channels, H, W)
        names : list of str
            Such as ``["relu3_3", "pool4"]``.
        """
        self._check(input)
        wanted = {id(self.layer(name)): name for name in names}
        found: dict[str, Tensor] = {}
        for layer in self.features:
            if len(found) == len(wanted):
                break
            input = layer(input)
            if id(layer) in wanted:
                found[wanted[id(layer)]] = input
        if len(found) < len(wanted):
            outside = [name for name in names if name not in found]
            raise checks.value_error("VGG.activations", f"{', '.join(outside)} are not among the convolutions' layers")
        return {name: found[name] for name in names}

    def _check(self, input: Tensor) -> None:
        if input.ndim != 4 or input.shape[1] != self.in_channels or min(input.shape[2:]) < 32:
            wanted = f"(N, {self.in_channels}, H, W) with H and W at least 32"
            raise checks.value_error("VGG", f"input must have shape {wanted}", input=input)

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, num_classes) logits."""
        self._check(input)
        maps = self.avgpool(self.features(input))
        logits: Tensor = self.classifier(ops.flatten(maps, 1))
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Softmax cross-entropy, averaged over the batch."""
        return ops.cross_entropy(logits, labels)

    def predict(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N,) classes."""
        return ops.argmax(self(input), 1)


def vgg11(num_classes: int = 1000, **options: Any) -> VGG:
    """Configuration A; see `VGG` for the options."""
    return VGG("A", num_classes, **options)


def vgg13(num_classes: int = 1000, **options: Any) -> VGG:
    """Configuration B; see `VGG` for the options."""
    return VGG("B", num_classes, **options)


def vgg16(num_classes: int = 1000, **options: Any) -> VGG:
    """Configuration D; see `VGG` for the options."""
    return VGG("D", num_classes, **options)


def vgg19(num_classes: int = 1000, **options: Any) -> VGG:
    """Configuration E; see `VGG` for the options."""
    return VGG("E", num_classes, **options)
