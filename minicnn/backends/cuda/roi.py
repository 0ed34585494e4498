"""RoI max-pooling with flat indices, RoIAlign with its adjoint, and the scatter that belongs to the indices.

Boxes are rows ``(image, x1, y1, x2, y2)``, float64 and contiguous when the kernels get them (``kernels/roi.cu``). Both
adjoints are deterministic: the scatter sorts, the other one gathers. ``*_atomic`` are the faster ones that are not.
"""

from math import prod

import numpy as np

from minicnn.backends.cuda import indexing, seam, sources
from minicnn.core.types import Array, Shape

_CHANNELS = 16  # that one thread of the adjoint adds up: CHANNELS of roi.cu


def _boxes(boxes: Array) -> Array:
    return seam.contiguous(boxes).astype(np.float64, copy=False)


def roi_pool(x: Array, boxes: Array, size: Shape, scale: float, overlap: bool) -> tuple[Array, Array]:
    """Maximum over each bin of each box, and its flat index in ``x`` (-1 for an empty bin, worth 0)."""
    y = seam.empty((boxes.shape[0], x.shape[1], *size), x.dtype)
    index = seam.empty(y.shape, np.int64)
    args = seam.contiguous(x), _boxes(boxes), y, index, scale, overlap, *x.shape[1:], *size, y.size
    seam.elementwise("roi.roi_pool", y.size, *args)
    return y, index


def gather_bins(x: Array, index: Array) -> Array:
    """``x`` at flat indices, 0 where the index is -1."""
    y = seam.empty(index.shape, x.dtype)
    seam.elementwise("roi.gather_bins", y.size, seam.contiguous(x), seam.contiguous(index), y, y.size)
    return y


def scatter_bins(gy: Array, index: Array, shape: Shape) -> Array:
    """Adjoint of :func:`gather_bins`: every bin's value is added to its cell."""
    return indexing.add_flat(gy, index, prod(shape)).reshape(shape)


def scatter_bins_atomic(gy: Array, index: Array, shape: Shape) -> Array:
    """:func:`scatter_bins` without the sort, in an order that changes from run to run."""
    return indexing.add_rows_atomic(gy.reshape(-1, 1), index.reshape(-1), prod(shape)).reshape(shape)


def roi_align(
    x: Array, boxes: Array, size: Shape, scale: float, aligned: bool, sampling: int, chosen: Array | None
) -> Array:
    """Mean over each bin's samples, or the one sample ``chosen`` for it."""
    y = seam.empty((boxes.shape[0], x.shape[1], *size), x.dtype)
    options = scale, aligned, sampling, *x.shape[1:], *size, y.size
    seam.elementwise("roi.roi_align", y.size, seam.contiguous(x), _boxes(boxes), _picks(chosen), y, *options)
    return y


def roi_align_choice(x: Array, boxes: Array, size: Shape, scale: float, aligned: bool, sampling: int) -> Array:
    """Which sample of each bin is the greatest (the first among equals; -1 where a bin has none)."""
    chosen = seam.empty((boxes.shape[0], x.shape[1], *size), np.int64)
    options = scale, aligned, sampling, *x.shape[1:], *size, chosen.size
    seam.elementwise("roi.roi_align_choice", chosen.size, seam.contiguous(x), _boxes(boxes), chosen, *options)
    return chosen


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
        seam.elementwise("roi.roi_align_axis", low.size, *args, real=gy.dtype)
        matrices.append(matrix)
        spans += [xp.min(low, axis=1), xp.max(high, axis=1)]
    order, first, stop = indexing.runs(rows[:, 0], images)
    gx = seam.empty(shape, gy.dtype)
    count = images * -(-channels // _CHANNELS) * prod(size)
    arrays = (
        seam.contiguous(gy),
        rows,
        _picks(chosen),
        *matrices,
        seam.contiguous(xp.stack(spans, axis=1)),
        order,
        first,
        stop,
        gx,
    )
    seam.elementwise("roi.roi_align_adjoint", count, *arrays, *options, channels, *size, *gy.shape[2:], count)
    return gx


def roi_align_adjoint_atomic(
    gy: Array, boxes: Array, shape: Shape, scale: float, aligned: bool, sampling: int, chosen: Array | None
) -> Array:
    """:func:`roi_align_adjoint` as a scatter, which does no more work than there are samples, in any order."""
    gx = seam.xp().zeros(shape, gy.dtype)
    options = scale, aligned, sampling, *shape[1:], *gy.shape[2:], gy.size
    args = seam.contiguous(gy), _boxes(boxes), _picks(chosen), gx, *options
    seam.elementwise("roi.roi_align_adjoint_atomic", gy.size, *args)
    return gx


def _picks(chosen: Array | None) -> Array | None:
    return None if chosen is None else seam.contiguous(chosen)
