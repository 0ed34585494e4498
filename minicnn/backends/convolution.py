"""What every backend's convolution room agrees on: the numbers of one convolution, and the names of its algorithms."""

import math
from typing import NamedTuple

from minicnn.core.types import Shape

PASSES = ("forward", "input_grad", "weight_grad")
AUTO = "auto"  # the name that leaves the choice to the rules of the room


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


class Algorithms(NamedTuple):
    """The algorithm of each pass, by name, and the error that the automatic choice may trade for speed."""

    forward: str = AUTO
    input_grad: str = AUTO
    weight_grad: str = AUTO
    max_error: float = math.inf
