"""Greedy non-maximum suppression."""

import numpy as np

from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.core.types import Array

BLOCK = 128  # boxes settled one after the other before the rest is compared with the survivors on all cores


@inline
def _overlap(boxes, i, j, extra):  # type: ignore[no-untyped-def]
    """Intersection over union; 0 where the union has no area."""
    width = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0]) + extra
    height = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1]) + extra
    if not (width > 0 and height > 0):
        return 0.0
    shared = width * height
    first = (boxes[i, 2] - boxes[i, 0] + extra) * (boxes[i, 3] - boxes[i, 1] + extra)
    second = (boxes[j, 2] - boxes[j, 0] + extra) * (boxes[j, 3] - boxes[j, 1] + extra)
    return shared / (first + second - shared)


@kernel
def _nms(boxes, classes, extra, threshold, alive):  # type: ignore[no-untyped-def]
    n = boxes.shape[0]
    for low in range(0, n, BLOCK):
        high = min(low + BLOCK, n)
        for i in range(low, high):
            if alive[i]:
                for j in range(i + 1, high):
                    if alive[j] and classes[i] == classes[j] and _overlap(boxes, i, j, extra) > threshold:
                        alive[j] = False
        for j in prange(high, n):
            if alive[j]:
                for i in range(low, high):
                    if alive[i] and classes[i] == classes[j] and _overlap(boxes, i, j, extra) > threshold:
                        alive[j] = False
                        break


def nms(boxes: Array, scores: Array, classes: Array | None, threshold: float, inclusive: bool) -> Array:
    """Indices of the boxes kept, by falling score (equal scores by rising index); classes do not meet."""
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    alive = np.ones(len(order), np.bool_)
    if len(order):
        groups = np.zeros(len(order), np.int64) if classes is None else np.asarray(classes, np.int64)[order]
        rows = np.ascontiguousarray(boxes, np.float64)[order]
        _nms(rows, groups, 1.0 if inclusive else 0.0, threshold, alive)
    return order[alive]
