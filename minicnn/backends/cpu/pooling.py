"""Pooling on the CPU: window maxima with flat indices, and their adjoint; means are in ``average_pooling.py``.

A pooling window is a rectangle, so a pass over its rows comes first (whole input rows, contiguous, vectorised) and
a pass over its columns second, at full resolution; the stride is taken when the result is copied out. Both regular
and adaptive windows are described per axis by an ``Axis``. Planes (image x channel) run in parallel, a few big
planes split by output rows; every output row, and in the scatters every plane, belongs to one iteration, so
results do not depend on the number of threads.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.memory import empty
from minicnn.core.types import Array, Shape
from minicnn.core.windows import Window2d

_NOWHERE = np.int32(2**31 - 1)  # index of padding; above every real one, so that real elements win ties
_PARTS = 8  # pieces of work that are enough to balance the load


class Axis(NamedTuple):
    """Windows along one axis: output ``o`` covers ``start[o] : stop[o] : step``."""

    start: Any
    stop: Any
    divisor: Any  # float64; an average divides by the product of both axes' divisors
    step: int
    taps: int  # elements of a full window
    stride: int  # 0 where windows are not evenly spaced
    padding: int


@lru_cache(maxsize=512)
def _regular(n: int, out: int, taps: int, stride: int, padding: int, step: int, counted: bool) -> Axis:
    start = np.arange(out, dtype=np.int64) * stride - padding
    end = start + (taps - 1) * step + 1
    within = np.minimum(end, n + padding) - start  # as PyTorch counts padding: the input's own, not ceil mode's
    first = start + np.where(start < 0, -(start // step) * step, 0)
    stop = np.minimum(end, n)
    divisor = within if counted else np.maximum(stop - first, 1)
    return Axis(first, stop, divisor.astype(np.float64), step, taps, stride, padding)


@lru_cache(maxsize=512)
def adaptive_axis(n: int, out: int) -> Axis:
    """Windows along an axis of ``n`` that adaptive pooling cuts into ``out`` pieces, which may overlap by one."""
    o = np.arange(out, dtype=np.int64)
    start, stop = o * n // out, -(-(o + 1) * n // out)
    stride = n // out if out and n % out == 0 else 0
    taps = int((stop - start).max(initial=1))
    return Axis(start, stop, (stop - start).astype(np.float64), 1, taps, stride, 0)


def axes_of(window: Window2d, size: Shape, out: Shape, counted: bool = False) -> tuple[Axis, Axis]:
    """The windows of a 2-D pooling, along rows and along columns; ``counted``: padding counts in an average."""
    rows, columns = (
        _regular(n, o, k, s, p, d, counted)
        for n, o, k, s, p, d in zip(
            size, out, window.kernel, window.stride, window.padding, window.dilation, strict=True
        )
    )
    return rows, columns


def planes_of(x: Array) -> Array:
    """The array (..., H, W) as contiguous planes (P, H, W)."""
    return np.ascontiguousarray(x).reshape(-1, *x.shape[-2:])


def parts_of(planes: int, rows: int) -> int:
    """Pieces into which each plane is cut."""
    return max(1, min(rows, _PARTS // planes)) if planes else 1


def _vectorises(rows: Axis, columns: Axis) -> bool:
    """Whether rows are long, or windows big, enough for passes over whole rows to pay (measured)."""
    return columns.stride > 0 and (len(columns.start) > 12 or rows.taps * columns.taps > 512)


def loop_of(rows: Axis, columns: Axis, size: Shape) -> int:
    """Which of the three loops: 2 for plain 2x2 windows, 1 for whole rows, 0 for one window at a time."""
    halves = all(
        a.taps == a.stride == 2 and a.padding == 0 and a.step == 1 and 2 * len(a.start) <= n
        for a, n in zip((rows, columns), size, strict=True)
    )
    return 2 if halves else int(_vectorises(rows, columns))


# -- maxima -----------------------------------------------------------------------------------------------------


@inline
def _raise(best, value):  # type: ignore[no-untyped-def]
    """Raise ``best`` to ``value`` where that is greater; NaN wins."""
    for i in range(best.size):
        v, b = value[i], best[i]
        best[i] = v if (v > b) | (v != v) else b  # noqa: PLR0124 - NaN


@inline
def _raise_at(best, where, value, first):  # type: ignore[no-untyped-def]
    """The same with indices, for values that come later in row-major order and lie at first, first + 1, ..."""
    for i in range(best.size):
        v, b, at = value[i], best[i], where[i]
        take = (v > b) | (v != v)  # noqa: PLR0124 - NaN
        best[i] = v if take else b
        where[i] = np.int32(first + i) if take else at


@inline
def _merge(best, where, value, at):  # type: ignore[no-untyped-def]
    """The same for values in any order: a tie goes to the smaller index, of several NaN the last one stays."""
    for i in range(best.size):
        v, p, b, q = value[i], at[i], best[i], where[i]
        take = (v > b) | ((v == b) & (p < q)) | ((v != v) & ((b == b) | (p > q)))  # noqa: PLR0124 - NaN
        best[i] = v if take else b
        where[i] = p if take else q


@inline
def _max_row(x, start, stop, step, column, at, track):  # type: ignore[no-untyped-def]
    """Maximum over the rows of a window, for every column of the input."""
    w = x.shape[1]
    for c in range(w):
        column[c] = x[start, c] if start < stop else -np.inf
    if track:
        for c in range(w):
            at[c] = np.int32(start * w + c) if start < stop else _NOWHERE
    for i in range(start + step, stop, step):
        if track:
            _raise_at(column, at, x[i], i * w)
        else:
            _raise(column, x[i])


@inline
def _max_rows(x, y, index, track, first, last, r0, r1, rstep, cstep, taps, stride, padding):  # type: ignore[no-untyped-def]
    """Output rows first..last of one plane, evenly spaced windows: rows first, then columns."""
    w, ow = x.shape[1], y.shape[1]
    span = (ow - 1) * stride + 1  # outputs at stride 1, of which every stride-th is kept
    column = np.full(max(span + (taps - 1) * cstep, padding + w), -np.inf, x.dtype)
    at = np.full(column.size if track else 0, _NOWHERE, np.int32)
    best = np.empty(span, x.dtype)
    where = np.empty(span if track else 0, np.int32)
    for r in range(first, last):
        _max_row(x, r0[r], r1[r], rstep, column[padding : padding + w], at[padding : padding + w], track)
        for i in range(span):
            best[i] = column[i]
        if track:
            for i in range(span):
                where[i] = at[i]
        for k in range(cstep, taps * cstep, cstep):
            if track:
                _merge(best, where, column[k : k + span], at[k : k + span])
            else:
                _raise(best, column[k : k + span])
        for o in range(ow):
            y[r, o] = best[o * stride]
        if track:
            for o in range(ow):
                index[r, o] = where[o * stride] if where[o * stride] != _NOWHERE else -1


@inline
def _max_scan(x, y, index, track, first, last, r0, r1, rstep, c0, c1, cstep):  # type: ignore[no-untyped-def]
    """The same for any windows, one by one: wins where rows are too short to vectorise."""
    w, ow = x.shape[1], y.shape[1]
    for r in range(first, last):
        for o in range(ow):
            best = x.dtype.type(-np.inf)
            where = r0[r] * w + c0[o] if r0[r] < r1[r] and c0[o] < c1[o] else -1
            for i in range(r0[r], r1[r], rstep):
                for c in range(c0[o], c1[o], cstep):
                    v = x[i, c]
                    take = (v > best) | (v != v)  # noqa: PLR0124 - NaN
                    best = v if take else best
                    where = i * w + c if take else where
            y[r, o] = best
            if track:
                index[r, o] = where


@inline
def _max_2x2(x, y, index, track, first, last):  # type: ignore[no-untyped-def]
    """The same for 2x2 windows with stride 2 and no padding; the four in row-major order, so the first of ties wins."""
    w = x.shape[1]
    for r in range(first, last):
        top, bottom, out = x[2 * r], x[2 * r + 1], y[r]
        if track:
            where, corner = index[r], 2 * r * w
            for o in range(out.size):
                best, v = top[2 * o], top[2 * o + 1]
                take = (v > best) | (v != v)  # noqa: PLR0124 - NaN
                best, at = (v if take else best), np.int32(1 if take else 0)
                v = bottom[2 * o]
                take = (v > best) | (v != v)  # noqa: PLR0124 - NaN
                best, at = (v if take else best), (np.int32(w) if take else at)
                v = bottom[2 * o + 1]
                take = (v > best) | (v != v)  # noqa: PLR0124 - NaN
                best, at = (v if take else best), (np.int32(w + 1) if take else at)
                out[o] = best
                where[o] = np.int32(corner + 2 * o) + at
        else:
            for o in range(out.size):
                best, v = top[2 * o], top[2 * o + 1]
                best = v if (v > best) | (v != v) else best  # noqa: PLR0124 - NaN
                v = bottom[2 * o]
                best = v if (v > best) | (v != v) else best  # noqa: PLR0124 - NaN
                v = bottom[2 * o + 1]
                out[o] = v if (v > best) | (v != v) else best  # noqa: PLR0124 - NaN


@kernel
def _max_pool(x, y, index, track, how, parts, r0, r1, rstep, c0, c1, cstep, taps, stride, padding):  # type: ignore[no-untyped-def]
    rows = y.shape[1]
    for item in prange(y.shape[0] * parts):
        p, part = item // parts, item % parts
        first, last = part * rows // parts, (part + 1) * rows // parts
        if how == 2:
            _max_2x2(x[p], y[p], index[p], track, first, last)
        elif how == 1:
            _max_rows(x[p], y[p], index[p], track, first, last, r0, r1, rstep, cstep, taps, stride, padding)
        else:
            _max_scan(x[p], y[p], index[p], track, first, last, r0, r1, rstep, c0, c1, cstep)


def _maxima(x: Array, rows: Axis, columns: Axis, indices: bool) -> tuple[Array, Array | None]:
    planes = planes_of(x)
    out = (len(rows.start), len(columns.start))
    y = empty((len(planes), *out), x.dtype)
    index = empty(y.shape if indices else (len(planes), 0, 0), np.int32)
    if y.size:
        _max_pool(
            planes, y, index, indices, loop_of(rows, columns, x.shape[-2:]), parts_of(len(planes), out[0]),
            rows.start, rows.stop, rows.step,
            columns.start, columns.stop, columns.step, columns.taps, columns.stride, columns.padding,
        )  # fmt: skip
    shape = (*x.shape[:-2], *out)
    return y.reshape(shape), index.reshape(shape) if indices else None


def max_pool2d(x: Array, window: Window2d, out: Shape, indices: bool) -> tuple[Array, Array | None]:
    """Window maxima, and where they lie: int32 flat indices into each plane (-1 for a window all in padding)."""
    return _maxima(x, *axes_of(window, x.shape[-2:], out), indices)


def adaptive_max_pool2d(x: Array, out: Shape, indices: bool) -> tuple[Array, Array | None]:
    """Maxima over windows ``floor(i n / out) .. ceil((i + 1) n / out)``."""
    return _maxima(x, adaptive_axis(x.shape[-2], out[0]), adaptive_axis(x.shape[-1], out[1]), indices)


# -- gather and scatter on flat indices ---------------------------------------------------------------------------


@kernel
def _gather(x, index, y):  # type: ignore[no-untyped-def]
    for p in prange(index.shape[0]):
        for i in range(index.shape[1]):
            at = index[p, i]
            y[p, i] = x[p, at] if at >= 0 else 0


@kernel
def _scatter(gy, index, gx):  # type: ignore[no-untyped-def]
    for p in prange(index.shape[0]):
        for i in range(gx.shape[1]):
            gx[p, i] = 0
        for i in range(index.shape[1]):
            at = index[p, i]
            if at >= 0:
                gx[p, at] += gy[p, i]


def _flat(x: Array) -> Array:
    return np.ascontiguousarray(x).reshape(-1, x.shape[-2] * x.shape[-1])


def gather_planes(x: Array, index: Array) -> Array:
    """``y[n, c, i] = x[n, c].flat[index[n, c, i]]``, 0 where the index is negative."""
    y = empty(index.shape, x.dtype)
    if y.size:
        _gather(_flat(x), _flat(index), _flat(y))
    return y


def scatter_planes(gy: Array, index: Array, size: Shape) -> Array:
    """The adjoint: ``gx[n, c].flat[index[n, c, i]] += gy[n, c, i]``, negative indices dropped."""
    gx = empty((*gy.shape[:-2], *size), gy.dtype)
    if gx.size:
        _scatter(_flat(gy), _flat(index), _flat(gx))
    return gx


def max_pool2d_adjoint(gy: Array, index: Array, size: Shape, window: Window2d | None) -> Array:
    """:func:`scatter_planes` onto the maxima of those windows (``None``: adaptive); here their indices say enough."""
    return scatter_planes(gy, index, size)


def last_writers(index: Array, size: Shape) -> Array:
    """The indices with -1 in place of all but the last of equal ones in a plane: what plain assignment keeps."""
    flat = _flat(index)
    order = np.broadcast_to(np.arange(flat.shape[1]), flat.shape)
    writer = np.zeros((len(flat), size[0] * size[1]), np.int64)
    np.put_along_axis(writer, flat, order, axis=1)
    kept = np.take_along_axis(writer, flat, axis=1) == order
    return np.where(kept, flat, -1).astype(np.int32).reshape(index.shape)
