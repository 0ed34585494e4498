"""Cases of RoI pooling and RoIAlign."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.testing.cases.case import Sample, case


def _distinct(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Positive values, all at least 0.02 apart, and irregular, so that interpolated ones do not tie either."""
    return rng.permutation(np.arange(1, np.prod(shape) + 1)).reshape(shape) * 0.05 + rng.uniform(0, 0.03, shape)


def _draw(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
    batch, height, width = int(rng.integers(1, 3)), int(rng.integers(1, 7)), int(rng.integers(1, 7))
    count, scale = int(rng.integers(1, 4)), float(rng.choice([1.0, 0.5]))
    # eighths: the same numbers in float32, so that rounding to cells does not depend on the dtype
    boxes = np.concatenate([rng.integers(0, batch, (count, 1)), rng.integers(-16, 80, (count, 4)) / 8], axis=1)
    low = rng.integers(0, [4 * width, 4 * height]) / 8  # the first box lies on the map, so that something is pooled
    boxes[0, 1:] = np.concatenate([low, low + rng.integers(4, [4 * width + 4, 4 * height + 4]) / 8]) / scale
    size = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    return (_distinct(rng, batch, 2, height, width), boxes, size), {"spatial_scale": scale}


@case("roi_pool", order=3, kinks=True, constants=(1,))
def _roi_pool(rng: np.random.Generator) -> Sample:
    args, kwargs = _draw(rng)
    return Sample(args, {**kwargs, "bins": str(rng.choice(["caffe", "disjoint"]))})


@case("roi_pool", variant="list", order=3, kinks=True, constants=(1,))
def _roi_pool_list(rng: np.random.Generator) -> Sample:
    boxes = [rng.integers(0, 32, (2, 4)) / 8, rng.integers(0, 32, (1, 4)) / 8]
    boxes[0][0] = np.concatenate([rng.integers(0, 16, 2), rng.integers(20, 28, 2)]) / 8  # on the map
    return Sample((_distinct(rng, 2, 1, 4, 5), boxes, 2))


@case("roi_align", order=3, constants=(1,))
def _roi_align(rng: np.random.Generator) -> Sample:
    args, kwargs = _draw(rng)
    options = {"sampling_ratio": int(rng.choice([-1, 1, 2])), "aligned": bool(rng.integers(2))}
    return Sample(args, {**kwargs, **options})


@case("roi_align", variant="max", order=3, kinks=True, constants=(1,))
def _roi_align_max(rng: np.random.Generator) -> Sample:
    args, kwargs = _draw(rng)
    return Sample(args, {**kwargs, "sampling_ratio": 2, "aligned": bool(rng.integers(2)), "mode": "max"})
