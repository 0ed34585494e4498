"""Resizing on the CPU: along each axis a sparse matrix of taps, so that the adjoint is the same kernel transposed.

Resizing is linear and separable, ``y = R x C^T``: each output row is a weighted sum of a few input rows, then each
output column one of a few columns. Every output is gathered by one iteration, backwards too, so nothing races.
"""

import numpy as np

from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.memory import empty
from minicnn.backends.resampling import Taps, taps
from minicnn.core.types import Array, Shape

Scales = tuple[float | None, float | None]


@inline
def _blend(total, value, weight, start):  # type: ignore[no-untyped-def]
    if start:
        for i in range(total.size):
            total[i] = weight * value[i]
    else:
        for i in range(total.size):
            total[i] += weight * value[i]


@inline
def _copies(first, index, weight, r):  # type: ignore[no-untyped-def]
    """Whether output row ``r`` has one tap, the same as the row before: nearest neighbours repeat rows."""
    t = first[r]
    one = first[r + 1] - t == 1 and t - first[r - 1] == 1
    return one and index[t] == index[t - 1] and weight[t] == weight[t - 1]


@inline
def _resize_rows(x, y, first, last, rfirst, rindex, rweight, cfirst, cindex, cweight, each):  # type: ignore[no-untyped-def]
    column = np.zeros(x.shape[1], x.dtype)
    for r in range(first, last):
        out = y[r]
        if rfirst[r] == rfirst[r + 1]:
            for o in range(out.size):
                out[o] = 0
            continue
        if r > first and each == 1 and _copies(rfirst, rindex, rweight, r):
            for o in range(out.size):
                out[o] = y[r - 1, o]
            continue
        for t in range(rfirst[r], rfirst[r + 1]):
            _blend(column, x[rindex[t]], rweight[t], t == rfirst[r])
        if each == 1:
            for o in range(out.size):
                out[o] = cweight[o] * column[cindex[o]]
        elif each == 2:
            for o in range(out.size):
                out[o] = cweight[2 * o] * column[cindex[2 * o]] + cweight[2 * o + 1] * column[cindex[2 * o + 1]]
        else:
            for o in range(out.size):
                total = x.dtype.type(0)
                for t in range(cfirst[o], cfirst[o + 1]):
                    total += cweight[t] * column[cindex[t]]
                out[o] = total


@kernel
def _resize(x, y, parts, rfirst, rindex, rweight, cfirst, cindex, cweight, each):  # type: ignore[no-untyped-def]
    rows = y.shape[1]
    for item in prange(y.shape[0] * parts):
        p, part = item // parts, item % parts
        first, last = part * rows // parts, (part + 1) * rows // parts
        _resize_rows(x[p], y[p], first, last, rfirst, rindex, rweight, cfirst, cindex, cweight, each)


def _apply(x: Array, out: Shape, rows: Taps, columns: Taps) -> Array:
    planes = np.ascontiguousarray(x).reshape(-1, *x.shape[-2:])
    y = empty((len(planes), *out), x.dtype)
    if y.size:
        parts = max(1, min(out[0], 8 // len(planes)))  # few planes: cut them into pieces
        _resize(
            planes, y, parts, rows.first, rows.index, rows.weight,
            columns.first, columns.index, columns.weight, columns.each,
        )  # fmt: skip
    return y.reshape(*x.shape[:-2], *out)


def resize(x: Array, out: Shape, mode: str, align_corners: bool, scales: Scales, antialias: bool) -> Array:
    """The last two axes resampled to ``out``: nearest, nearest-exact, bilinear or bicubic."""
    rows, columns = (
        taps(n, o, mode, align_corners, s, antialias, False, x.dtype.char)
        for n, o, s in zip(x.shape[-2:], out, scales, strict=True)
    )
    return _apply(x, out, rows, columns)


def resize_adjoint(gy: Array, size: Shape, mode: str, align_corners: bool, scales: Scales, antialias: bool) -> Array:
    """The adjoint of :func:`resize` on inputs of ``size``."""
    rows, columns = (
        taps(n, o, mode, align_corners, s, antialias, True, gy.dtype.char)
        for n, o, s in zip(size, gy.shape[-2:], scales, strict=True)
    )
    return _apply(gy, size, rows, columns)
