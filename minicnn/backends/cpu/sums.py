"""Sums of big contiguous arrays: of two of them, and along rows."""

import numpy as np

from minicnn.backends.cpu.jit import kernel, prange
from minicnn.backends.cpu.memory import empty
from minicnn.core.types import Array

BLOCK = 2048  # numbers that are added in their own dtype, in many lanes, before their sum goes on in float64


@kernel
def _add(a, b, out):  # type: ignore[no-untyped-def]
    for i in prange(out.size):
        out[i] = a[i] + b[i]


@kernel
def _add_to(a, b):  # type: ignore[no-untyped-def]
    for i in prange(a.size):  # a kernel of its own: compilers do not vectorise a loop whose output may be an input
        a[i] += b[i]


@kernel(fastmath={"reassoc", "contract"})
def _row_sums(x, out):  # type: ignore[no-untyped-def]
    zero = x.dtype.type(0)
    for row in prange(x.shape[0]):
        total = 0.0
        for low in range(0, x.shape[1], BLOCK):
            block = x[row, low : low + BLOCK]  # a loop over a slice, from 0, vectorises
            part = zero
            for i in range(block.size):
                part += block[i]
            total += part
        out[row] = total


def add(a: Array, b: Array, out: Array | None) -> Array:
    """``a + b`` for contiguous arrays of one shape and dtype; ``out`` may be one of them."""
    if out is None:
        out = empty(a.shape, a.dtype)
        _add.sized(a.size, a.reshape(-1), b.reshape(-1), out.reshape(-1))
    elif out is a:
        _add_to.sized(a.size, a.reshape(-1), b.reshape(-1))
    elif out is b:
        _add_to.sized(a.size, b.reshape(-1), a.reshape(-1))
    else:
        _add.sized(a.size, a.reshape(-1), b.reshape(-1), out.reshape(-1))
    return out


def row_sums(x: Array) -> Array:
    """Sums along the last axis of a contiguous array."""
    out = np.empty(x.shape[:-1], x.dtype)
    _row_sums.sized(x.size, x.reshape(-1, x.shape[-1]), out.reshape(-1))
    return out
