"""Cases of resizing: up, down, by size and by factor, in every mode."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.testing.cases.case import Sample, case

_TORCH = "torch.nn.functional.interpolate"


def _shape(rng: np.random.Generator) -> tuple[int, ...]:
    return (int(rng.integers(1, 3)), int(rng.integers(1, 3)), int(rng.integers(1, 7)), int(rng.integers(1, 7)))


def _where_to(rng: np.random.Generator, axes: int = 2) -> dict[str, Any]:
    """An output size, or factors that are no fractions of the size."""
    kind = int(rng.integers(3))
    if kind == 0:
        return {"size": tuple(int(v) for v in rng.integers(1, 12, axes))}
    if kind == 1:
        return {"scale_factor": 2, "recompute_scale_factor": bool(rng.integers(2))}
    return {"scale_factor": tuple(float(v) for v in rng.uniform(1, 2.7, axes))}


@case("interpolate", variant="nearest", torch=_TORCH)
def _nearest(rng: np.random.Generator) -> Sample:
    return Sample((rng.standard_normal(_shape(rng)),), _where_to(rng))


@case("interpolate", variant="nearest_exact", torch=_TORCH, order=3)
def _nearest_exact(rng: np.random.Generator) -> Sample:
    return Sample((rng.standard_normal(_shape(rng)),), _where_to(rng) | {"mode": "nearest-exact"})


@case("interpolate", torch=_TORCH)
def _bilinear(rng: np.random.Generator) -> Sample:
    options = _where_to(rng) | {"mode": "bilinear", "align_corners": bool(rng.integers(2))}
    return Sample((rng.standard_normal(_shape(rng)),), options)


@case("interpolate", variant="bicubic", torch=_TORCH)
def _bicubic(rng: np.random.Generator) -> Sample:
    options = _where_to(rng) | {"mode": "bicubic", "align_corners": bool(rng.integers(2))}
    return Sample((rng.standard_normal(_shape(rng)),), options)


@case("interpolate", variant="antialias", torch=_TORCH)
def _antialias(rng: np.random.Generator) -> Sample:
    mode = ("bilinear", "bicubic")[int(rng.integers(2))]
    size = tuple(int(v) for v in rng.integers(2, 8, 2))  # PyTorch 2.13 repeats the first row where the width is 1
    return Sample((rng.standard_normal((1, 2, 9, 11)),), {"size": size, "mode": mode, "antialias": True})


@case("interpolate", variant="area", torch=_TORCH)
def _area(rng: np.random.Generator) -> Sample:
    size = tuple(int(v) for v in rng.integers(1, 8, 2))
    return Sample((rng.standard_normal(_shape(rng)),), {"size": size, "mode": "area"})


@case("interpolate", variant="linear", torch=_TORCH)
def _linear(rng: np.random.Generator) -> Sample:
    options = _where_to(rng, 1) | {"mode": "linear", "align_corners": bool(rng.integers(2))}
    return Sample((rng.standard_normal((2, 2, int(rng.integers(1, 9)))),), options)


@case("upsample_nearest", torch=_TORCH)
def _upsample_nearest(rng: np.random.Generator) -> Sample:
    shape = _shape(rng)[: int(rng.integers(3, 5))]
    return Sample((rng.standard_normal(shape),), {"scale_factor": int(rng.integers(1, 4))})
