"""Matrix products on all cores, in blocks of the result that do not depend on the number of threads.

NumPy's own threaded BLAS keeps its workers spinning for a while after each product, on the cores that the next numba
kernel wants. Here the kernels' threads multiply: each takes whole blocks, by a single-threaded BLAS call. Small
products, for which OpenBLAS too uses one thread, are NumPy's (``arrays.matmul``).
"""

from typing import Any

import numpy as np

from minicnn.backends.cpu import blas
from minicnn.backends.cpu.jit import kernel, prange
from minicnn.core.types import Array

WIDTH = 64  # rows or columns of a block: BLAS is near full speed from here on
BLOCKS = 16  # and not more blocks than this, since each packs the whole other factor again


def matmul(a: Array, b: Array) -> Array:
    """``a @ b`` for matrices of one floating dtype."""
    (m, k), n = a.shape, b.shape[1]
    left, ta, lda = _stored(a)
    right, tb, ldb = _stored(b)
    out = np.empty((m, n), a.dtype)
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
