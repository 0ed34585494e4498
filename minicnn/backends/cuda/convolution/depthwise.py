"""Filters of its own for each channel (``kernels/depthwise.cu``): no sum over channels, so no product of matrices.

Also with several filters a channel (groups == input channels, any number of outputs each).
"""

from minicnn.backends.convolution import Problem
from minicnn.backends.cuda import seam
from minicnn.backends.cuda.convolution import thresholds
from minicnn.backends.cuda.convolution.finishing import sum_parts
from minicnn.backends.cuda.sources import sum_type
from minicnn.core.types import Array

ERROR = 5e-6  # max |y - y64| / max |y64| in float32
RUN, THREADS, ROWS = 8, 256, 4  # as in the kernels: taps of a block, its threads, outputs of a thread


def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass, or None."""
    if p.groups != p.in_channels:
        return f"there are {p.groups} groups for {p.in_channels} input channels, not one for each"
    return None if _runs(p) <= 65535 else f"the kernel has {p.kernel_h} rows of {p.kernel_w} taps: too many"


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass: partial sums of the weight gradient."""
    return _parts(p)[0] * p.out_channels * p.taps * max(4, item) if which == "weight_grad" else 0


def operations(which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add."""
    return 2 * p.images * p.out_channels * p.out_h * p.out_w * p.taps


def forward(x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y = seam.empty(p.y_shape, x.dtype)
    if not square(p):
        seam.elementwise("depthwise.forward", y.size, x, w, bias, y, *p, relu, y.size)
        return y
    count = p.images * p.out_channels * -(-p.out_h // ROWS) * p.out_w
    seam.elementwise("depthwise.forward_square", count, x, w, bias, y, *p, relu, count)
    return y


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx = seam.empty(p.x_shape, gy.dtype)
    if not square(p):
        seam.elementwise("depthwise.input_grad", gx.size, gy, w, gx, *p, gx.size)
        return gx
    count = p.images * p.in_channels * -(-p.in_h // (ROWS if p.stride_h == 1 else 1)) * p.in_w
    seam.elementwise("depthwise.input_grad_square", count, gy, w, gx, *p, count)
    return gx


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    parts, together = _parts(p)
    sums = seam.empty((parts, *p.w_shape), sum_type(gy.dtype))
    if square(p):
        seam.launch("depthwise.weight_grad_square", (p.out_channels, parts), THREADS, gy, x, sums, *p, together)
    else:
        seam.launch("depthwise.weight_grad", (p.out_channels, _runs(p), parts), THREADS, gy, x, sums, *p, together)
    return sum_parts(sums, p.w_shape, gy.dtype)


def square(p: Problem) -> bool:
    """Whether the kernels with unrolled loops do it."""
    sizes = (p.kernel_h, p.stride_h) == (p.kernel_w, p.stride_w) and p.dilation_h == p.dilation_w == 1
    return sizes and p.kernel_h in (3, 5) and p.stride_h in (1, 2)


def _runs(p: Problem) -> int:
    """Blocks for the taps of one filter."""
    return 1 if square(p) else p.kernel_h * -(-p.kernel_w // RUN)


def _parts(p: Problem) -> tuple[int, int]:
    """Into how many parts the images are cut, and how many images each has: enough blocks, none too short."""
    wanted = max(1, thresholds.BLOCKS // max(1, p.out_channels * _runs(p)))
    least = -(-thresholds.SHORTEST_SUM * THREADS // max(1, p.out_h * p.out_w))  # images with that many for a thread
    together = max(1, -(-p.images // wanted), min(least, p.images))
    return max(1, -(-p.images // together)), together
