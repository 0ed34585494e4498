"""Layers to measure, a line each: built-in lists, and files in the same notation.

    vgg-3_2   8x256x56x56 -> 256, 3x3 padding 1
    conv1     8x3x227x227 -> 96, 11x11 stride 4         # name, input (N C H W) -> output channels, kernel
    depthwise 16x128x56x56 -> 128, 3x3 padding 1 groups 128 times 2

``stride``, ``padding`` and ``dilation`` take one number or two (``2x1``); ``times`` says how often a network has it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from minicnn.backends.convolution import Problem
from minicnn.core import checks

TILES, IMAGES = 48, 16  # what tile sizes divide: reduced shapes keep the remainders by these

_NUMBERS = r"\d+(?:x\d+)?"
_LINE = re.compile(
    r"(?P<name>\S+)\s+(?P<input>\d+x\d+x\d+x\d+)\s*->\s*(?P<out>\d+)\s*,\s*(?P<kernel>\d+x\d+)"
    rf"(?P<options>(?:\s+(?:stride|padding|dilation)\s+{_NUMBERS}|\s+(?:groups|times)\s+\d+)*)"
)
_FORM = "NAME 8x256x56x56 -> 256, 3x3 [stride S] [padding P] [dilation D] [groups G] [times K]"
_PAIRS = {"stride": "1", "padding": "0", "dilation": "1"}
_FOLDER = files("minicnn.bench") / "lists"

Pair = tuple[int, int]


@dataclass(frozen=True)
class Layer:
    """One convolution of a network."""

    name: str
    images: int
    in_channels: int
    size: Pair
    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    times: int = 1

    def __post_init__(self) -> None:
        numbers = (self.images, self.in_channels, self.out_channels, *self.size, *self.kernel, *self.stride)
        if min(*numbers, *self.dilation, self.groups, self.times) < 1:
            raise ValueError("sizes, stride, dilation, groups and times must be at least 1")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(f"groups {self.groups} must divide {self.in_channels} and {self.out_channels} channels")
        if min(self.out) < 1:
            raise ValueError(f"the kernel does not fit the padded input {self.size}")

    @property
    def out(self) -> Pair:
        """Height and width of the output."""
        sizes = zip(self.size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        height, width = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes)
        return height, width

    @property
    def problem(self) -> Problem:
        """The same layer in the numbers that the backends take."""
        channels = (self.groups, self.in_channels, self.out_channels)
        geometry = (*self.kernel, *self.stride, *self.padding, *self.dilation)
        return Problem(self.images, *channels, *self.size, *self.out, *geometry)

    @property
    def macs(self) -> int:
        """Multiply-adds of a pass by the definition, padding counted: N * O * OH * OW * C/G * KH * KW."""
        p = self.problem
        return p.images * p.out_channels * p.out_h * p.out_w * p.taps

    def bytes(self, item: int) -> int:
        """Bytes that a pass must move at least: each operand and the result once."""
        p = self.problem
        elements = 0
        for a, b, c, d in (p.x_shape, p.w_shape, p.y_shape):
            elements += a * b * c * d
        return item * elements

    @property
    def notation(self) -> str:
        """The layer's line, without its name."""
        height, width = self.size
        text = f"{self.images}x{self.in_channels}x{height}x{width} -> {self.out_channels}, {_pair(self.kernel, True)}"
        for option, default in (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1))):
            value = getattr(self, option)
            text += f" {option} {_pair(value)}" if value != default else ""
        text += f" groups {self.groups}" if self.groups > 1 else ""
        return text + (f" times {self.times}" if self.times > 1 else "")

    def reduced(self) -> "Layer":
        """A smaller layer, for a check of every output: all its channels, images and area as small as remainders allow.

        Algorithms block their loops by channels, and choose who does what by their number; fewer would run other code.
        """
        extents = (d * (k - 1) + 1 - 2 * p for k, p, d in zip(self.kernel, self.padding, self.dilation, strict=True))
        height, width = (
            _reduce(n, TILES * s, least) for n, s, least in zip(self.size, self.stride, extents, strict=True)
        )
        return replace(
            self, images=_reduce(self.images, IMAGES), size=(height, width), times=1,
        )


def _reduce(n: int, by: int, least: int = 0) -> int:
    """The smallest number with the same remainder that is at least ``by`` and ``least``; n itself if that is small."""
    small = n if n < 2 * by else by + n % by
    return small + max(0, -(-(least - small) // by)) * by


def _pair(value: Pair, both: bool = False) -> str:
    return f"{value[0]}x{value[1]}" if both or value[0] != value[1] else str(value[0])


def parse(line: str) -> Layer:
    """The layer of a line in the notation above.

    Raises
    ------
    ValueError
        If the line is not in that notation, or its numbers do not fit each other.

    Examples
    --------
    >>> from minicnn.bench.layers import parse
    >>> layer = parse("vgg-3_2 8x256x56x56 -> 256, 3x3 padding 1")
    >>> layer.out, layer.macs / 8  # multiply-adds of an image
    ((56, 56), 1849688064.0)
    """
    match = _LINE.fullmatch(line.strip())
    if not match:
        raise ValueError(f"{line.strip()!r} is no layer; a layer reads {_FORM!r}")
    images, channels, height, width = map(int, match["input"].split("x"))
    words = match["options"].split()
    options = dict(zip(words[::2], words[1::2], strict=True))
    if 2 * len(options) != len(words):
        raise ValueError(f"{line.strip()!r} gives an option twice")
    stride, padding, dilation = (_two(options.get(name, default)) for name, default in _PAIRS.items())
    groups, times = (int(options.get(name, "1")) for name in ("groups", "times"))
    try:
        return Layer(
            match["name"], images, channels, (height, width), int(match["out"]), _two(match["kernel"]), stride, padding,
            dilation, groups, times,
        )
    except ValueError as error:
        raise ValueError(f"layer {match['name']!r}: {error}") from None


def _two(text: str) -> Pair:
    first, _, second = text.partition("x")
    return int(first), int(second or first)


def built_in() -> list[str]:
    """The names of the built-in lists."""
    return sorted(entry.name.removesuffix(".txt") for entry in _FOLDER.iterdir() if entry.name.endswith(".txt"))


def load(sources: Sequence[str]) -> list[Layer]:
    """The layers of built-in lists, files and single lines, in this order.

    Raises
    ------
    ValueError
        If a source is neither, or a line in it is no layer (the message names file and line), or a name is taken.
    """
    layers: list[Layer] = []
    for source in sources:
        if "->" in source:
            layers.append(parse(source if len(source.split("->")[0].split()) > 1 else f"layer {source}"))
        elif source in built_in():
            layers += _read((_FOLDER / f"{source}.txt").read_text(encoding="utf-8"), f"{source}.txt")
        elif Path(source).is_file():
            layers += _read(Path(source).read_text(encoding="utf-8"), source)
        else:
            known = ", ".join(built_in())
            raise checks.value_error("bench", f"no list or file of layers {source!r}; there are {known}")
    names = [layer.name for layer in layers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise checks.value_error("bench", f"layers must have different names, there are two of {twice[0]!r}")
    return layers


def _read(text: str, where: str) -> list[Layer]:
    layers = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if content:
            try:
                layers.append(parse(content))
            except ValueError as error:
                raise checks.value_error("bench", f"{where}:{number}: {error}") from None
    if not layers:
        raise checks.value_error("bench", f"{where} holds no layer")
    return layers
