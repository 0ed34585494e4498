"""Average pooling on the GPU: window means or sums, and their adjoint (``kernels/average_pooling.cu``)."""

from math import prod

from minicnn.backends.cuda import seam
from minicnn.core.types import Array, Shape
from minicnn.core.windows import Window2d

_ADAPTIVE = (0, 0, 0)  # taps, stride, padding of an axis; stride 0 stands for adaptive windows
_WIDE = 64  # elements of a window from which a block of threads shares it
_BLOCK = 128
_STRIP = 4  # rows of a thread of avg_pool2d_adjoint: ROWS of the kernel


def avg_pool2d(x: Array, window: Window2d, out: Shape, count_include_pad: bool, divisor: int | None) -> Array:
    """Window sums over the number of elements, or over a ``divisor`` of one's own (1: plain sums)."""
    area = window.kernel[0] * window.kernel[1]
    return _averages(x, out, area, _axes(window), count_include_pad, divisor)


def avg_pool2d_adjoint(gy: Array, window: Window2d, size: Shape, count_include_pad: bool, divisor: int | None) -> Array:
    """The adjoint of :func:`avg_pool2d` on inputs of ``size``."""
    return _shares(gy, size, _axes(window), count_include_pad, divisor)


def avg_pool2d_adjoint_1(
    gy: Array, window: Window2d, size: Shape, count_include_pad: bool, divisor: int | None
) -> Array:
    """:func:`avg_pool2d_adjoint` with one thread for each number."""
    return _shares(gy, size, _axes(window), count_include_pad, divisor, literal=True)


def adaptive_avg_pool2d(x: Array, out: Shape) -> Array:
    """Averages over windows ``floor(i n / out) .. ceil((i + 1) n / out)``."""
    area = (x.shape[-2] // out[0]) * (x.shape[-1] // out[1])
    return _averages(x, out, area, (*_ADAPTIVE, *_ADAPTIVE), False, None)


def adaptive_avg_pool2d_adjoint(gy: Array, size: Shape) -> Array:
    """The adjoint of :func:`adaptive_avg_pool2d` on inputs of ``size``."""
    return _shares(gy, size, (*_ADAPTIVE, *_ADAPTIVE), False, None)


def _axes(window: Window2d) -> tuple[int, ...]:
    return tuple(n for axis in zip(window.kernel, window.stride, window.padding, strict=True) for n in axis)


def _averages(x: Array, out: Shape, area: int, axes: tuple[int, ...], counted: bool, divisor: int | None) -> Array:
    y = seam.empty((*x.shape[:-2], *out), x.dtype)
    args = seam.contiguous(x), y, *x.shape[-2:], *out, *axes, counted, divisor or 0
    if area >= _WIDE:
        seam.launch("average_pooling.avg_pool2d_wide", y.size, _BLOCK, *args)
    else:
        seam.elementwise("average_pooling.avg_pool2d", y.size, *args, y.size)
    return y


def _shares(
    gy: Array, size: Shape, axes: tuple[int, ...], counted: bool, divisor: int | None, literal: bool = False
) -> Array:
    gx = seam.empty((*gy.shape[:-2], *size), gy.dtype)
    kernel = "average_pooling.avg_pool2d_adjoint_1" if literal else "average_pooling.avg_pool2d_adjoint"
    count = gx.size if literal else prod(gx.shape[:-2]) * -(-size[0] // _STRIP) * size[1]
    args = seam.contiguous(gy), gx, *size, *gy.shape[-2:], *axes, counted, divisor or 0
    seam.elementwise(kernel, count, *args, count)
    return gx
