"""Exercise: non-maximum suppression."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, Mistake, sizes, steps


def overlap(a: Array, b: Array) -> float:
    """Intersection over union of two boxes (x1, y1, x2, y2)."""
    wide, high = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    inner = max(wide, 0.0) * max(high, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner
    return float(inner / union) if union > 0 else 0.0


def nms(boxes: Array, scores: Array, *, threshold: float) -> Array:
    """Greedy non-maximum suppression.

    Parameters
    ----------
    boxes : array (N, 4)
        Rows (x1, y1, x2, y2).
    scores : array (N,)
    threshold : float
        A box is dropped if its overlap with a kept one is greater than this.

    Returns
    -------
    array of int (K,)
        Numbers of the kept boxes, by falling score; among equal scores the lower number first.
    """
    # begin solution
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if all(overlap(boxes[i], boxes[k]) <= threshold for k in kept):
            kept.append(int(i))
    return np.array(kept, dtype=np.int64)
    # end solution


def naive(boxes: Array, scores: Array, *, threshold: float) -> Array:
    """Take the best that is left, strike out what overlaps it, and again."""
    left = set(range(len(boxes)))
    kept = []
    while left:
        best = min(left, key=lambda i: (-float(scores[i]), i))
        kept.append(best)
        left = {i for i in left if i != best and _shared(boxes[best].tolist(), boxes[i].tolist()) <= threshold}
    return np.array(kept, dtype=np.int64)


def _shared(a: list[float], b: list[float]) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inner = wide * high if wide > 0 and high > 0 else 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner
    return inner / union if union > 0 else 0.0


def _by_position(boxes: Array, scores: Array, *, threshold: float) -> Array:
    return nms(boxes, -np.arange(len(boxes), dtype=float), threshold=threshold)


def _rising(boxes: Array, scores: Array, *, threshold: float) -> Array:
    return nms(boxes, -scores, threshold=threshold)


def _in_order_of_number(boxes: Array, scores: Array, *, threshold: float) -> Array:
    return np.sort(nms(boxes, scores, threshold=threshold))


def _dropped_ones_drop(boxes: Array, scores: Array, *, threshold: float) -> Array:
    order = np.argsort(-scores, kind="stable")
    kept = [int(i) for n, i in enumerate(order) if all(overlap(boxes[i], boxes[j]) <= threshold for j in order[:n])]
    return np.array(kept, dtype=np.int64)


def _from_threshold_on(boxes: Array, scores: Array, *, threshold: float) -> Array:
    return nms(boxes, scores, threshold=float(np.nextafter(threshold, -1)))


def _later_first(boxes: Array, scores: Array, *, threshold: float) -> Array:
    kept = nms(boxes[::-1], scores[::-1], threshold=threshold)
    return len(boxes) - 1 - kept


def _crowd(rng: np.random.Generator) -> Sample:
    (n,) = sizes(rng, (6, 12))
    corner = rng.integers(0, 6, (n, 2))
    boxes = np.hstack([corner, corner + rng.integers(3, 7, (n, 2))]).astype(float)
    return Sample((boxes, (rng.permutation(n) + 1) / 20.0), {"threshold": float(rng.choice([0.15, 0.3, 0.45]))})


def _chain(rng: np.random.Generator) -> Sample:
    """Each box overlaps the next one only: the third is kept because the second was dropped."""
    step = float(rng.integers(3, 5))
    boxes = np.array([[step * i, 0.0, step * i + 10.0, 4.0] for i in range(5)])
    order = rng.permutation(5) if rng.integers(2) else np.arange(5)
    scores = np.linspace(0.9, 0.5, 5)
    return Sample((boxes[order], scores[order]), {"threshold": 0.35})


def _far(rng: np.random.Generator) -> Sample:
    boxes = np.array([[20.0 * i, 0.0, 20.0 * i + 5.0, 5.0] for i in range(5)])
    return Sample((boxes, (rng.permutation(5) + 1) / 10.0), {"threshold": 0.5})


def _equal(rng: np.random.Generator) -> Sample:
    shift = float(rng.integers(0, 3))
    boxes = np.array([[0.0, 0.0, 10.0, 10.0], [shift, 0.0, shift + 10.0, 11.0], [0.0, 1.0, 10.0, 11.0], [30, 0, 40, 9]])
    return Sample((boxes, np.array([0.5, 0.5, 0.5, 0.5])), {"threshold": 0.5})


def _exact(rng: np.random.Generator) -> Sample:
    side = float(2 * rng.integers(1, 5))
    boxes = np.array([[0.0, 0.0, side, side], [0.0, 0.0, side / 2, side], [0.0, 0.0, side / 2, side / 2]])
    return Sample((boxes, np.array([0.9, 0.8, 0.7])), {"threshold": 0.5})


def _none(rng: np.random.Generator) -> Sample:
    return Sample((np.zeros((0, 4)), np.zeros(0)), {"threshold": 0.5})


EXERCISE = Exercise(
    name="nms",
    title="Non-maximum suppression",
    difficulty=2,
    task="""\
A detector finds the same object many times. Keep the best box of each crowd:

    take the boxes by falling score (among equal scores, the lower number first);
    keep a box unless its overlap with one that was already kept is greater than threshold.

Shapes: boxes (N, 4), scores (N,) -> numbers of the kept boxes (K,), by falling score. `overlap` is given.""",
    solution=nms,
    oracle=naive,
    given=(overlap,),
    hints=steps("""\
np.argsort(-scores, kind="stable") is the order to go in; "stable" keeps equal scores in order of number.

Compare each box with those that were kept so far, not with those that were dropped: a dropped box drops
nothing.

An overlap equal to the threshold is kept: dropped means greater.

kept = []; for i in order: if all(overlap(boxes[i], boxes[k]) <= threshold for k in kept): kept.append(i).
Return it as an array; for no boxes that is an empty one."""),
    cases={
        "a crowd": _crowd, "a chain of boxes": _chain, "boxes far apart": _far, "equal scores": _equal,
        "an overlap of exactly the threshold": _exact, "no boxes": _none,
    },
    mistakes=(
        Mistake("boxes that were dropped drop others; only kept ones may", 2, _dropped_ones_drop),
        Mistake("boxes are taken in the order in which they stand, not by score", 1, _by_position),
        Mistake("boxes are taken by rising score", 1, _rising),
        Mistake("the numbers are sorted; they must come by falling score", 1, _in_order_of_number),
        Mistake("an overlap equal to the threshold drops a box; only a greater one may", 3, _from_threshold_on),
        Mistake("among equal scores the higher number is taken first", 1, _later_first),
    ),
    reread={"a chain of boxes": 2, "equal scores": 1, "an overlap of exactly the threshold": 3, "boxes far apart": 1},
    prerequisites=("iou",),
    reference="docs/ops/boxes.md",
)
