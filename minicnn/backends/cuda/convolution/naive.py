"""The definition: seven loops per pass, one thread for each element of the result (``kernels/convolution.cu``).

Slow, and meant to be checked by eye; every other algorithm must equal it. Sums run in float64 whatever the dtype.
"""

from minicnn.backends.convolution import Problem
from minicnn.backends.cuda import seam
from minicnn.core.types import Array

ERROR = 1e-7  # max |y - y64| / max |y64| in float32


def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass (``forward``, ``input_grad``, ``weight_grad``); it can do all."""
    return None


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass: none."""
    return 0


def operations(which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add."""
    return 2 * p.images * p.out_channels * p.out_h * p.out_w * p.taps


def forward(x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y = seam.empty(p.y_shape, x.dtype)
    seam.elementwise("convolution.forward", y.size, x, w, bias, y, *p, relu, y.size)
    return y


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx = seam.empty(p.x_shape, gy.dtype)
    seam.elementwise("convolution.input_grad", gx.size, gy, w, gx, *p, gx.size)
    return gx


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    gw = seam.empty(p.w_shape, gy.dtype)
    seam.elementwise("convolution.weight_grad", gw.size, gy, x, gw, *p, gw.size)
    return gw
