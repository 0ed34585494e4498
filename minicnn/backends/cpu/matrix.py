"""Matrix products on all cores, in blocks of the result that do not depend on the number of threads.

NumPy's own threaded BLAS keeps its workers spinning for a while after each product, on the cores that the next numba
kernel wants. Here the kernels' threads multiply: each takes whole blocks, by a single-threaded BLAS call. Small
products, for which OpenBLAS too uses one thread, are NumPy's (``arrays.matmul``).

A fully connected layer on a small batch is another thing: a factor of hundreds of megabytes, each number of which is
used a few times. BLAS repacks it before it multiplies; the three loops at the end of this file read (or write) it once.
"""

from typing import Any

import numpy as np

from minicnn.backends.cpu import blas
from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.memory import empty
from minicnn.core.types import Array

WIDTH = 64  # rows or columns of a block: BLAS is near full speed from here on
BLOCKS = 16  # and not more blocks than this, since each packs the whole other factor again

FEW = 16  # rows of the small factor
LARGE = 1 << 20  # elements of the other from which it lies beyond the cores' own caches
SLAB = 1024  # columns of the large factor that are combined while their sums stay in the L1 cache
DEPTH = 2048  # elements of a row that are multiplied and added in their own dtype before the sum goes on in float64


def matmul(a: Array, b: Array) -> Array:
    """``a @ b`` for matrices of one floating dtype."""
    (m, k), n = a.shape, b.shape[1]
    if m <= FEW and b.size >= LARGE and (b.flags.c_contiguous or b.flags.f_contiguous):
        out = empty((m, n), a.dtype)
        if b.flags.c_contiguous:
            _few_rows(np.ascontiguousarray(a), b, out)
        else:
            _few_dots(np.ascontiguousarray(a), b.T, out)
        return out
    if 0 < k <= FEW and m * n >= LARGE:
        out = empty((m, n), a.dtype)
        _few_terms(np.ascontiguousarray(a), np.ascontiguousarray(b), out)
        return out
    left, ta, lda = _stored(a)
    right, tb, ldb = _stored(b)
    out = empty((m, n), a.dtype)
    by_rows = m >= n
    step = max(WIDTH, -(-max(m, n) // BLOCKS))
    with blas.single_threaded(a.dtype) as address:
        _matmul(address, left, ta, lda, right, tb, ldb, out.reshape(-1), m, n, k, by_rows, step)
    return out


def _stored(a: Array) -> tuple[Array, int, int]:
    """The elements in memory order, whether they are the transpose's, and the length of a stored row."""
    if a.flags.c_contiguous:
        return a.reshape(-1), 0, a.shape[1]
    if a.flags.f_contiguous:
        return a.T.reshape(-1), 1, a.shape[0]
    return np.ascontiguousarray(a).reshape(-1), 0, a.shape[1]


@kernel
def _matmul(
    address: int, a: Array, ta: int, lda: int, b: Array, tb: int, ldb: int, c: Array,
    m: int, n: int, k: int, by_rows: bool, step: int,
) -> Any:  # fmt: skip
    zero = c.dtype.type(0)
    size = m if by_rows else n
    for i in prange((size + step - 1) // step):
        first = i * step
        count = min(step, size - first)
        if by_rows:
            a0 = first if ta else first * lda
            blas.gemm(address, ta, tb, count, n, k, a, a0, lda, b, 0, ldb, zero, c, first * n, n)
        else:
            b0 = first * ldb if tb else first
            blas.gemm(address, ta, tb, m, count, k, a, 0, lda, b, b0, ldb, zero, c, first, n)


@kernel(fastmath={"reassoc", "contract"})
def _few_dots(a: Array, b: Array, c: Array) -> Any:
    """``c = a b'``: rows of ``b`` in turn, each against the few of ``a``."""
    m, k = a.shape
    zero = a.dtype.type(0)
    for j in prange(b.shape[0]):
        totals = np.zeros(m)
        for low in range(0, k, DEPTH):
            right = b[j, low : low + DEPTH]
            for i in range(m):
                left = a[i, low : low + DEPTH]
                part = zero
                for q in range(left.size):
                    part += left[q] * right[q]
                totals[i] += part
        for i in range(m):
            c[i, j] = totals[i]


@inline
def _fill(total: Array, value: float) -> Any:
    for j in range(total.size):
        total[j] = value


@inline
def _add(total: Array, value: Array, factor: Any) -> Any:
    for j in range(total.size):
        total[j] += factor * value[j]


@kernel(fastmath={"contract"})
def _few_rows(a: Array, b: Array, c: Array) -> Any:
    """``c = a b``: slabs of columns; four rows of ``b`` at a time are added to the few sums."""
    m, k = a.shape
    n = b.shape[1]
    for slab in prange((n + SLAB - 1) // SLAB):
        low = np.int64(slab) * SLAB
        high = min(n, low + SLAB)
        for i in range(m):
            _fill(c[i, low:high], 0)
        parts = np.empty((m, high - low), b.dtype)
        for first in range(0, k, DEPTH // 4):
            last = min(k, first + DEPTH // 4)
            for i in range(m):
                _fill(parts[i], 0)
            full = first + (last - first) // 4 * 4
            for q in range(first, full, 4):
                b0, b1, b2, b3 = b[q, low:high], b[q + 1, low:high], b[q + 2, low:high], b[q + 3, low:high]
                for i in range(m):
                    a0, a1, a2, a3 = a[i, q], a[i, q + 1], a[i, q + 2], a[i, q + 3]
                    total = parts[i]
                    for j in range(total.size):
                        total[j] += (a0 * b0[j] + a1 * b1[j]) + (a2 * b2[j] + a3 * b3[j])
            for q in range(full, last):
                b0 = b[q, low:high]
                for i in range(m):
                    _add(parts[i], b0, a[i, q])
            for i in range(m):
                _add(c[i, low:high], parts[i], b.dtype.type(1))


@kernel(fastmath={"contract"})
def _few_terms(a: Array, b: Array, c: Array) -> Any:
    """``c = a b`` with few terms in each sum: rows of ``c`` in turn, in slabs that stay in the L1 cache."""
    m, k = a.shape
    n = b.shape[1]
    for i in prange(m):
        for low in range(0, n, SLAB):
            total, b0, a0 = c[i, low : low + SLAB], b[0, low : low + SLAB], a[i, 0]
            for j in range(total.size):
                total[j] = a0 * b0[j]
            for q in range(1, k - 3, 4):
                a0, a1, a2, a3 = a[i, q], a[i, q + 1], a[i, q + 2], a[i, q + 3]
                b0, b1 = b[q, low : low + SLAB], b[q + 1, low : low + SLAB]
                b2, b3 = b[q + 2, low : low + SLAB], b[q + 3, low : low + SLAB]
                for j in range(total.size):
                    total[j] += (a0 * b0[j] + a1 * b1[j]) + (a2 * b2[j] + a3 * b3[j])
            for q in range(1 + (k - 1) // 4 * 4, k):
                _add(total, b[q, low : low + SLAB], a[i, q])
