"""Cases of the box ops."""

from __future__ import annotations

import numpy as np

from minicnn.testing.cases.case import Sample, case


def _boxes(rng: np.random.Generator, *counts: int) -> list[np.ndarray]:
    """Sets of boxes with positive sides; no two edges within 0.02 of each other, none at a whole number."""
    total = 4 * sum(counts)
    x = rng.permutation(total) * 0.1 + rng.uniform(0.01, 0.09, total).round(3) * 0.5
    points = x.reshape(-1, 2, 2)
    low, high = points.min(axis=1), points.max(axis=1)
    rows = np.concatenate([low, high], axis=1)
    return np.split(rows, np.cumsum(counts)[:-1])


@case("box_area")
def _box_area(rng: np.random.Generator) -> Sample:
    (boxes,) = _boxes(rng, int(rng.integers(1, 5)))
    return Sample((boxes,), {"inclusive": bool(rng.integers(2))})


@case("box_iou", kinks=True)
def _box_iou(rng: np.random.Generator) -> Sample:
    first, second = _boxes(rng, int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    first[0] += [-20.0, -20.0, 20.0, 20.0]  # so that something overlaps
    return Sample((first, second), {"inclusive": bool(rng.integers(2))})


@case("clip_boxes_to_image", kinks=True)
def _clip_boxes_to_image(rng: np.random.Generator) -> Sample:
    (boxes,) = _boxes(rng, 4)
    return Sample((boxes - 0.503,), {"size": (1, 1)})


@case("nms", differentiable=False)
def _nms(rng: np.random.Generator) -> Sample:
    (boxes,) = _boxes(rng, int(rng.integers(1, 8)))
    return Sample((boxes, rng.permutation(len(boxes)) / 8, 0.3))


@case("batched_nms", differentiable=False)
def _batched_nms(rng: np.random.Generator) -> Sample:
    (boxes,) = _boxes(rng, int(rng.integers(1, 8)))
    return Sample((boxes, rng.permutation(len(boxes)) / 8, rng.integers(0, 2, len(boxes)), 0.3))
