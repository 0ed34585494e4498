"""Softmax and its gradient in one pass over memory each, and the exponential that they share with the losses.

An array is (outer, C, S) with C the axis of the softmax and S positions behind it. Where S is 1 a block is some rows,
each contiguous; else it is a strip of positions, so that each class's plane is read in order.
"""

from math import prod

import numba
import numpy as np
from numba.core import types
from numba.extending import overload

from minicnn.backends.cpu import jit, simd_rows
from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.memory import empty_like
from minicnn.core.types import Array

BLOCK = 1 << 14  # elements of some rows that one thread works on at a time
STRIP = 512  # positions of a strip
WAKE = 1 << 17  # elements from which waking a second thread pays for exponentials


def exp(x):  # type: ignore[no-untyped-def]
    """exp(x) for x <= 0, to one or two units in the last place; NaN stays.

    numba calls the C library once per element for math.exp; this is vectorised. x = k ln 2 + r: 2^k by its bits, e^r
    by a polynomial. One body for each dtype, chosen when a kernel is compiled.
    """
    return np.exp(x)


@overload(exp, jit_options={"error_model": "numpy", "nogil": True, "fastmath": {"contract"}})
def _exp_of(x):  # type: ignore[no-untyped-def]
    return _exp32 if x == types.float32 else _exp64


def _exp32(x):  # type: ignore[no-untyped-def]
    f = np.float32
    t = max(f(-87.0), x)
    k = np.floor(t * f(1.4426950408889634) + f(0.5))
    r = t - k * f(0.693359375) + k * f(2.12194440e-4)  # ln 2 in two parts, of which the first is exact times k
    e = f(1.0 / 5040.0)
    e = e * r + f(1.0 / 720.0)
    e = e * r + f(1.0 / 120.0)
    e = e * r + f(1.0 / 24.0)
    e = e * r + f(1.0 / 6.0)
    e = e * r + f(0.5)
    e = e * (r * r) + r + f(1.0)
    y = e * np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)
    y = f(0.0) if x < f(-87.0) else y
    return x if x != x else y  # noqa: PLR0124 - NaN


def _exp64(x):  # type: ignore[no-untyped-def]
    t = max(-708.0, x)
    k = np.floor(t * 1.4426950408889634 + 0.5)
    r = t - k * 6.93145751953125e-1 - k * 1.42860682030941723212e-6
    e = 1.0 / 6227020800.0
    e = e * r + 1.0 / 479001600.0
    e = e * r + 1.0 / 39916800.0
    e = e * r + 1.0 / 3628800.0
    e = e * r + 1.0 / 362880.0
    e = e * r + 1.0 / 40320.0
    e = e * r + 1.0 / 5040.0
    e = e * r + 1.0 / 720.0
    e = e * r + 1.0 / 120.0
    e = e * r + 1.0 / 24.0
    e = e * r + 1.0 / 6.0
    e = e * r + 0.5
    e = e * r + 1.0
    e = e * r + 1.0
    y = e * np.int64((np.int64(k) + np.int64(1023)) << np.int64(52)).view(np.float64)
    y = 0.0 if x < -708.0 else y
    return x if x != x else y  # noqa: PLR0124 - NaN


@numba.njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _sum(row):  # type: ignore[no-untyped-def]
    """Sum in float64; free to use many lanes."""
    total = 0.0
    for i in range(row.size):
        total += row[i]
    return total


@numba.njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _dot(a, b):  # type: ignore[no-untyped-def]
    """Sum of products in float64; free to use many lanes."""
    total = 0.0
    for i in range(a.size):
        total += float(a[i]) * float(b[i])
    return total


@inline
def softmax_rows(z, p, top, norm):  # type: ignore[no-untyped-def]
    """Probabilities of contiguous rows, as many as ``top`` has places; their maxima and sums of exponentials."""
    classes = z.size // top.size
    for n in range(top.size):
        best = simd_rows.largest(z, n * classes, classes)
        x, y = z[n * classes : (n + 1) * classes], p[n * classes : (n + 1) * classes]
        top[n] = best
        for c in range(x.size):
            y[c] = x[c] - best
    for i in range(p.size):  # one loop over all rows, however short they are
        p[i] = exp(p[i])  # type: ignore[no-untyped-call]
    for n in range(top.size):
        y = p[n * classes : (n + 1) * classes]
        norm[n] = _sum(y)
        scale = z.dtype.type(1.0 / norm[n])
        for c in range(y.size):
            y[c] *= scale


@inline
def softmax_strip(z, p, top, norm, s0, s1):  # type: ignore[no-untyped-def]
    """Probabilities over the first axis at positions s0..s1-1; maxima and sums of exponentials there.

    Rows are cut as z[c][s0:s1], which numba knows to be contiguous (z[:, s0:s1][c] would not be vectorised).
    """
    for i in range(top.size):  # (a slice assignment would compile NumPy's broadcasting and its error messages)
        top[i], norm[i] = z[0, s0 + i], 0.0
    for c in range(1, z.shape[0]):
        x = z[c][s0:s1]
        for i in range(x.size):
            v, best = x[i], top[i]
            top[i] = v if (v > best) | (v != v) else best  # noqa: PLR0124 - NaN
    for c in range(z.shape[0]):
        x, y = z[c][s0:s1], p[c][s0:s1]
        for i in range(x.size):
            y[i] = exp(x[i] - top[i])  # type: ignore[no-untyped-call]
        for i in range(x.size):
            norm[i] += y[i]
    scale = np.empty(top.size, z.dtype)
    for i in range(scale.size):
        scale[i] = 1.0 / norm[i]
    for c in range(z.shape[0]):
        y = p[c][s0:s1]
        for i in range(y.size):
            y[i] *= scale[i]


@kernel
def _rows(z, p, classes):  # type: ignore[no-untyped-def]
    rows = z.size // classes
    each = max(1, BLOCK // classes)
    for block in prange((rows + each - 1) // each):
        n0 = np.int64(block) * each
        n1 = min(rows, n0 + each)
        top, norm = np.empty(n1 - n0, z.dtype), np.empty(n1 - n0)
        softmax_rows(z[n0 * classes : n1 * classes], p[n0 * classes : n1 * classes], top, norm)


@kernel
def _strips(z, p):  # type: ignore[no-untyped-def]
    strips = (z.shape[2] + STRIP - 1) // STRIP
    for block in prange(z.shape[0] * strips):
        n, s0 = np.int64(block) // strips, np.int64(block) % strips * STRIP
        s1 = min(z.shape[2], s0 + STRIP)
        softmax_strip(z[n], p[n], np.empty(s1 - s0, z.dtype), np.empty(s1 - s0), s0, s1)


@kernel
def _rows_grad(gy, y, gx, classes):  # type: ignore[no-untyped-def]
    for row in prange(y.size // classes):
        first = np.int64(row) * classes
        g, p, out = gy[first : first + classes], y[first : first + classes], gx[first : first + classes]
        mean = y.dtype.type(_dot(g, p))
        for c in range(out.size):
            out[c] = p[c] * (g[c] - mean)


@kernel
def _strips_grad(gy, y, gx):  # type: ignore[no-untyped-def]
    strips = (y.shape[2] + STRIP - 1) // STRIP
    for block in prange(y.shape[0] * strips):
        n, s0 = np.int64(block) // strips, np.int64(block) % strips * STRIP
        s1 = min(y.shape[2], s0 + STRIP)
        means = np.zeros(s1 - s0)
        for c in range(y.shape[1]):
            g, p = gy[n][c][s0:s1], y[n][c][s0:s1]
            for i in range(means.size):
                means[i] += float(g[i]) * float(p[i])
        for c in range(y.shape[1]):
            g, p, out = gy[n][c][s0:s1], y[n][c][s0:s1], gx[n][c][s0:s1]
            for i in range(out.size):
                out[i] = p[i] * (g[i] - y.dtype.type(means[i]))


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum(exp(x)) along ``axis``, for arrays that hold something; exponents below -87 count as zero."""
    if x.dtype.char not in "fd":
        return softmax(x.astype(np.float32), axis).astype(x.dtype)
    z = np.ascontiguousarray(x)
    p = empty_like(z)
    classes, positions = x.shape[axis], prod(x.shape[axis + 1 :])
    if positions == 1:
        (_rows if x.size >= WAKE else _rows.alone)(z.reshape(-1), p.reshape(-1), classes)
    else:
        view = (-1, classes, positions)
        (_strips if x.size >= WAKE else _strips.alone)(z.reshape(view), p.reshape(view))
    return p


def softmax_grad(gy: Array, y: Array, axis: int) -> Array:
    """Y * (gy - sum(gy * y)) along ``axis``; the sums in float64."""
    if y.dtype.char not in "fd":
        return softmax_grad(gy.astype(np.float32), y.astype(np.float32), axis).astype(y.dtype)
    g, p = np.ascontiguousarray(gy), np.ascontiguousarray(y)
    gx = empty_like(p)
    classes, positions = y.shape[axis], prod(y.shape[axis + 1 :])
    if positions == 1:
        (_rows_grad if y.size >= jit.WAKE else _rows_grad.alone)(g.reshape(-1), p.reshape(-1), gx.reshape(-1), classes)
    else:
        view = (-1, classes, positions)
        (_strips_grad if y.size >= jit.WAKE else _strips_grad.alone)(g.reshape(view), p.reshape(view), gx.reshape(view))
    return gx
