"""RoI max-pooling with flat indices, RoIAlign, and the adjoints of both.

Boxes are rows ``(image, x1, y1, x2, y2)``, float64 and contiguous when the kernels get them (``kernels/roi.cu``,
``kernels/roi_align.cu``). The adjoints gather and are deterministic; their variants ``*_atomic`` scatter
and are not.
"""

from math import prod

import numpy as np

from minicnn.backends.cuda import indexing, seam, sources
from minicnn.core.dtypes import is_float
from minicnn.core.types import Array, Shape

_FEW = 8  # channels that share a thread: CHANNELS of roi.cu, FEW of roi_align.cu
_CHANNELS = 16  # that one thread of RoIAlign's adjoint adds up: CHANNELS of roi_align.cu
_BLOCK = 256


def _boxes(boxes: Array) -> Array:
    return seam.contiguous(boxes).astype(np.float64, copy=False)


def box_fault(boxes: Array, images: int) -> int:
    """1 where a number is not finite, 2 where one of the first column is none of the images, 0 where all is well."""
    if not boxes.size:
        return 0
    rows = seam.contiguous(boxes) if is_float(boxes.dtype) else _boxes(boxes)
    fault = seam.empty((), np.int32)
    seam.launch("roi.box_fault", 1, _BLOCK, rows, fault, images, rows.size)
    return int(fault)  # the only number that is waited for


def roi_pool(x: Array, boxes: Array, size: Shape, scale: float, overlap: bool) -> tuple[Array, Array]:
    """Maximum over each bin of each box, and its flat index in ``x`` (-1 for an empty bin, worth 0)."""
    return _pooled("roi.roi_pool", _FEW, x, boxes, size, scale, overlap)


def roi_pool_1(x: Array, boxes: Array, size: Shape, scale: float, overlap: bool) -> tuple[Array, Array]:
    """:func:`roi_pool` with one thread for each number."""
    return _pooled("roi.roi_pool_1", 1, x, boxes, size, scale, overlap)


def _pooled(
    kernel: str, each: int, x: Array, boxes: Array, size: Shape, scale: float, overlap: bool
) -> tuple[Array, Array]:
    y = seam.empty((boxes.shape[0], x.shape[1], *size), x.dtype)
    index = seam.empty(y.shape, np.int64)
    count = _threads(y.shape, each)
    args = seam.contiguous(x), _boxes(boxes), y, index, scale, overlap, *x.shape[1:], *size, count
    seam.elementwise(kernel, count, *args)
    return y, index


def _threads(shape: Shape, each: int) -> int:
    """One for each bin and so many channels of outputs (boxes, channels, rows, columns)."""
    boxes, channels, rows, columns = shape
    return boxes * -(-channels // each) * rows * columns


def gather_bins(x: Array, index: Array) -> Array:
    """``x`` at flat indices, 0 where the index is -1."""
    y = seam.empty(index.shape, x.dtype)
    seam.elementwise("roi.gather_bins", y.size, seam.contiguous(x), seam.contiguous(index), y, y.size)
    return y


def roi_pool_adjoint_atomic(gy: Array, boxes: Array, index: Array, shape: Shape, scale: float, overlap: bool) -> Array:
    """:func:`roi_pool_adjoint` as a scatter, in an order that changes from run to run."""
    return indexing.add_rows_atomic(gy.reshape(-1, 1), index.reshape(-1), prod(shape)).reshape(shape)


@seam.or_atomic(roi_pool_adjoint_atomic)
def roi_pool_adjoint(gy: Array, boxes: Array, index: Array, shape: Shape, scale: float, overlap: bool) -> Array:
    """Adjoint of :func:`gather_bins` at the maxima of those boxes: every cell gathers from the bins that cover it."""
    rows, (images, channels, *size) = _boxes(boxes), shape
    order, first, stop = indexing.runs(rows[:, 0], images)
    spans, gx = seam.empty((len(rows), 4), np.int64), seam.empty(shape, gy.dtype)
    seam.elementwise("roi.roi_pool_spans", len(rows), rows, order, spans, scale, len(rows))
    count = images * -(-channels // _FEW) * prod(size)
    arrays = seam.contiguous(gy), seam.contiguous(index), spans, order, first, stop, gx
    seam.elementwise("roi.roi_pool_adjoint", count, *arrays, overlap, channels, *size, *gy.shape[2:], count)
    return gx


def roi_align(
    x: Array, boxes: Array, size: Shape, scale: float, aligned: bool, sampling: int, chosen: Array | None
) -> Array:
    """Mean over each bin's samples, or the one sample ``chosen`` for it."""
    if chosen is not None:
        return roi_align_1(x, boxes, size, scale, aligned, sampling, chosen)
    y = seam.empty((boxes.shape[0], x.shape[1], *size), x.dtype)
    count = _threads(y.shape, _FEW)
    options = scale, aligned, sampling, *x.shape[1:], *size, count
    seam.elementwise("roi_align.roi_align", count, seam.contiguous(x), _boxes(boxes), y, *options)
    return y


def roi_align_1(
    x: Array, boxes: Array, size: Shape, scale: float, aligned: bool, sampling: int, chosen: Array | None
) -> Array:
    """:func:`roi_align` with one thread for each number."""
    y = seam.empty((boxes.shape[0], x.shape[1], *size), x.dtype)
    options = scale, aligned, sampling, *x.shape[1:], *size, y.size
    seam.elementwise("roi_align.roi_align_1", y.size, seam.contiguous(x), _boxes(boxes), _picks(chosen), y, *options)
    return y


def roi_align_choice(x: Array, boxes: Array, size: Shape, scale: float, aligned: bool, sampling: int) -> Array:
    """Which sample of each bin is the greatest (the first among equals; -1 where a bin has none)."""
    chosen = seam.empty((boxes.shape[0], x.shape[1], *size), np.int64)
    count = _threads(chosen.shape, _FEW)
    options = scale, aligned, sampling, *x.shape[1:], *size, count
    seam.elementwise("roi_align.roi_align_choice", count, seam.contiguous(x), _boxes(boxes), chosen, *options)
    return chosen


def roi_align_adjoint_atomic(
    gy: Array, boxes: Array, shape: Shape, scale: float, aligned: bool, sampling: int, chosen: Array | None
) -> Array:
    """:func:`roi_align_adjoint` as a scatter, which does no more work than there are samples, in any order."""
    gx = seam.xp().zeros(shape, gy.dtype)
    options = scale, aligned, sampling, *shape[1:], *gy.shape[2:], gy.size
    args = seam.contiguous(gy), _boxes(boxes), _picks(chosen), gx, *options
    seam.elementwise("roi_align.roi_align_adjoint_atomic", gy.size, *args)
    return gx


@seam.or_atomic(roi_align_adjoint_atomic)
def roi_align_adjoint(
    gy: Array, boxes: Array, shape: Shape, scale: float, aligned: bool, sampling: int, chosen: Array | None
) -> Array:
    """Adjoint of :func:`roi_align`: a map of that shape onto which every sample spreads its share."""
    xp, rows = seam.xp(), _boxes(boxes)
    if not gy.size:
        return xp.zeros(shape, gy.dtype)
    images, channels, *size = shape
    options, matrices, spans = (scale, aligned, sampling), [], []
    for low_at, bins, cells in ((2, gy.shape[2], size[0]), (1, gy.shape[3], size[1])):
        matrix = xp.zeros((len(rows), bins, cells), sources.sum_type(gy.dtype))
        low, high = (seam.empty((len(rows), bins), np.int32) for _ in range(2))
        args = rows, matrix, low, high, *options, low_at, bins, cells, low.size
        seam.elementwise("roi_align.roi_align_axis", low.size, *args, real=gy.dtype)
        matrices.append(matrix)
        spans += [xp.min(low, axis=1), xp.max(high, axis=1)]
    order, first, stop = indexing.runs(rows[:, 0], images)
    gx = seam.empty(shape, gy.dtype)
    count = images * -(-channels // _CHANNELS) * prod(size)
    given = seam.contiguous(gy), rows, _picks(chosen), *matrices, seam.contiguous(xp.stack(spans, axis=1))
    arrays = *given, order, first, stop, gx
    seam.elementwise("roi_align.roi_align_adjoint", count, *arrays, *options, channels, *size, *gy.shape[2:], count)
    return gx


def _picks(chosen: Array | None) -> Array | None:
    return None if chosen is None else seam.contiguous(chosen)
