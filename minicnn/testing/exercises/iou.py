"""Exercise: intersection over union of boxes."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, Mistake, sizes, steps


def iou(a: Array, b: Array) -> Array:
    """Intersection over union of every box of a with every box of b.

    Parameters
    ----------
    a : array (N, 4)
        Rows (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2.
    b : array (M, 4)

    Returns
    -------
    array (N, M)
        In [0, 1]; 0 where the union has no area.
    """
    # begin solution
    a, b = a[:, None, :], b[None, :, :]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., 2:], b[..., 2:])
    inner = np.clip(high - low, 0.0, None).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - inner
    return inner / np.where(union > 0, union, 1.0)
    # end solution


def naive(a: Array, b: Array) -> Array:
    """One pair at a time."""
    out = np.zeros((len(a), len(b)))
    for i, (ax1, ay1, ax2, ay2) in enumerate(a.tolist()):
        for j, (bx1, by1, bx2, by2) in enumerate(b.tolist()):
            wide, high = min(ax2, bx2) - max(ax1, bx1), min(ay2, by2) - max(ay1, by1)
            inner = wide * high if wide > 0 and high > 0 else 0.0
            union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - inner
            if union > 0:
                out[i, j] = inner / union
    return out


def _unclipped(a: Array, b: Array) -> Array:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inner = (high - low).prod(axis=-1)
    union = _area(a)[:, None] + _area(b) - inner
    return inner / np.where(union > 0, union, 1.0)


def _over_sum(a: Array, b: Array) -> Array:
    shared = naive(a, b)
    return shared / (1.0 + shared)  # inner / (sum of both areas)


def _inclusive(a: Array, b: Array) -> Array:
    grown = np.array([0.0, 0.0, 1.0, 1.0])
    return naive(a + grown, b + grown)


def _area(boxes: Array) -> Array:
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def _boxes(rng: np.random.Generator, count: int, side: int = 8) -> Array:
    corner = rng.integers(0, 10, (count, 2))
    return np.hstack([corner, corner + rng.integers(1, side + 1, (count, 2))]) / 2.0


def _meeting(rng: np.random.Generator) -> Sample:
    n, m = sizes(rng, (2, 4), (2, 4))
    a = _boxes(rng, n)
    return Sample((a, np.vstack([_boxes(rng, m, 12), np.add(a[:1], [0.5, 0.0, 1.0, 0.5])])))


def _far(rng: np.random.Generator) -> Sample:
    a = _boxes(rng, 3)
    return Sample((a, np.vstack([a + 40.0, np.add(a, [40.0, 0.0, 40.0, 0.0])])))


def _touching(rng: np.random.Generator) -> Sample:
    a = _boxes(rng, 3)
    return Sample((a, np.vstack([a, np.column_stack([a[:, 2], a[:, 1], a[:, 2] + 1.0, a[:, 3]])])))


def _flat(rng: np.random.Generator) -> Sample:
    a = _boxes(rng, 2)
    points = np.hstack([a[:, :2], a[:, :2]])
    return Sample((np.vstack([a, points]), points))


def _none(rng: np.random.Generator) -> Sample:
    return Sample((_boxes(rng, 2), np.zeros((0, 4))))


EXERCISE = Exercise(
    name="iou",
    title="Intersection over union of boxes",
    difficulty=2,
    task="""\
For boxes (x1, y1, x2, y2) with area (x2 - x1) * (y2 - y1):

    iou = area of the intersection / area of the union,     union = area(a) + area(b) - intersection

for every box of a with every box of b. Shapes: a (N, 4), b (M, 4) -> (N, M). Boxes that do not meet have 0, and so
have two boxes without any area (0, not NaN).""",
    solution=iou,
    oracle=naive,
    hints=steps("""\
The intersection is a box too: its left edge is the larger of both left edges, its right edge the smaller
of both right edges; alike for top and bottom.

If the boxes do not meet, its width or its height comes out negative: clip each at 0 before multiplying.
Two negative sides would make a positive area.

The areas added count the intersection twice; subtract it once.

For all pairs at once: a[:, None, :] against b[None, :, :] broadcasts to (N, M, 4). Divide by
np.where(union > 0, union, 1) to get 0 instead of 0/0."""),
    cases={
        "boxes that overlap": _meeting, "boxes far apart": _far, "equal and touching boxes": _touching,
        "boxes without area": _flat, "no boxes": _none,
    },
    mistakes=(
        Mistake("negative sides of the intersection are not clipped at 0", 2, _unclipped),
        Mistake("you divide by the sum of both areas; the intersection is counted twice in it", 3, _over_sum),
        Mistake("sides are taken as x2 - x1 + 1; here corners are points, not pixels", 1, _inclusive),
    ),
    reread={"boxes far apart": 2, "boxes without area": 4, "boxes that overlap": 1},
    prerequisites=("NumPy's broadcasting",),
    reference="docs/ops/boxes.md",
)
