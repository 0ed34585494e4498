"""Softmax and its gradient on the GPU (``kernels/softmax.cu``)."""

from math import prod

from minicnn.backends.cuda import seam
from minicnn.core.types import Array

WARP = 32


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum(exp(x)) along ``axis``, for arrays that hold something."""
    p = seam.empty(x.shape, x.dtype)
    rows, width = _rows(x, axis)
    seam.elementwise("softmax.softmax", rows[0] * width, seam.contiguous(x), p, *rows, width)
    return p


def softmax_grad(gy: Array, y: Array, axis: int) -> Array:
    """Y * (gy - sum(gy * y)) along ``axis``; the sums in float64."""
    gx = seam.empty(y.shape, y.dtype)
    rows, width = _rows(y, axis)
    seam.elementwise("softmax.softmax_grad", rows[0] * width, seam.contiguous(gy), seam.contiguous(y), gx, *rows, width)
    return gx


def _rows(x: Array, axis: int) -> tuple[tuple[int, int, int], int]:
    """Rows, classes, positions; and how many threads share a row."""
    classes, positions = x.shape[axis], prod(x.shape[axis:][1:])
    return (x.size // classes, classes, positions), WARP if positions == 1 else 1
