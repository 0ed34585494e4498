"""Average pooling on the CPU: window sums with divisors, and their adjoint; made like the maxima of ``pooling.py``."""

from functools import lru_cache

import numpy as np

from minicnn.backends.cpu import sums
from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.memory import empty
from minicnn.backends.cpu.pooling import Axis, adaptive_axis, axes_of, loop_of, parts_of, planes_of
from minicnn.core.types import Array, Shape
from minicnn.core.windows import Window2d

_FEW = 32  # numbers whose sum in their own dtype is exact enough


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


def _covers(axis: Axis, n: int) -> bool:
    """Whether the one window is the whole axis."""
    return bool(len(axis.start) == 1 and axis.step == 1 and axis.start[0] == 0 and axis.stop[0] == n)


def _keeps(axis: Axis) -> bool:
    """Whether each window is one element, so that nothing is averaged."""
    return axis.taps == axis.stride == 1 and axis.padding == 0 and bool((axis.divisor == 1).all())


def _averages(x: Array, rows: Axis, columns: Axis) -> Array:
    planes = planes_of(x)
    out = (len(rows.start), len(columns.start))
    if out == (1, 1) and x.size and _covers(rows, x.shape[-2]) and _covers(columns, x.shape[-1]):
        means = sums.row_sums(planes.reshape(len(planes), -1))
        means /= x.dtype.type(rows.divisor[0] * columns.divisor[0])
        return means.reshape(*x.shape[:-2], 1, 1)
    if out == x.shape[-2:] and _keeps(rows) and _keeps(columns):
        return planes.reshape(x.shape).copy()
    y = empty((len(planes), *out), x.dtype)
    if y.size:
        _avg_pool(
            planes, y, loop_of(rows, columns, x.shape[-2:]), parts_of(len(planes), out[0]),
            rows.start, rows.stop, rows.divisor,
            columns.start, columns.stop, columns.divisor, columns.taps, columns.stride, columns.padding,
        )  # fmt: skip
    return y.reshape(*x.shape[:-2], *out)


def _shares(gy: Array, size: Shape, rows: Axis, columns: Axis) -> Array:
    planes = planes_of(gy)
    if gy.shape[-2:] == (1, 1) and _covers(rows, size[0]) and _covers(columns, size[1]):
        gx = empty((len(planes), size[0] * size[1]), gy.dtype)
        gx[...] = planes[:, 0] / gy.dtype.type(rows.divisor[0] * columns.divisor[0])
        return gx.reshape(*gy.shape[:-2], *size)
    if gy.shape[-2:] == size and _keeps(rows) and _keeps(columns):
        return planes.reshape(gy.shape).copy()
    gx = empty((len(planes), *size), gy.dtype)
    if gx.size:
        _avg_pool_adjoint(
            planes, gx, rows.start, rows.stop, rows.divisor,
            columns.start, columns.stop, columns.divisor, columns.taps, columns.stride, columns.padding,
        )  # fmt: skip
    return gx.reshape(*gy.shape[:-2], *size)


@lru_cache(maxsize=512)
def _divided(window: Window2d, size: Shape, out: Shape, counted: bool, divisor: int | None) -> tuple[Axis, Axis]:
    rows, columns = axes_of(window, size, out, counted)
    if divisor is None:
        return rows, columns
    ones = np.ones_like(columns.divisor)
    return rows._replace(divisor=np.full_like(rows.divisor, divisor)), columns._replace(divisor=ones)


def avg_pool2d(x: Array, window: Window2d, out: Shape, count_include_pad: bool, divisor: int | None) -> Array:
    """Window sums over the number of elements, or over a ``divisor`` of one's own (1: plain sums)."""
    return _averages(x, *_divided(window, x.shape[-2:], tuple(out), count_include_pad, divisor))


def avg_pool2d_adjoint(gy: Array, window: Window2d, size: Shape, count_include_pad: bool, divisor: int | None) -> Array:
    """The adjoint of :func:`avg_pool2d` on inputs of ``size``."""
    return _shares(gy, size, *_divided(window, tuple(size), gy.shape[-2:], count_include_pad, divisor))


def adaptive_avg_pool2d(x: Array, out: Shape) -> Array:
    """Averages over windows ``floor(i n / out) .. ceil((i + 1) n / out)``."""
    return _averages(x, adaptive_axis(x.shape[-2], out[0]), adaptive_axis(x.shape[-1], out[1]))


def adaptive_avg_pool2d_adjoint(gy: Array, size: Shape) -> Array:
    """The adjoint of :func:`adaptive_avg_pool2d` on inputs of ``size``."""
    return _shares(gy, size, adaptive_axis(size[0], gy.shape[-2]), adaptive_axis(size[1], gy.shape[-1]))
