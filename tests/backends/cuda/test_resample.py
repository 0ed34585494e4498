"""Resizing on the device: sizes and options beyond the cases."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backends.cuda.twins import Twins

MODES = [
    ("nearest", False, False),
    ("nearest-exact", False, False),
    ("bilinear", False, False),
    ("bilinear", True, False),
    ("bilinear", False, True),
    ("bicubic", True, False),
    ("bicubic", False, True),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("mode", "align_corners", "antialias"), MODES)
@pytest.mark.parametrize(
    ("size", "out", "scales"),
    [((7, 5), (14, 10), (None, None)), ((9, 16), (4, 25), (None, None)), ((1, 6), (3, 1), (2.7, 0.2))],
)
def test_every_mode_up_and_down(
    twins: Twins,
    size: tuple[int, int],
    out: tuple[int, int],
    scales: tuple[float | None, float | None],
    mode: str,
    align_corners: bool,
    antialias: bool,
    dtype: type,
) -> None:
    x = np.random.default_rng(2).standard_normal((2, 2, *size)).astype(dtype)
    options = (mode, align_corners, scales, antialias)
    for _ in range(2):  # the second time with taps that lie on the device already
        y = twins.agree("resample.resize", x, out, *options)
        twins.agree("resample.resize_adjoint", y, size, *options)


@pytest.mark.parametrize("planes", [1, 3, 4, 9])  # a thread takes 4
def test_any_number_of_planes(twins: Twins, planes: int) -> None:
    options = ("bicubic", False, (None, None), False)
    x = np.random.default_rng(3).standard_normal((planes, 5, 6))
    y = twins.agree("resample.resize", x, (8, 7), *options)
    assert np.array_equal(twins.result("resample.resize_1", x, (8, 7), *options), y)
    twins.agree("resample.resize_adjoint", y, (5, 6), *options)


def test_no_images(twins: Twins) -> None:
    options = ("bilinear", False, (None, None), False)
    y = twins.agree("resample.resize", np.zeros((0, 3, 4, 4)), (8, 8), *options)
    twins.agree("resample.resize_adjoint", y, (4, 4), *options)
