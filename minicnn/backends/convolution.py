"""What every backend's convolution room agrees on: the numbers of one convolution, and the names of its algorithms."""

import math
from typing import NamedTuple

from minicnn.core.types import Shape

PASSES = ("forward", "input_grad", "weight_grad")
AUTO = "auto"  # the name that leaves the choice to the rules of the room
SUMMED = 5e-6  # the error, stated for float32, of a long sum in the dtype of its numbers


class Problem(NamedTuple):
    """All sizes of one 2-D convolution ``x (N, C, H, W) * w (O, C/G, KH, KW) -> y (N, O, OH, OW)``.

    ``top`` and ``left`` are the zeros before the first row and column. There is no ``bottom`` or ``right``: the output
    size is given, and whatever a window reads outside the input is zero. So one set of numbers describes ordinary,
    asymmetric ("same") and transposed convolution (``output_padding``) alike.
    """

    images: int
    groups: int
    in_channels: int
    out_channels: int
    in_h: int
    in_w: int
    out_h: int
    out_w: int
    kernel_h: int
    kernel_w: int
    stride_h: int = 1
    stride_w: int = 1
    top: int = 0
    left: int = 0
    dilation_h: int = 1
    dilation_w: int = 1

    @property
    def x_shape(self) -> Shape:
        """Shape of the convolution's input."""
        return (self.images, self.in_channels, self.in_h, self.in_w)

    @property
    def w_shape(self) -> Shape:
        """Shape of the weight."""
        return (self.out_channels, self.in_channels // self.groups, self.kernel_h, self.kernel_w)

    @property
    def y_shape(self) -> Shape:
        """Shape of the convolution's output."""
        return (self.images, self.out_channels, self.out_h, self.out_w)

    @property
    def taps(self) -> int:
        """Products summed for one output element: C/G * KH * KW."""
        return self.in_channels // self.groups * self.kernel_h * self.kernel_w

    @property
    def notation(self) -> str:
        """In the notation of ``minicnn bench conv``; ``to HxW`` where zeros are not the same on both sides."""
        sizes = "x".join(map(str, self.x_shape))
        text = f"{sizes} -> {self.out_channels}, {self.kernel_h}x{self.kernel_w}"
        options = {
            "stride": (self.stride_h, self.stride_w, 1), "padding": (self.top, self.left, 0),
            "dilation": (self.dilation_h, self.dilation_w, 1),
        }  # fmt: skip
        for option, (down, across, default) in options.items():
            if (down, across) != (default, default):
                text += f" {option} {down}" + (f"x{across}" if across != down else "")
        text += f" groups {self.groups}" if self.groups > 1 else ""
        room_h = self.in_h + 2 * self.top - self.dilation_h * (self.kernel_h - 1) - 1
        room_w = self.in_w + 2 * self.left - self.dilation_w * (self.kernel_w - 1) - 1
        usual = (room_h // self.stride_h + 1, room_w // self.stride_w + 1)
        return text + ("" if usual == (self.out_h, self.out_w) else f" to {self.out_h}x{self.out_w}")


def in_dtype(error: float, item: int) -> float:
    """What an error stated for float32 is in numbers of ``item`` bytes: both are multiples of their eps.

    In float64 nobody sums in more than float64, so there no statement is better than ``SUMMED``'s.
    """
    return max(error, SUMMED) * 2.0**-29 if item == 8 else error


def in_float32(max_error: float, item: int) -> float:
    """The float32 error up to which an algorithm keeps ``max_error`` in numbers of ``item`` bytes."""
    if item != 8:
        return max_error
    return max_error * 2.0**29 if max_error >= in_dtype(SUMMED, item) else 0.0


class Algorithms(NamedTuple):
    """The algorithm of each pass, by name, and the error that the automatic choice may trade for speed."""

    forward: str = AUTO
    input_grad: str = AUTO
    weight_grad: str = AUTO
    max_error: float = math.inf
