"""Pooling on the CPU: window maxima with flat indices, window sums with divisors, and their adjoints.

A pooling window is a rectangle, so a pass over its rows comes first (whole input rows, contiguous, vectorised) and
a pass over its columns second, at full resolution; the stride is taken when the result is copied out. Both regular
and adaptive windows are described per axis by an ``_Axis``. Planes (image x channel) run in parallel, a few big
planes split by output rows; every output row, and in the scatters every plane, belongs to one iteration, so
results do not depend on the number of threads.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.core.types import Array, Shape
from minicnn.core.windows import Window2d

_NOWHERE = np.int32(2**31 - 1)  # index of padding; above every real one, so that real elements win ties
_FEW = 32  # numbers whose sum in their own dtype is exact enough
_PARTS = 8  # pieces of work that are enough to balance the load


class _Axis(NamedTuple):
    """Windows along one axis: output ``o`` covers ``start[o] : stop[o] : step``."""

    start: Any
    stop: Any
    divisor: Any  # float64; an average divides by the product of both axes' divisors
    step: int
    taps: int  # elements of a full window
    stride: int  # 0 where windows are not evenly spaced
    padding: int


@lru_cache(maxsize=512)
def _regular(n: int, out: int, taps: int, stride: int, padding: int, step: int, counted: bool) -> _Axis:
    start = np.arange(out, dtype=np.int64) * stride - padding
    end = start + (taps - 1) * step + 1
    within = np.minimum(end, n + padding) - start  # as PyTorch counts padding: the input's own, not ceil mode's
    first = start + np.where(start < 0, -(start // step) * step, 0)
    stop = np.minimum(end, n)
    divisor = within if counted else np.maximum(stop - first, 1)
    return _Axis(first, stop, divisor.astype(np.float64), step, taps, stride, padding)


@lru_cache(maxsize=512)
def _adaptive(n: int, out: int) -> _Axis:
    o = np.arange(out, dtype=np.int64)
    start, stop = o * n // out, -(-(o + 1) * n // out)
    stride = n // out if out and n % out == 0 else 0
    taps = int((stop - start).max(initial=1))
    return _Axis(start, stop, (stop - start).astype(np.float64), 1, taps, stride, 0)


def _axes(window: Window2d, size: Shape, out: Shape, counted: bool = False) -> tuple[_Axis, _Axis]:
    rows, columns = (
        _regular(n, o, k, s, p, d, counted)
        for n, o, k, s, p, d in zip(
            size, out, window.kernel, window.stride, window.padding, window.dilation, strict=True
        )
    )
    return rows, columns


def _planes(x: Array) -> Array:
    return np.ascontiguousarray(x).reshape(-1, *x.shape[-2:])


def _parts(planes: int, rows: int) -> int:
    """Pieces into which each plane is cut."""
    return max(1, min(rows, _PARTS // planes)) if planes else 1


def _vectorises(rows: _Axis, columns: _Axis) -> bool:
    """Whether rows are long, or windows big, enough for passes over whole rows to pay (measured)."""
    return columns.stride > 0 and (len(columns.start) > 12 or rows.taps * columns.taps > 512)


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


@kernel
def _max_pool(x, y, index, track, vector, parts, r0, r1, rstep, c0, c1, cstep, taps, stride, padding):  # type: ignore[no-untyped-def]
    rows = y.shape[1]
    for item in prange(y.shape[0] * parts):
        p, part = item // parts, item % parts
        first, last = part * rows // parts, (part + 1) * rows // parts
        if vector:
            _max_rows(x[p], y[p], index[p], track, first, last, r0, r1, rstep, cstep, taps, stride, padding)
        else:
            _max_scan(x[p], y[p], index[p], track, first, last, r0, r1, rstep, c0, c1, cstep)


def _maxima(x: Array, rows: _Axis, columns: _Axis, indices: bool) -> tuple[Array, Array | None]:
    planes = _planes(x)
    out = (len(rows.start), len(columns.start))
    y = np.empty((len(planes), *out), x.dtype)
    index = np.empty(y.shape if indices else (len(planes), 0, 0), np.int32)
    if y.size:
        _max_pool(
            planes, y, index, indices, _vectorises(rows, columns), _parts(len(planes), out[0]),
            rows.start, rows.stop, rows.step,
            columns.start, columns.stop, columns.step, columns.taps, columns.stride, columns.padding,
        )  # fmt: skip
    shape = (*x.shape[:-2], *out)
    return y.reshape(shape), index.reshape(shape) if indices else None


def max_pool2d(x: Array, window: Window2d, out: Shape, indices: bool) -> tuple[Array, Array | None]:
    """Window maxima, and where they lie: int32 flat indices into each plane (-1 for a window all in padding)."""
    return _maxima(x, *_axes(window, x.shape[-2:], out), indices)


def adaptive_max_pool2d(x: Array, out: Shape, indices: bool) -> tuple[Array, Array | None]:
    """Maxima over windows ``floor(i n / out) .. ceil((i + 1) n / out)``."""
    return _maxima(x, _adaptive(x.shape[-2], out[0]), _adaptive(x.shape[-1], out[1]), indices)


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
    y = np.empty(index.shape, x.dtype)
    if y.size:
        _gather(_flat(x), _flat(index), _flat(y))
    return y


def scatter_planes(gy: Array, index: Array, size: Shape) -> Array:
    """The adjoint: ``gx[n, c].flat[index[n, c, i]] += gy[n, c, i]``, negative indices dropped."""
    gx = np.empty((*gy.shape[:-2], *size), gy.dtype)
    if gx.size:
        _scatter(_flat(gy), _flat(index), _flat(gx))
    return gx


def last_writers(index: Array, size: Shape) -> Array:
    """The indices with -1 in place of all but the last of equal ones in a plane: what plain assignment keeps."""
    flat = _flat(index)
    order = np.broadcast_to(np.arange(flat.shape[1]), flat.shape)
    writer = np.zeros((len(flat), size[0] * size[1]), np.int64)
    np.put_along_axis(writer, flat, order, axis=1)
    kept = np.take_along_axis(writer, flat, axis=1) == order
    return np.where(kept, flat, -1).astype(np.int32).reshape(index.shape)


# -- sums -------------------------------------------------------------------------------------------------------


@inline
def _add(total, value):  # type: ignore[no-untyped-def]
    for i in range(total.size):
        total[i] += value[i]


@inline
def _sum_tall(x, start, stop, total):  # type: ignore[no-untyped-def]
    for c in range(total.size):
        total[c] = 0
    for i in range(start, stop):
        _add(total, x[i])


@inline
def _sum_rows(x, y, first, last, r0, r1, rdiv, cdiv, taps, stride, padding):  # type: ignore[no-untyped-def]
    """Output rows first..last of one plane, evenly spaced windows: rows first, then columns."""
    w, ow = x.shape[1], y.shape[1]
    span = (ow - 1) * stride + 1
    column = np.zeros(max(span + taps - 1, padding + w), x.dtype)
    total = np.empty(span, x.dtype)
    middle = column[padding : padding + w]
    tall, wide = np.empty(w), np.empty(span)  # float64, for sums of many
    for r in range(first, last):
        if r1[r] - r0[r] <= _FEW:
            for c in range(w):
                middle[c] = x[r0[r], c]
            for i in range(r0[r] + 1, r1[r]):
                _add(middle, x[i])
        else:
            _sum_tall(x, r0[r], r1[r], tall)
            for c in range(w):
                middle[c] = tall[c]
        if taps <= _FEW:
            for i in range(span):
                total[i] = column[i]
            for k in range(1, taps):
                _add(total, column[k : k + span])
            for o in range(ow):
                y[r, o] = total[o * stride] / x.dtype.type(rdiv[r] * cdiv[o])
        else:
            for i in range(span):
                wide[i] = 0
            for k in range(taps):
                _add(wide, column[k : k + span])
            for o in range(ow):
                y[r, o] = wide[o * stride] / (rdiv[r] * cdiv[o])


@inline
def _sum_scan(x, y, first, last, r0, r1, rdiv, c0, c1, cdiv):  # type: ignore[no-untyped-def]
    """The same for any windows, one by one; sums in float64."""
    for r in range(first, last):
        for o in range(y.shape[1]):
            total = 0.0
            for i in range(r0[r], r1[r]):
                for c in range(c0[o], c1[o]):
                    total += x[i, c]
            y[r, o] = total / (rdiv[r] * cdiv[o])


@inline
def _sum_2x2(x, y, first, last, rdiv, cdiv):  # type: ignore[no-untyped-def]
    """The same for 2x2 windows with stride 2 and no padding, the subsampling of LeNet."""
    scale = x.dtype.type(1 / (rdiv[0] * cdiv[0]))
    for r in range(first, last):
        top, bottom, out = x[2 * r], x[2 * r + 1], y[r]
        for o in range(out.size):
            out[o] = ((top[2 * o] + top[2 * o + 1]) + (bottom[2 * o] + bottom[2 * o + 1])) * scale


@kernel
def _avg_pool(x, y, how, parts, r0, r1, rdiv, c0, c1, cdiv, taps, stride, padding):  # type: ignore[no-untyped-def]
    rows = y.shape[1]
    for item in prange(y.shape[0] * parts):
        p, part = item // parts, item % parts
        first, last = part * rows // parts, (part + 1) * rows // parts
        if how == 2:
            _sum_2x2(x[p], y[p], first, last, rdiv, cdiv)
        elif how == 1:
            _sum_rows(x[p], y[p], first, last, r0, r1, rdiv, cdiv, taps, stride, padding)
        else:
            _sum_scan(x[p], y[p], first, last, r0, r1, rdiv, c0, c1, cdiv)


@inline
def _spread_rows(gy, gx, r0, r1, rdiv, c0, c1, cdiv, taps, stride, padding):  # type: ignore[no-untyped-def]
    """Adjoint of ``_sum_rows`` for a whole plane: every output adds its share to the cells of its window."""
    w, ow = gx.shape[1], gy.shape[1]
    span = (ow - 1) * stride + 1
    column = np.zeros(max(span + taps - 1, padding + w), gx.dtype)
    share = np.zeros(span, gx.dtype)
    middle = column[padding : padding + w]
    for i in range(gx.shape[0]):
        for c in range(w):
            gx[i, c] = 0
    for r in range(gy.shape[0]):
        if stride >= taps:  # windows do not overlap
            for o in range(ow):
                g = gy[r, o] / gx.dtype.type(rdiv[r] * cdiv[o])
                for k in range(o * stride, o * stride + taps):
                    column[k] = g
        else:
            for c in range(column.size):
                column[c] = 0
            if stride == 0:
                for o in range(ow):
                    g = gy[r, o] / gx.dtype.type(rdiv[r] * cdiv[o])
                    for c in range(c0[o], c1[o]):
                        column[c] += g
            else:
                for o in range(ow):
                    share[o * stride] = gy[r, o] / gx.dtype.type(rdiv[r] * cdiv[o])
                for k in range(taps):
                    _add(column[k : k + span], share)
        for i in range(r0[r], r1[r]):
            _add(gx[i], middle)


@kernel
def _avg_pool_adjoint(gy, gx, r0, r1, rdiv, c0, c1, cdiv, taps, stride, padding):  # type: ignore[no-untyped-def]
    for p in prange(gx.shape[0]):
        _spread_rows(gy[p], gx[p], r0, r1, rdiv, c0, c1, cdiv, taps, stride, padding)


def _how(rows: _Axis, columns: _Axis, size: Shape) -> int:
    """Which of the three loops: 2 for plain 2x2 windows, 1 for whole rows, 0 for one window at a time."""
    halves = all(
        a.taps == a.stride == 2 and a.padding == 0 and 2 * len(a.start) <= n
        for a, n in zip((rows, columns), size, strict=True)
    )
    return 2 if halves else int(_vectorises(rows, columns))


def _averages(x: Array, rows: _Axis, columns: _Axis) -> Array:
    planes = _planes(x)
    out = (len(rows.start), len(columns.start))
    y = np.empty((len(planes), *out), x.dtype)
    if y.size:
        _avg_pool(
            planes, y, _how(rows, columns, x.shape[-2:]), _parts(len(planes), out[0]),
            rows.start, rows.stop, rows.divisor,
            columns.start, columns.stop, columns.divisor, columns.taps, columns.stride, columns.padding,
        )  # fmt: skip
    return y.reshape(*x.shape[:-2], *out)


def _shares(gy: Array, size: Shape, rows: _Axis, columns: _Axis) -> Array:
    planes = _planes(gy)
    gx = np.empty((len(planes), *size), gy.dtype)
    if gx.size:
        _avg_pool_adjoint(
            planes, gx, rows.start, rows.stop, rows.divisor,
            columns.start, columns.stop, columns.divisor, columns.taps, columns.stride, columns.padding,
        )  # fmt: skip
    return gx.reshape(*gy.shape[:-2], *size)


@lru_cache(maxsize=512)
def _divided(window: Window2d, size: Shape, out: Shape, counted: bool, divisor: int | None) -> tuple[_Axis, _Axis]:
    rows, columns = _axes(window, size, out, counted)
    if divisor is None:
        return rows, columns
    ones = np.ones_like(columns.divisor)
    return rows._replace(divisor=np.full_like(rows.divisor, divisor)), columns._replace(divisor=ones)


def avg_pool2d(x: Array, window: Window2d, out: Shape, count_include_pad: bool, divisor: int | None) -> Array:
    """Window sums over the number of elements, or over a ``divisor`` of one's own (1: plain sums)."""
    return _averages(x, *_divided(window, x.shape[-2:], tuple(out), count_include_pad, divisor))


def avg_pool2d_adjoint(
    gy: Array, window: Window2d, size: Shape, count_include_pad: bool, divisor: int | None
) -> Array:
    """The adjoint of :func:`avg_pool2d` on inputs of ``size``."""
    return _shares(gy, size, *_divided(window, tuple(size), gy.shape[-2:], count_include_pad, divisor))


def adaptive_avg_pool2d(x: Array, out: Shape) -> Array:
    """Averages over windows ``floor(i n / out) .. ceil((i + 1) n / out)``."""
    return _averages(x, _adaptive(x.shape[-2], out[0]), _adaptive(x.shape[-1], out[1]))


def adaptive_avg_pool2d_adjoint(gy: Array, size: Shape) -> Array:
    """The adjoint of :func:`adaptive_avg_pool2d` on inputs of ``size``."""
    return _shares(gy, size, _adaptive(size[0], gy.shape[-2]), _adaptive(size[1], gy.shape[-1]))
