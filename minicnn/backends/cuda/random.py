"""Random bits made on the GPU (``kernels/random.cu``): Philox4x32-10, word for word those of ``core/rng.py``."""

from math import prod

import numpy as np

from minicnn.backends.cuda import seam
from minicnn.core.types import Array, Shape


def mask(shape: Shape, threshold: int, key: tuple[int, int], call: int) -> Array:
    """Bool array of that shape: element i is True where word i of the call is at least `threshold`.

    `threshold` runs from 0 (all True) to 2**32 (all False); `key` and `call` are those of a ``rng.Stream``.
    """
    n = prod(shape)
    counters = (n + 3) // 4
    keep = seam.empty(4 * counters, np.bool_)
    words = *key, call & 0xFFFFFFFF, call >> 32
    seam.elementwise("random.philox_mask", counters, keep, *words, threshold, counters, real=np.float32)
    return keep[:n].reshape(shape)


def masked_scale(x: Array, keep: Array, scale: float) -> Array:
    """X times scale where kept, x times 0 elsewhere (so that NaN propagates); `keep` has x's shape."""
    y = seam.empty(x.shape, x.dtype)
    seam.packs("random.masked_scale", x, seam.contiguous(x), seam.contiguous(keep), y, scale, x.size)
    return y
