"""Suppression on the device: several words of boxes, classes, ties, nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backends.cuda.twins import Twins

RNG = np.random.default_rng(0)


def boxes_of(count: int) -> np.ndarray:
    low = RNG.integers(0, 30, (count, 2))
    return np.concatenate([low, low + RNG.integers(0, 16, (count, 2))], axis=1).astype(np.float64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_any_number_of_boxes(twins: Twins, count: int, classes: int, inclusive: bool, dtype: type) -> None:
    scores = RNG.integers(0, 20, count).astype(dtype) / 16  # many equal ones
    groups = None if classes == 1 else RNG.integers(0, classes, count)
    for threshold in (0.0, 0.3, 0.5):
        twins.agree("boxes.nms", boxes_of(count).astype(dtype), scores, groups, threshold, inclusive)


def test_equal_boxes_leave_one_for_each_class(twins: Twins) -> None:
    boxes, scores = np.tile([[0.0, 0.0, 4.0, 4.0]], (150, 1)), np.arange(150.0)
    assert twins.agree("boxes.nms", boxes, scores, None, 0.5, False).tolist() == [149]
    assert twins.agree("boxes.nms", boxes, scores, np.arange(150) % 2, 0.5, False).tolist() == [149, 148]


def test_a_chain_of_boxes_drops_every_other_one(twins: Twins) -> None:
    start = np.arange(140.0)  # each meets its neighbours only, by 1/3
    boxes = np.stack([start, 0 * start, start + 2, 0 * start + 1], axis=1)
    kept = twins.agree("boxes.nms", boxes, -start, None, 0.3, False)
    assert kept.tolist() == list(range(0, 140, 2))


def test_boxes_below_zero_and_turned_round(twins: Twins) -> None:
    """Corners of either sign; some boxes have a negative side, which overlaps with nothing unless ends are counted."""
    boxes = RNG.uniform(-9, 9, (130, 4))
    for inclusive in (False, True):
        twins.agree("boxes.nms", boxes, RNG.standard_normal(130), None, 0.2, inclusive)


def test_no_boxes(twins: Twins) -> None:
    twins.agree("boxes.nms", np.zeros((0, 4)), np.zeros(0), None, 0.5, False)
