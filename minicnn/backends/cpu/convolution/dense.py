"""One window that covers the image: the convolution is a fully connected layer, one matrix product for each pass.

    forward       y = x @ w.T + bias         (N, T) @ (T, O), T = C * KH * KW
    input_grad    x' = y' @ w
    weight_grad   w' = y'.T @ x

LeNet's C5 and the first dense layer of a convolutionised classifier are of this kind. Nothing is lowered, and the
product runs over the whole batch, where ``im2col`` would multiply by one column for each image.
"""

from minicnn.backends.convolution import Problem
from minicnn.backends.cpu import arrays
from minicnn.core.types import Array

ERROR = 5e-6  # max |y - y64| / max |y64| in float32


def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass, or None."""
    covers = (p.kernel_h, p.kernel_w) == (p.in_h, p.in_w) and p.out_h == p.out_w == 1 and p.top == p.left == 0
    if not covers or p.groups > 1 or (p.dilation_h > 1 and p.in_h > 1) or (p.dilation_w > 1 and p.in_w > 1):
        return "one window without padding or groups must cover the image"
    return None


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass: none beyond what BLAS packs."""
    return 0


def operations(which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add."""
    return 2 * p.images * p.out_channels * p.out_h * p.out_w * p.taps


def forward(x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y = arrays.matmul(x.reshape(p.images, p.taps), w.reshape(p.out_channels, p.taps).T)
    if bias is not None:
        y += bias
    return (arrays.maximum(y, 0, out=y) if relu else y).reshape(p.y_shape)


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    rows = gy.reshape(p.images, p.out_channels)
    return arrays.matmul(rows, w.reshape(p.out_channels, p.taps)).reshape(p.x_shape)


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    rows = gy.reshape(p.images, p.out_channels)
    return arrays.matmul(rows.T, x.reshape(p.images, p.taps)).reshape(p.w_shape)
