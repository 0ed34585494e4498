"""Naive boxes: areas by counting pixels, overlap by definition, suppression by the quadratic loop. NumPy only."""

import numpy as np


def iou_by_pixels(a, b, inclusive=False, side=40):
    """Overlap of two integer boxes, counted on a grid of pixels."""

    def mask(box):
        grid = np.zeros((side, side), bool)
        end = 1 if inclusive else 0
        grid[int(box[1]) : int(box[3]) + end, int(box[0]) : int(box[2]) + end] = True
        return grid

    first, second = mask(a), mask(b)
    union = (first | second).sum()
    return (first & second).sum() / union if union else 0.0


def iou(a, b, inclusive=False):
    extra = 1.0 if inclusive else 0.0
    width = min(a[2], b[2]) - max(a[0], b[0]) + extra
    height = min(a[3], b[3]) - max(a[1], b[1]) + extra
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(c[2] - c[0] + extra) * (c[3] - c[1] + extra) for c in (a, b)]
    union = areas[0] + areas[1] - shared
    return shared / union if union > 0 else 0.0


def nms(boxes, scores, threshold, classes=None, inclusive=False):
    order = sorted(range(len(boxes)), key=lambda i: (-scores[i], i))
    kept = []
    for i in order:
        rivals = [k for k in kept if classes is None or classes[k] == classes[i]]
        if all(iou(boxes[k], boxes[i], inclusive) <= threshold for k in rivals):
            kept.append(i)
    return kept
