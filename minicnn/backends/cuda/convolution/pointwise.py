"""1x1 convolution: every pixel is multiplied by the weight matrix, so each pass is one matrix product.

    forward       y = w @ x          (O, C) @ (C, P) for an image of P positions
    input_grad    x' = w^T @ y'
    weight_grad   w' = sum over images of y' @ x^T

Without stride and padding the factors lie in memory as cuBLAS wants them, and the first two passes copy nothing. Where
maps are small, images are gathered into one product; with a stride or padding, so are the pixels that windows meet; and
the weight gradient sums over images and positions at once. All of these are ``im2col``, whose columns are the pixels.
"""

from minicnn.backends.convolution import Problem
from minicnn.backends.cuda import seam
from minicnn.backends.cuda.convolution import im2col, thresholds
from minicnn.backends.cuda.convolution.finishing import finish
from minicnn.core.types import Array

ERROR = 5e-6  # max |y - y64| / max |y64| in float32


def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass: the kernel must be 1x1."""
    return None if p.kernel_h == p.kernel_w == 1 else f"the kernel is {p.kernel_h}x{p.kernel_w}, not 1x1"


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass: gathered pixels."""
    return 0 if which != "weight_grad" and _in_place(p) else im2col.workspace(which, p, item)


operations = im2col.operations
weight_grad = im2col.weight_grad


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


def _in_place(p: Problem) -> bool:
    """Whether the maps themselves are the factors, and large enough for a product each."""
    same = (p.in_h, p.in_w, p.top, p.left, p.stride_h, p.stride_w) == (p.out_h, p.out_w, 0, 0, 1, 1)
    return same and (p.images == 1 or p.in_h * p.in_w >= thresholds.FEW_POSITIONS)
