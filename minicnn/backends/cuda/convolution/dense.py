"""One window that covers the image: the convolution is a fully connected layer, one matrix product for each pass.

    forward       y = x @ w.T + bias         (N, T) @ (T, O), T = C * KH * KW
    input_grad    x' = y' @ w
    weight_grad   w' = y'.T @ x

Nothing is copied, and the products are cuBLAS's.
"""

from minicnn.backends.convolution import Problem
from minicnn.backends.cuda import seam
from minicnn.backends.cuda.convolution.finishing import finish
from minicnn.core.types import Array

ERROR = 5e-6  # max |y - y64| / max |y64| in float32


def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass, or None."""
    covers = (p.kernel_h, p.kernel_w) == (p.in_h, p.in_w) and p.out_h == p.out_w == 1 and p.top == p.left == 0
    if not covers or p.groups > 1 or (p.dilation_h > 1 and p.in_h > 1) or (p.dilation_w > 1 and p.in_w > 1):
        return "one window without padding or groups must cover the image"
    return None


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass: none beyond what cuBLAS takes."""
    return 0


def operations(which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add."""
    return 2 * p.images * p.out_channels * p.taps


def forward(x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y = seam.gemm(x.reshape(p.images, p.taps), w.reshape(p.out_channels, p.taps).T)
    return finish(y.reshape(p.y_shape), bias, relu)


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    rows = gy.reshape(p.images, p.out_channels)
    return seam.gemm(rows, w.reshape(p.out_channels, p.taps)).reshape(p.x_shape)


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    rows = gy.reshape(p.images, p.out_channels)
    return seam.gemm(rows.T, x.reshape(p.images, p.taps)).reshape(p.w_shape)
