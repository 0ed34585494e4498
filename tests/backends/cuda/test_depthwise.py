"""Filters of their own for each channel: unrolled kernels and general ones, at the edges of strips, maps and blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minicnn.backends.convolution import PASSES, Problem
from minicnn.backends.cpu import convolution as cpu
from minicnn.backends.cuda.convolution import depthwise

PROBLEMS = {
    "3x3": Problem(2, 3, 3, 3, 9, 7, 9, 7, 3, 3, 1, 1, 1, 1),
    "3x3 by 2": Problem(2, 3, 3, 3, 9, 10, 5, 5, 3, 3, 2, 2, 1, 1),
    "5x5": Problem(2, 2, 2, 2, 6, 11, 6, 11, 5, 5, 1, 1, 2, 2),
    "5x5 by 2": Problem(1, 2, 2, 2, 11, 8, 6, 4, 5, 5, 2, 2, 2, 2),
    "no padding": Problem(1, 2, 2, 2, 8, 7, 6, 5, 3, 3),
    "zeros on one side, windows all in them": Problem(1, 2, 2, 2, 5, 4, 9, 8, 3, 3, 1, 1, 4, 1),
    "zeros on one side, by 2": Problem(1, 2, 2, 2, 5, 4, 5, 4, 3, 3, 2, 2, 0, 3),
    "two filters a channel": Problem(2, 3, 3, 6, 5, 6, 5, 6, 3, 3, 1, 1, 1, 1),
    "two filters a channel, by 2": Problem(2, 3, 3, 6, 5, 6, 3, 3, 5, 5, 2, 2, 2, 2),
    "many small maps": Problem(40, 2, 2, 2, 3, 3, 3, 3, 3, 3, 1, 1, 1, 1),
    "a map of several blocks": Problem(1, 1, 1, 1, 40, 37, 40, 37, 3, 3, 1, 1, 1, 1),
    "one pixel": Problem(1, 2, 2, 2, 1, 1, 1, 1, 5, 5, 1, 1, 2, 2),
    "no images": Problem(0, 2, 2, 2, 4, 4, 4, 4, 3, 3, 1, 1, 1, 1),
}


@pytest.mark.parametrize("unrolled", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", PROBLEMS)
def test_passes_equal_the_definition(
    backend: Any, name: str, dtype: Any, unrolled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = PROBLEMS[name]
    assert depthwise.square(p)
    if not unrolled:
        monkeypatch.setattr(depthwise, "square", lambda _: False)
    rng = np.random.default_rng(0)
    shapes = p.x_shape, p.w_shape, p.y_shape, (p.out_channels,)
    x, w, gy, bias = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    given = {"forward": (x, w, bias), "input_grad": (gy, w), "weight_grad": (gy, x)}
    for which in PASSES:
        expected = getattr(cpu, which)(*(a.astype(np.float64) for a in given[which]), p, "naive")
        mine = getattr(backend.convolution, which)(*map(backend.arrays.asarray, given[which]), p, "depthwise")
        limit = (depthwise.ERROR if dtype is np.float32 else 1e-12) * float(np.abs(expected).max(initial=1))
        np.testing.assert_allclose(backend.to_host(mine), expected, rtol=0, atol=limit, err_msg=which)


@pytest.mark.parametrize(
    "change", [{"kernel_w": 5}, {"stride_h": 2}, {"dilation_h": 2}, {"kernel_h": 4, "kernel_w": 4}]
)
def test_other_windows_are_left_to_the_general_kernels(change: dict[str, int]) -> None:
    assert not depthwise.square(PROBLEMS["3x3"]._replace(**change))
