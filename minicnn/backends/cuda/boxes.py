"""Greedy non-maximum suppression on the GPU (``kernels/boxes.cu``)."""

import numpy as np

from minicnn.backends.cuda import seam
from minicnn.core.types import Array

_WORD = 64  # boxes whose overlaps with one box make an int64
_BLOCK = 256


def nms(boxes: Array, scores: Array, classes: Array | None, threshold: float, inclusive: bool) -> Array:
    """Indices of the boxes kept, by falling score (equal scores by rising index); classes do not meet."""
    xp = seam.xp()
    n = len(scores)
    if not n:
        return xp.zeros(0, np.int64)
    order = xp.argsort(-scores.astype(np.float64), kind="stable")
    rows = seam.contiguous(boxes.astype(np.float64)[order])
    groups = None if classes is None else seam.contiguous(classes.astype(np.int64)[order])
    words = -(-n // _WORD)
    bits, dropped, alive = seam.empty((n, words), np.int64), xp.zeros(words, np.int64), seam.empty(n, np.bool_)
    extra = 1.0 if inclusive else 0.0
    seam.launch("boxes.overlap_bits", (words, words), _WORD, rows, groups, bits, threshold, extra, n, words)
    seam.launch("boxes.keep_greedily", 1, _BLOCK, bits, dropped, alive, n, words)
    return order[alive]
