"""Adding at indices on the device: what the cases leave out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.backends.cuda.twins import Twins

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("count", "width", "size"),
    [(5, 1, 7), (300, 1, 400), (900, 1, 3), (60, 5, 8), (70, 40, 3), (400, 70, 2), (3, 2, 900), (0, 4, 3), (4, 0, 3)],
)
def test_short_and_long_runs(twins: Twins, count: int, width: int, size: int, dtype: type) -> None:
    rows = RNG.standard_normal((count, width)).astype(dtype)
    index = RNG.integers(0, size, count)
    found = twins.agree("indexing.add_rows", rows, index, size)
    atomic = twins.result("indexing.add_rows_atomic", rows, index, size)
    np.testing.assert_allclose(atomic, found, atol=1e-4 if dtype is np.float32 else 1e-12)


def test_one_long_run_keeps_its_last_rows(twins: Twins) -> None:
    rows = np.ones((1, 1), np.float32).repeat(70_000, 0) * np.float32(0.1)
    found = twins.result("indexing.add_rows", rows, np.zeros(70_000, np.int64), 4000)
    assert abs(found[0, 0] - 7000) < 0.05  # one after the other in float32: 6998.7 or worse
    assert not found[1:].any()


def test_negative_places_are_dropped(twins: Twins) -> None:
    found = twins.result("indexing.add_flat", np.arange(1.0, 6.0), np.array([-1, 2, -1, 0, 2]), 3)
    assert found.tolist() == [4.0, 0.0, 7.0]
    assert twins.result("indexing.add_flat", np.ones(2), np.array([-1, -1]), 2).tolist() == [0.0, 0.0]


def test_nan_reaches_its_own_place_only(twins: Twins) -> None:
    twins.agree("indexing.add_flat", np.array([1.0, np.nan, 2.0]), np.array([0, 1, 0]), 3)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.bool_])
def test_whole_numbers(twins: Twins, dtype: type) -> None:
    values = RNG.integers(0, 200, 300).astype(dtype)
    index = RNG.integers(0, 40, 300)
    twins.agree("indexing.add_flat", values, index, 50)
    twins.agree("indexing.add_rows", values.reshape(100, 3), index[:100], 50)


def test_the_order_of_addition_is_that_of_the_rows(twins: Twins) -> None:
    values = np.array([1e16, 1.0, -1e16, 1.0])
    assert twins.result("indexing.add_flat", values, np.zeros(4, np.int64), 1).tolist() == [1.0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_of_any_axis(twins: Twins, axis: int) -> None:
    x = RNG.standard_normal((4, 5, 3))
    twins.agree("indexing.add_slices", x, RNG.integers(0, 6, x.shape[axis]), axis, 6)
    shape = tuple(7 if i == axis else n for i, n in enumerate(x.shape))
    twins.agree("indexing.add_along", x, RNG.integers(0, 7, x.shape), axis, shape)


@pytest.mark.parametrize(
    "index",
    [
        (np.array([[0, -1], [2, 0]]),),
        (np.array([1, 1, -3]), np.array([0, 0, -1])),
        (slice(None), np.array([0, 0, 3])),
        (np.array([2, 2]), slice(1, 3), np.array([0, 0])),
        (Ellipsis, np.array([1, 1, 1])),
    ],
)
def test_any_index(twins: Twins, index: Any) -> None:
    out = RNG.standard_normal((3, 4, 5))
    values = RNG.standard_normal(out[index].shape)
    expected = out.copy()
    np.add.at(expected, index, values)
    target = twins.there(out)
    twins.backend.indexing.add_at(target, twins.there(index), twins.there(values))
    np.testing.assert_allclose(twins.here(target), expected, rtol=1e-13)
