"""Normalisation by statistics over axes, its gradient, and scaling by statistics that are given.

Every norm is one computation on a view of five axes, ``(outer, repeats, groups, parts, run)``: statistics belong to
(repeats, groups), affine parameters to (groups, parts). The kernels see it as ``(outer, repeats*groups, parts*run)``.
One statistic's data is read from memory once: its second reading, to normalise it, comes from the core's own cache.
"""

import numpy as np

from minicnn.backends.cpu.jit import kernel, prange
from minicnn.backends.cpu.memory import empty_like
from minicnn.core.types import Array, Shape

BLOCK = 2048  # elements whose mean and spread are taken while they sit in the L1 cache
TINY = 16  # rows shorter than this are not worth a loop of their own
SLOTS = 32  # partial sums of parameter gradients, added in order: the result does not depend on the thread count


@kernel(fastmath={"reassoc", "contract"})
def _normalize(x, weight, bias, y, mean, var, eps):  # type: ignore[no-untyped-def]
    outer, rows, length = x.shape
    groups, parts = weight.shape
    run = length // parts
    slab = max(BLOCK // length, 1)
    real = x.dtype.type
    for b in prange(rows):
        count, centre, spread = 0.0, 0.0, 0.0
        for first in range(0, outer, slab):
            last = min(first + slab, outer)
            for low in range(0, length, BLOCK):
                total, squares = 0.0, 0.0
                size = float((last - first) * min(BLOCK, length - low))
                for a in range(first, last):
                    block = x[a, b, low : low + BLOCK]  # a loop over a slice, from 0, vectorises
                    for i in range(block.size):
                        total += block[i]
                local = total / size
                for a in range(first, last):
                    block = x[a, b, low : low + BLOCK]
                    for i in range(block.size):
                        d = block[i] - local
                        squares += d * d
                step = local - centre  # Chan, Golub and LeVeque (1979): join two means and two spreads
                count += size
                centre += step * size / count
                spread += squares + step * step * size * (count - size) / count
        m = real(centre)
        mean[b] = m
        var[b] = spread / count
        scale = real(1.0 / np.sqrt(spread / count + eps))
        rest = scale * real(centre - m)  # what rounding took from the mean, folded into the shift
        g = np.int64(b) % groups
        for a in range(outer):
            if run == 1:
                source, target, w, t = x[a, b], y[a, b], weight[g], bias[g]
                for i in range(length):
                    target[i] = (source[i] - m) * (scale * w[i]) + (t[i] - rest * w[i])
            else:
                for r in range(parts):
                    source, target = x[a, b, r * run : (r + 1) * run], y[a, b, r * run : (r + 1) * run]
                    factor, offset = scale * weight[g, r], bias[g, r] - rest * weight[g, r]
                    for i in range(run):
                        target[i] = (source[i] - m) * factor + offset


@kernel(fastmath={"reassoc", "contract"})
def _normalize_grad(gy, x, weight, mean, var, eps, gx, gweight, gbias):  # type: ignore[no-untyped-def]
    outer, rows, length = x.shape
    groups, parts = weight.shape
    run = length // parts
    slots = gweight.shape[0]
    real = x.dtype.type
    n = outer * length
    chunks = min(rows, SLOTS)
    for task in prange(chunks):
        chunk = np.int64(task)  # numba counts unsigned, and unsigned meets signed as a float
        slot = chunk if slots > 1 else 0  # one slot suffices where every row has its own parameters
        for b in range(chunk * rows // chunks, (chunk + 1) * rows // chunks):
            g = b % groups
            m = mean[b]
            rstd = 1.0 / np.sqrt(float(var[b]) + eps)
            sum_g, sum_gx = 0.0, 0.0
            for a in range(outer):
                if run == 1:
                    up, source, w = gy[a, b], x[a, b], weight[g]
                    to_weight, to_bias = gweight[slot, g], gbias[slot, g]
                    for i in range(length):
                        t = float(up[i])
                        tx = t * (source[i] - m) * rstd
                        to_bias[i] += t
                        to_weight[i] += tx
                        sum_g += t * w[i]
                        sum_gx += tx * w[i]
                else:
                    for r in range(parts):
                        t, tx = 0.0, 0.0
                        for low in range(r * run, (r + 1) * run, BLOCK):
                            high = min(low + BLOCK, (r + 1) * run)
                            up, source = gy[a, b, low:high], x[a, b, low:high]
                            part, product = real(0), real(0)  # many lanes; float64 from block to block
                            for i in range(up.size):
                                part += up[i]
                                product += up[i] * (source[i] - m)
                            t += part
                            tx += product
                        tx *= rstd
                        gbias[slot, g, r] += t
                        gweight[slot, g, r] += tx
                        sum_g += t * weight[g, r]
                        sum_gx += tx * weight[g, r]
            alone = n == 1  # a number that is its own mean has no gradient, and rounding must not give it one
            scale = real(0) if alone else real(rstd)
            lift = real(0) if alone else real(-rstd * sum_g / n)
            slope = real(-rstd * rstd * sum_gx / n)
            for a in range(outer):
                if run == 1:
                    up, source, target, w = gy[a, b], x[a, b], gx[a, b], weight[g]
                    for i in range(length):
                        target[i] = scale * w[i] * up[i] + slope * (source[i] - m) + lift
                else:
                    for r in range(parts):
                        up, source = gy[a, b, r * run : (r + 1) * run], x[a, b, r * run : (r + 1) * run]
                        target = gx[a, b, r * run : (r + 1) * run]
                        factor = scale * weight[g, r]
                        for i in range(run):
                            target[i] = factor * up[i] + slope * (source[i] - m) + lift


@kernel(fastmath={"contract"})
def _scale_shift(x, scale, shift, y):  # type: ignore[no-untyped-def]
    outer, rows, length = x.shape
    for task in prange(outer * rows):
        a, b = np.int64(task) // rows, np.int64(task) % rows
        source, target, s, t = x[a, b], y[a, b], scale[b], shift[b]
        for i in range(length):
            target[i] = source[i] * s + t


def _rows(x: Array, view: Shape) -> tuple[Array, bool]:
    """``x`` as (outer, rows, length); a tiny length is first joined with the outer axis, by a transposed copy."""
    outer, repeats, groups, parts, run = view
    rows = np.ascontiguousarray(x).reshape(outer, repeats * groups, parts * run)
    if outer > 1 and parts * run < TINY:
        return np.ascontiguousarray(rows.transpose(1, 0, 2)).reshape(1, repeats * groups, outer * run), True
    return rows, False


def _back(rows: Array, moved: bool, view: Shape, shape: Shape) -> Array:
    """Undo :func:`_rows`."""
    if moved:
        rows = rows.reshape(rows.shape[1], view[0], view[4]).transpose(1, 0, 2)
    return np.ascontiguousarray(rows).reshape(shape)


def _parameter(value: Array | None, absent: float, view: Shape, dtype: Array) -> Array:
    """A weight or bias as (groups, parts), filled where it is absent."""
    if value is None:
        return np.full(view[2:4], absent, dtype)
    return np.ascontiguousarray(value, dtype).reshape(view[2:4])


def normalize(
    x: Array, weight: Array | None, bias: Array | None, view: Shape, eps: float
) -> tuple[Array, Array, Array]:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` with its mean and biased variance, one per row."""
    rows, moved = _rows(x, view)
    mean, var = np.zeros(rows.shape[1], x.dtype), np.ones(rows.shape[1], x.dtype)
    y = empty_like(rows)
    if x.size:
        scale, shift = _parameter(weight, 1, view, x.dtype), _parameter(bias, 0, view, x.dtype)
        _normalize.sized(4 * x.size, rows, scale, shift, y, mean, var, eps)
    return _back(y, moved, view, x.shape), mean, var


def normalize_grad(
    gy: Array, x: Array, weight: Array | None, mean: Array, var: Array, view: Shape, eps: float
) -> tuple[Array, Array, Array]:
    """Gradients for x (mean and variance depend on it), weight and bias; the last two as (groups, parts)."""
    rows, moved = _rows(x, view)
    grads, _ = _rows(gy, view)
    gx = empty_like(rows)
    slots = 1 if rows.shape[1] == view[2] else min(rows.shape[1], SLOTS)
    gweight, gbias = np.zeros((slots, *view[2:4])), np.zeros((slots, *view[2:4]))
    if x.size:
        scale = _parameter(weight, 1, view, x.dtype)
        _normalize_grad.sized(2 * x.size, grads, rows, scale, mean, var, eps, gx, gweight, gbias)
    sums = (parts[0] if slots == 1 else parts.sum(0) for parts in (gweight, gbias))
    return (_back(gx, moved, view, x.shape), *(total.astype(x.dtype, copy=False) for total in sums))


def scale_shift(x: Array, scale: Array, shift: Array, view: Shape) -> Array:
    """``x * scale + shift`` with one pair per row: normalisation by statistics that are given."""
    rows, moved = _rows(x, view)
    y = empty_like(rows)
    _scale_shift.sized(x.size, rows, np.ascontiguousarray(scale), np.ascontiguousarray(shift), y)
    return _back(y, moved, view, x.shape)
