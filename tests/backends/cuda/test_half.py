"""Pooling, resizing and indexing in float16: read and written so, summed in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minicnn.backends import cpu
from minicnn.core.windows import Window2d
from tests.backends.cuda.twins import Twins

RNG = np.random.default_rng(0)
WINDOW = Window2d((3, 3), (2, 2), (1, 1))
X = RNG.standard_normal((2, 3, 10, 8)).astype(np.float16)
Y = RNG.standard_normal((2, 3, 5, 4)).astype(np.float16)
BOXES = np.array([[0, 0.3, 1.1, 5.2, 6.4], [1, 2.0, 2.0, 7.0, 9.5], [1, -3.0, 0.0, 4.0, 4.0]])
CHOSEN = RNG.integers(-1, 4, (3, 3, 2, 2))
BINS = RNG.standard_normal((3, 3, 2, 2)).astype(np.float16)
POOL_INDEX = cpu.pooling.max_pool2d(X.astype(np.float32), WINDOW, (5, 4), True)[1]
BOX_INDEX = cpu.roi.roi_pool(X.astype(np.float32), BOXES, (2, 2), 1.0, True)[1]
RESIZE = ("bicubic", False, (None, None), False)

CALLS: dict[str, tuple[Any, ...]] = {
    "pooling.max_pool2d": (X, WINDOW, (5, 4), True),
    "pooling.scatter_planes": (Y, RNG.integers(0, 80, Y.shape).astype(np.int32), (10, 8)),
    "pooling.gather_planes": (X, RNG.integers(-1, 80, Y.shape).astype(np.int32)),
    "pooling.max_pool2d_adjoint": (Y, POOL_INDEX, (10, 8), WINDOW),
    "average_pooling.avg_pool2d": (X, WINDOW, (5, 4), True, None),
    "average_pooling.avg_pool2d_adjoint": (Y, WINDOW, (10, 8), False, None),
    "average_pooling.adaptive_avg_pool2d": (X, (1, 1)),
    "local_normalization.local_response_norm": (X, 1, 1, 0.3, 0.75, 2.0),
    "local_normalization.local_response_norm_grad": (X[::-1], X, np.abs(X) + np.float16(1), 1, 1, 0.3, 0.75),
    "unfold.unfold": (X, WINDOW, (5, 4)),
    "unfold.fold": (RNG.standard_normal((2, 27, 20)).astype(np.float16), WINDOW, (10, 8), (5, 4)),
    "indexing.add_rows": (RNG.standard_normal((90, 3)).astype(np.float16), RNG.integers(0, 4, 90), 4),
    "resample.resize": (X, (13, 5), *RESIZE),
    "resample.resize_adjoint": (Y, (9, 3), *RESIZE),
    "roi.roi_pool": (X, BOXES, (2, 2), 1.0, True),
    "roi.gather_bins": (X, RNG.integers(-1, 480, BINS.shape)),
    "roi.roi_pool_adjoint": (BINS, BOXES, BOX_INDEX, X.shape, 1.0, True),
    "roi.roi_align": (X, BOXES, (2, 2), 1.0, True, -1, None),
    "roi.roi_align_choice": (X, BOXES, (2, 2), 1.0, True, 2),
    "roi.roi_align_adjoint": (BINS, BOXES, X.shape, 1.0, True, 2, CHOSEN),
}


@pytest.mark.parametrize("name", CALLS)
def test_float16_is_the_cpus_float32_rounded(twins: Twins, name: str) -> None:
    args = CALLS[name]
    module, function = name.split(".")
    wide = [a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype == np.float16 else a for a in args]
    found, expected = twins.result(name, *args), getattr(getattr(cpu, module), function)(*wide)
    pairs = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
    for mine, theirs in pairs:
        assert mine.dtype == (np.float16 if theirs.dtype == np.float32 else theirs.dtype)
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3)
