"""1x1 convolution: every pixel is multiplied by the weight matrix, so each pass is one matrix product.

    forward       y = w @ x          (O, C) @ (C, P) for an image of P positions
    input_grad    x' = w^T @ y'
    weight_grad   w' = sum over images of y' @ x^T

Without stride and padding the factors lie in memory as cuBLAS wants them, and nothing is copied. The weight gradient is
then a product for each image of as many as keep a GPU busy; further images add to theirs, and the parts are joined in
order. Where maps are small, images are gathered into one product; with a stride or padding, so are the pixels that
windows meet. Both are ``im2col``, whose columns are the pixels.
"""

from minicnn.backends.convolution import Problem
from minicnn.backends.cuda import seam
from minicnn.backends.cuda.convolution import im2col, thresholds
from minicnn.backends.cuda.convolution.finishing import finish, parts_of, sum_parts
from minicnn.backends.cuda.sources import sum_type
from minicnn.core.types import Array

ERROR = 5e-6  # max |y - y64| / max |y64| in float32


def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass: the kernel must be 1x1."""
    return None if p.kernel_h == p.kernel_w == 1 else f"the kernel is {p.kernel_h}x{p.kernel_w}, not 1x1"


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass: gathered pixels, or partial sums of the weight gradient."""
    if which == "weight_grad":
        return (
            _together(p) * max(4, item) * p.out_channels * p.taps
            if _sums_in_place(p)
            else im2col.workspace(which, p, item)
        )
    return 0 if _in_place(p) else im2col.workspace(which, p, item)


operations = im2col.operations


def forward(x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    if not _in_place(p):
        return im2col.forward(x, w, bias, p, relu)
    weights = w.reshape(p.groups, p.out_channels // p.groups, p.taps)
    y = seam.gemm(weights, x.reshape(p.images, p.groups, p.taps, p.in_h * p.in_w))
    return finish(y.reshape(p.y_shape), bias, relu)


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    if not _in_place(p):
        return im2col.input_grad(gy, w, p)
    outputs = p.out_channels // p.groups
    weights = w.reshape(p.groups, outputs, p.taps).transpose(0, 2, 1)
    gx = seam.gemm(weights, gy.reshape(p.images, p.groups, outputs, p.in_h * p.in_w))
    return gx.reshape(p.x_shape)


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    if not _sums_in_place(p):
        return im2col.weight_grad(gy, x, p)
    outputs, pixels, together = p.out_channels // p.groups, p.in_h * p.in_w, _together(p)
    sums = seam.empty((together, p.groups, outputs, p.taps), sum_type(gy.dtype))
    left = gy.reshape(p.images, p.groups, outputs, pixels)
    right = x.reshape(p.images, p.groups, p.taps, pixels).swapaxes(-1, -2)
    for first in range(0, p.images, together):
        some = slice(first, first + together)
        seam.gemm(left[some], right[some], sums[: p.images - first], add=first > 0)
    return sum_parts(sums, p.w_shape, gy.dtype)


def _unmoved(p: Problem) -> bool:
    """Whether the maps themselves are the factors."""
    return (p.in_h, p.in_w, p.top, p.left, p.stride_h, p.stride_w) == (p.out_h, p.out_w, 0, 0, 1, 1)


def _in_place(p: Problem) -> bool:
    """Whether the maps themselves are the factors, and large enough for a product each."""
    return _unmoved(p) and (p.images == 1 or p.in_h * p.in_w >= thresholds.FEW_POSITIONS)


def _sums_in_place(p: Problem) -> bool:
    """Whether the weight gradient has a product for each image: there are some, and a part is smaller than its maps.

    Otherwise parts would move more bytes than copies do, or one image's long sum would be a single block's.
    """
    inputs, outputs, pixels = p.taps, p.out_channels // p.groups, p.in_h * p.in_w
    tiles = -(-inputs // thresholds.TILE) * -(-outputs // thresholds.TILE)
    enough = p.images * p.groups * tiles >= thresholds.BLOCKS // 16
    return _unmoved(p) and enough and inputs * outputs <= (inputs + outputs) * pixels


def _together(p: Problem) -> int:
    """Images whose products run at once, a part of the sum for each; turns are even."""
    most = thresholds.WORKSPACE // max(1, 8 * p.out_channels * p.taps)
    turns = -(-p.images // parts_of(p.groups, p.out_channels // p.groups, p.taps, min(most, p.images)))
    return -(-p.images // turns)
