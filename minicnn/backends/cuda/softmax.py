"""Softmax and its gradient on the GPU (``kernels/softmax.cu``)."""

from math import prod

from minicnn.backends.cuda import seam
from minicnn.core.types import Array

WARP, BLOCK = 32, 256
LONG = 1024  # classes from which a block has work enough with one row
FEW = 4096  # rows from which a warp for each keeps a large GPU busy (132 multiprocessors, 32 warps on each)


def row_threads(rows: int, classes: int, positions: int) -> int:
    """How many threads share a row: a block, a warp or one (``kernels/softmax.cu`` says why)."""
    if positions > 1 or classes == 1:
        return 1
    return BLOCK if classes >= LONG and rows < FEW else WARP


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
    rows = x.size // classes
    return (rows, classes, positions), row_threads(rows, classes, positions)
