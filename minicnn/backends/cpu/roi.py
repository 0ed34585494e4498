"""RoI max-pooling with flat indices, RoIAlign with its adjoint, and the scatter that belongs to the indices.

Boxes are rows ``(image, x1, y1, x2, y2)``, float64 and contiguous. Pooling runs over the boxes in parallel, the
scatters over the channels, each of which owns its planes: several boxes may share a cell without a race, and sums
have a fixed order.
"""

import math

import numpy as np

from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.memory import empty
from minicnn.core.types import Array, Shape


@inline
def _round(value):  # type: ignore[no-untyped-def]
    """Half away from zero, as in C; Python and NumPy round half to even."""
    return math.floor(value + 0.5) if value >= 0 else -math.floor(-value + 0.5)


@inline
def _bin(p, bins, size, start, limit, overlap):  # type: ignore[no-untyped-def]
    """Rows [low, high) of bin ``p``, clipped to the map; in whole numbers, so that no rounding error adds a row."""
    low = p * size // bins
    high = -(-(p + 1) * size // bins) if overlap else (p + 1) * size // bins
    return min(max(low + start, 0), limit), min(max(high + start, 0), limit)


@kernel
def _roi_pool(x, boxes, scale, overlap, y, index):  # type: ignore[no-untyped-def]
    channels, height, width = x.shape[1:]
    rows, columns = y.shape[2:]
    for k in prange(boxes.shape[0]):
        n = int(boxes[k, 0])
        left, top = _round(boxes[k, 1] * scale), _round(boxes[k, 2] * scale)
        wide = max(_round(boxes[k, 3] * scale) - left + 1, 1)
        tall = max(_round(boxes[k, 4] * scale) - top + 1, 1)
        for c in range(channels):
            base = (n * channels + c) * height * width
            for i in range(rows):
                y1, y2 = _bin(i, rows, tall, top, height, overlap)
                for j in range(columns):
                    x1, x2 = _bin(j, columns, wide, left, width, overlap)
                    at = -1
                    best = x.dtype.type(0)
                    for v in range(y1, y2):
                        for u in range(x1, x2):
                            value = x[n, c, v, u]
                            if at < 0 or value > best or (value != value and best == best):  # noqa: PLR0124 - NaN
                                best, at = value, base + v * width + u
                    y[k, c, i, j] = best
                    index[k, c, i, j] = at


@kernel
def _scatter_bins(gy, index, gx):  # type: ignore[no-untyped-def]
    flat = gx.reshape(-1)
    for c in prange(gy.shape[1]):
        for k in range(gy.shape[0]):
            for i in range(gy.shape[2]):
                for j in range(gy.shape[3]):
                    if index[k, c, i, j] >= 0:
                        flat[index[k, c, i, j]] += gy[k, c, i, j]


@inline
def _geometry(low, high, scale, aligned, bins, sampling):  # type: ignore[no-untyped-def]
    """Start of the box on the map, size of a bin, and samples per bin, along one axis."""
    shift = 0.5 if aligned else 0.0
    start = low * scale - shift
    size = high * scale - shift - start
    if not aligned:
        size = max(size, 1.0)
    step = size / bins
    samples = sampling if sampling > 0 else max(math.ceil(step), 0)
    return start, step, samples


@inline
def _samples(start, step, samples, bins, limit, at, weight):  # type: ignore[no-untyped-def]
    """Each sample of one axis: its lower cell (-1: outside, worth nothing) and the weight of the cell above."""
    for p in range(bins):
        for s in range(samples):
            position = start + step * (p + (s + 0.5) / samples)
            q = p * samples + s
            at[q], weight[q] = -1, 0.0
            if -1.0 <= position <= limit:
                position = max(position, 0.0)
                cell = int(position)
                if cell >= limit - 1:
                    at[q] = limit - 1
                else:
                    at[q], weight[q] = cell, position - cell


@inline
def _interpolate(plane, v, u, wv, wu):  # type: ignore[no-untyped-def]
    """Value between four cells; the upper neighbour of the last row or column is not read."""
    right = u + 1 if wu > 0 else u
    below = v + 1 if wv > 0 else v
    top = plane[v, u] * (1 - wu) + plane[v, right] * wu
    bottom = plane[below, u] * (1 - wu) + plane[below, right] * wu
    return top * (1 - wv) + bottom * wv


@kernel
def _roi_align(x, boxes, scale, aligned, sampling, chosen, use_chosen, y):  # type: ignore[no-untyped-def]
    channels, height, width = x.shape[1:]
    rows, columns = y.shape[2:]
    for k in prange(boxes.shape[0]):
        n = int(boxes[k, 0])
        top, tall, sv = _geometry(boxes[k, 2], boxes[k, 4], scale, aligned, rows, sampling)
        left, wide, su = _geometry(boxes[k, 1], boxes[k, 3], scale, aligned, columns, sampling)
        at_v, weight_v = np.empty(rows * sv, np.int64), np.empty(rows * sv, np.float64)
        at_u, weight_u = np.empty(columns * su, np.int64), np.empty(columns * su, np.float64)
        _samples(top, tall, sv, rows, height, at_v, weight_v)
        _samples(left, wide, su, columns, width, at_u, weight_u)
        share = 1.0 if use_chosen else 1.0 / max(sv * su, 1)
        for c in range(channels):
            plane = x[n, c]
            for i in range(rows):
                for j in range(columns):
                    total = 0.0
                    first, last = 0, sv * su
                    if use_chosen:
                        first = chosen[k, c, i, j]
                        last = first + 1 if first >= 0 else first
                    for s in range(first, last):
                        v, u = i * sv + s // su, j * su + s % su
                        if at_v[v] >= 0 and at_u[u] >= 0:
                            total += _interpolate(plane, at_v[v], at_u[u], weight_v[v], weight_u[u])
                    y[k, c, i, j] = total * share


@kernel
def _roi_align_adjoint(gy, boxes, scale, aligned, sampling, chosen, use_chosen, gx):  # type: ignore[no-untyped-def]
    height, width = gx.shape[2:]
    boxes_count, channels, rows, columns = gy.shape
    for c in prange(channels):
        for k in range(boxes_count):
            n = int(boxes[k, 0])
            top, tall, sv = _geometry(boxes[k, 2], boxes[k, 4], scale, aligned, rows, sampling)
            left, wide, su = _geometry(boxes[k, 1], boxes[k, 3], scale, aligned, columns, sampling)
            at_v, weight_v = np.empty(rows * sv, np.int64), np.empty(rows * sv, np.float64)
            at_u, weight_u = np.empty(columns * su, np.int64), np.empty(columns * su, np.float64)
            _samples(top, tall, sv, rows, height, at_v, weight_v)
            _samples(left, wide, su, columns, width, at_u, weight_u)
            share = 1.0 if use_chosen else 1.0 / max(sv * su, 1)
            plane = gx[n, c]
            for i in range(rows):
                for j in range(columns):
                    g = gy[k, c, i, j] * share
                    first, last = 0, sv * su
                    if use_chosen:
                        first = chosen[k, c, i, j]
                        last = first + 1 if first >= 0 else first
                    for s in range(first, last):
                        v, u = i * sv + s // su, j * su + s % su
                        if at_v[v] >= 0 and at_u[u] >= 0:
                            wv, wu = weight_v[v], weight_u[u]
                            v, u = at_v[v], at_u[u]
                            plane[v, u] += g * (1 - wv) * (1 - wu)
                            if wu > 0:
                                plane[v, u + 1] += g * (1 - wv) * wu
                            if wv > 0:
                                plane[v + 1, u] += g * wv * (1 - wu)
                            if wu > 0 and wv > 0:
                                plane[v + 1, u + 1] += g * wv * wu


@kernel
def _roi_align_choice(x, boxes, scale, aligned, sampling, chosen):  # type: ignore[no-untyped-def]
    channels, height, width = x.shape[1:]
    rows, columns = chosen.shape[2:]
    for k in prange(boxes.shape[0]):
        n = int(boxes[k, 0])
        top, tall, sv = _geometry(boxes[k, 2], boxes[k, 4], scale, aligned, rows, sampling)
        left, wide, su = _geometry(boxes[k, 1], boxes[k, 3], scale, aligned, columns, sampling)
        at_v, weight_v = np.empty(rows * sv, np.int64), np.empty(rows * sv, np.float64)
        at_u, weight_u = np.empty(columns * su, np.int64), np.empty(columns * su, np.float64)
        _samples(top, tall, sv, rows, height, at_v, weight_v)
        _samples(left, wide, su, columns, width, at_u, weight_u)
        for c in range(channels):
            plane = x[n, c]
            for i in range(rows):
                for j in range(columns):
                    best, where = 0.0, -1
                    for s in range(sv * su):
                        v, u = i * sv + s // su, j * su + s % su
                        value = 0.0
                        if at_v[v] >= 0 and at_u[u] >= 0:
                            value = _interpolate(plane, at_v[v], at_u[u], weight_v[v], weight_u[u])
                        if where < 0 or value > best or (value != value and best == best):  # noqa: PLR0124 - NaN
                            best, where = value, s
                    chosen[k, c, i, j] = where


def _boxes(boxes: Array) -> Array:
    return np.ascontiguousarray(boxes, np.float64)


def box_fault(boxes: Array, images: int) -> int:
    """1 where a number is not finite, 2 where one of the first column is none of the images, 0 where all is well."""
    if not np.isfinite(boxes).all():
        return 1
    image = boxes[:, 0]
    return 2 * bool(((image < 0) | (image >= images) | (image != np.floor(image))).any())


def roi_pool(x: Array, boxes: Array, size: Shape, scale: float, overlap: bool) -> tuple[Array, Array]:
    """Maximum over each bin of each box, and its flat index in ``x`` (-1 for an empty bin, worth 0)."""
    shape = (boxes.shape[0], x.shape[1], *size)
    y, index = empty(shape, x.dtype), empty(shape, np.int64)
    if y.size:
        _roi_pool(np.ascontiguousarray(x), _boxes(boxes), scale, overlap, y, index)
    return y, index


def gather_bins(x: Array, index: Array) -> Array:
    """``x`` at flat indices, 0 where the index is -1."""
    if not x.size:
        return np.zeros(index.shape, x.dtype)
    return np.where(index >= 0, np.ascontiguousarray(x).reshape(-1)[np.maximum(index, 0)], x.dtype.type(0))


def scatter_bins(gy: Array, index: Array, shape: Shape) -> Array:
    """Adjoint of :func:`gather_bins`: every bin's value is added to its cell."""
    gx = np.zeros(shape, gy.dtype)
    if gy.size:
        _scatter_bins(np.ascontiguousarray(gy), index, gx)
    return gx


def roi_pool_adjoint(gy: Array, boxes: Array, index: Array, shape: Shape, scale: float, overlap: bool) -> Array:
    """:func:`scatter_bins` onto the maxima of those boxes; here their indices say enough."""
    return scatter_bins(gy, index, shape)


_NONE = np.empty((0, 0, 0, 0), np.int64)


def roi_align(
    x: Array, boxes: Array, size: Shape, scale: float, aligned: bool, sampling: int, chosen: Array | None
) -> Array:
    """Mean over each bin's samples, or the one sample ``chosen`` for it."""
    y = empty((boxes.shape[0], x.shape[1], *size), x.dtype)
    if y.size:
        picks = _NONE if chosen is None else chosen
        _roi_align(np.ascontiguousarray(x), _boxes(boxes), scale, aligned, sampling, picks, chosen is not None, y)
    return y


def roi_align_adjoint(
    gy: Array, boxes: Array, shape: Shape, scale: float, aligned: bool, sampling: int, chosen: Array | None
) -> Array:
    """Adjoint of :func:`roi_align`: a map of that shape onto which every sample spreads its share."""
    gx = np.zeros(shape, gy.dtype)
    if gy.size:
        picks = _NONE if chosen is None else chosen
        _roi_align_adjoint(
            np.ascontiguousarray(gy), _boxes(boxes), scale, aligned, sampling, picks, chosen is not None, gx
        )
    return gx


def roi_align_choice(x: Array, boxes: Array, size: Shape, scale: float, aligned: bool, sampling: int) -> Array:
    """Which sample of each bin is the greatest (the first among equals; -1 where a bin has none)."""
    chosen = np.empty((boxes.shape[0], x.shape[1], *size), np.int64)
    if chosen.size:
        _roi_align_choice(np.ascontiguousarray(x), _boxes(boxes), scale, aligned, sampling, chosen)
    return chosen
