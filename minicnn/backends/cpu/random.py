"""Random bits made on the device: Philox4x32-10, word for word those of ``core/rng.py``.

A word depends on (key, call, element) only, so threads take blocks of counters in any order. Masks compare raw
words with an integer threshold: no rounding, hence the same mask on every device.
"""

from math import prod

import numpy as np

from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.memory import empty_like
from minicnn.core.types import Array, Shape

_BLOCK = 1 << 13  # counters per task
_SERIAL = 1 << 12


@inline
def _philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Four random words of one counter; every value is a 32-bit word held in 64 bits."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> shift) ^ c1 ^ k0, p1 & low, (p0 >> shift) ^ c3 ^ k1, p0 & low
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return c0, c1, c2, c3


@inline
def _mask_range(keep, first, stop, k0, k1, c2, c3, threshold):  # type: ignore[no-untyped-def]
    """Compare the words of counters first..stop-1; `keep` holds four entries for each of them."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for j in range(stop - first):
        index = np.uint64(first + j)
        w0, w1, w2, w3 = _philox(index & low, index >> shift, c2, c3, k0, k1)
        keep[4 * j] = w0 >= threshold
        keep[4 * j + 1] = w1 >= threshold
        keep[4 * j + 2] = w2 >= threshold
        keep[4 * j + 3] = w3 >= threshold


@kernel
def _mask(keep, k0, k1, c2, c3, threshold):  # type: ignore[no-untyped-def]
    blocks = keep.size // 4
    k0, k1, c2, c3 = np.uint64(k0), np.uint64(k1), np.uint64(c2), np.uint64(c3)
    threshold = np.uint64(threshold)
    if blocks <= _SERIAL:
        _mask_range(keep, 0, blocks, k0, k1, c2, c3, threshold)
    else:
        for task in prange((blocks + _BLOCK - 1) // _BLOCK):
            first, stop = task * _BLOCK, min(blocks, (task + 1) * _BLOCK)
            _mask_range(keep[4 * first : 4 * stop], first, stop, k0, k1, c2, c3, threshold)


def mask(shape: Shape, threshold: int, key: tuple[int, int], call: int) -> Array:
    """Bool array of that shape: element i is True where word i of the call is at least `threshold`.

    `threshold` runs from 0 (all True) to 2**32 (all False); `key` and `call` are those of a ``rng.Stream``.
    """
    n = prod(shape)
    keep = np.empty(4 * ((n + 3) // 4), dtype=np.bool_)
    _mask(keep, key[0], key[1], call & 0xFFFFFFFF, call >> 32, threshold)
    return keep[:n].reshape(shape)


@kernel
def _masked_scale(x, keep, y, scale):  # type: ignore[no-untyped-def]
    real = y.dtype.type
    scale, zero = real(scale), real(0)
    n = x.size
    if n <= 4 * _SERIAL:
        for i in range(n):
            y[i] = x[i] * (scale if keep[i] else zero)
    else:
        block = 4 * _BLOCK
        for task in prange((n + block - 1) // block):
            a, m = x[task * block : (task + 1) * block], keep[task * block : (task + 1) * block]
            out = y[task * block : (task + 1) * block]
            for i in range(a.size):
                out[i] = a[i] * (scale if m[i] else zero)


def masked_scale(x: Array, keep: Array, scale: float) -> Array:
    """X times scale where kept, x times 0 elsewhere (so that NaN propagates); `keep` has x's shape."""
    x = np.ascontiguousarray(x)
    y = empty_like(x)
    _masked_scale(x.reshape(-1), keep.reshape(-1), y.reshape(-1), float(scale))
    return y
