"""Max pooling on the device: what the cases leave out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minicnn.core.windows import Window2d
from tests.backends.cuda.twins import Twins

RNG = np.random.default_rng(0)
WINDOWS = [
    Window2d((2, 2), (2, 2)),
    Window2d((3, 3), (2, 2), (1, 1), ceil_mode=True),
    Window2d((3, 2), (1, 3), (1, 1), (2, 4)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("window", WINDOWS)
def test_ties_nan_and_infinities(twins: Twins, window: Window2d, dtype: type) -> None:
    x = RNG.integers(0, 4, (2, 3, 15, 18)).astype(dtype)
    x[0, 0, 2:9, 2:9] = -np.inf
    x[0, 1, ::4, ::3] = np.nan
    x[0, 2, 5] = np.inf
    out = window.output_size("max_pool2d", (15, 18))
    y, index = twins.agree("pooling.max_pool2d", x, window, out, True)
    twins.agree("pooling.max_pool2d", x, window, out, False)
    gy = RNG.standard_normal(y.shape).astype(dtype)
    gx = twins.agree("pooling.scatter_planes", gy, index, (15, 18))
    np.testing.assert_allclose(twins.result("pooling.scatter_planes_atomic", gy, index, (15, 18)), gx, atol=1e-5)
    assert np.array_equal(twins.result("pooling.max_pool2d_adjoint", gy, index, (15, 18), window), gx)
    twins.agree("pooling.gather_planes", gx, index)
    twins.agree("pooling.last_writers", np.abs(index), (15, 18))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_place_that_every_output_hits_is_summed_in_one_reading(twins: Twins, dtype: type) -> None:
    """40 000 outputs on one place: the search for the next one each time would take 1.6 thousand million steps."""
    gy = np.full((1, 2, 200, 200), 0.1, dtype)
    index = np.zeros(gy.shape, np.int32)
    index[0, 1] = RNG.integers(-1, 9, (200, 200))
    gx = twins.result("pooling.scatter_planes", gy, index, (3, 3))
    assert gx[0, 0].ravel()[1:].tolist() == [0] * 8
    np.testing.assert_allclose(gx[0, 0, 0, 0], 40_000 * float(gy[0, 0, 0, 0]), rtol=2e-5)
    counts = np.bincount(index[0, 1].ravel() + 1, minlength=10)[1:]
    np.testing.assert_allclose(gx[0, 1].ravel(), counts * float(gy[0, 0, 0, 0]), rtol=1e-6)


@pytest.mark.parametrize("side", [3, 30])
def test_long_and_short_lists_add_up_in_the_order_of_the_outputs(twins: Twins, side: int) -> None:
    gy = np.zeros((1, 1, side, side))
    gy.ravel()[:4] = 1e16, 1.0, -1e16, 1.0  # 1 in this order
    for index in (np.zeros(gy.shape, np.int32), np.arange(side * side, dtype=np.int32).reshape(gy.shape) // 4):
        gx = twins.result("pooling.scatter_planes", gy, index, (side, side))
        assert gx[0, 0, 0, 0] == 1.0


@pytest.mark.parametrize("size", [(1, 1), (4, 5), (9, 3), (13, 8)])
@pytest.mark.parametrize(
    "window", [*WINDOWS, Window2d((1, 1), (3, 2)), Window2d((4, 3), (1, 1), (2, 1)), (3, 2), (9, 1)]
)
def test_places_gather_what_windows_scatter(twins: Twins, window: Any, size: tuple[int, int]) -> None:
    """Strips of rows that are whole and cut, windows that meet, overlap, leave gaps, or (a shape) are adaptive."""
    x = RNG.integers(0, 3, (2, 2, *size)).astype(np.float64)
    if isinstance(window, tuple):
        y, index = twins.result("pooling.adaptive_max_pool2d", x, window, True)
        window = None
    else:
        if any(n + 2 * p < e for n, p, e in zip(size, window.padding, window.extent, strict=True)):
            return
        y, index = twins.result("pooling.max_pool2d", x, window, window.output_size("max_pool2d", size), True)
    gy = RNG.standard_normal(y.shape)
    twins.agree("pooling.max_pool2d_adjoint", gy, index, size, window)


def test_windows_in_the_padding_have_no_index(twins: Twins) -> None:
    window = Window2d((1, 1), (1, 1), (2, 0))  # which no op allows; index -1 gathers 0 and scatters nothing
    x = RNG.standard_normal((1, 2, 3, 3))
    y, index = twins.agree("pooling.max_pool2d", x, window, (7, 3), True)
    assert (index[..., :2, :] == -1).all()
    twins.agree("pooling.gather_planes", x, index)
    twins.agree("pooling.scatter_planes", np.where(np.isfinite(y), y, 1), index, (3, 3))
    twins.agree("pooling.max_pool2d_adjoint", np.where(np.isfinite(y), y, 1), index, (3, 3), window)


@pytest.mark.parametrize("shape", [(0, 2, 4, 4), (2, 0, 4, 4)])
def test_nothing_to_pool(twins: Twins, shape: tuple[int, ...]) -> None:
    y, index = twins.agree("pooling.adaptive_max_pool2d", np.zeros(shape), (2, 2), True)
    twins.agree("pooling.scatter_planes", y, index, (4, 4))
    twins.agree("pooling.max_pool2d_adjoint", y, index, (4, 4), None)
