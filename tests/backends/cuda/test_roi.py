"""RoI pooling on the device: many boxes and channels, degenerate boxes, the atomic variants."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn.backends import cpu
from tests.backends.cuda.twins import Twins

RNG = np.random.default_rng(0)
IMAGES, HEIGHT, WIDTH = 3, 9, 7


def boxes_of(count: int) -> np.ndarray:
    """Images in no order; some boxes reversed, some off the map, some of one point."""
    corners = RNG.uniform(-6, 24, (count, 2))
    far = corners + RNG.uniform(-3, 20, (count, 2))
    boxes = np.concatenate([RNG.integers(0, IMAGES, (count, 1)), corners, far], axis=1)
    boxes[0, 1:] = [4.0, 2.0, 4.0, 2.0]
    boxes[1, 1:] = [100.0, 100.0, 120.0, 130.0]
    boxes[2, 1:] = [0.0, 0.0, 14.0, 18.0]
    return boxes


def fault(twins: Twins, boxes: np.ndarray, images: int) -> int:
    mine: int = twins.result("roi.box_fault", boxes, images)
    assert mine == cpu.roi.box_fault(boxes, images)
    return mine


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [5, 8, 19])  # a thread takes 8
def test_maxima_and_their_adjoint(twins: Twins, channels: int, dtype: type, overlap: bool) -> None:
    x = RNG.integers(0, 5, (IMAGES, channels, HEIGHT, WIDTH)).astype(dtype)  # many ties
    boxes = boxes_of(12)
    y, index = twins.agree("roi.roi_pool", x, boxes, (3, 2), 0.5, overlap)
    literal = twins.result("roi.roi_pool_1", x, boxes, (3, 2), 0.5, overlap)
    assert np.array_equal(literal[0], y) and np.array_equal(literal[1], index)
    assert (index[1] == -1).all()
    twins.agree("roi.gather_bins", x, index)
    args = y, boxes, index, x.shape, 0.5, overlap
    gx = twins.agree("roi.roi_pool_adjoint", *args)
    np.testing.assert_allclose(twins.result("roi.roi_pool_adjoint_atomic", *args), gx, rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 7), (20, 3)])
@pytest.mark.parametrize("overlap", [True, False])
def test_cells_gather_from_bins_of_every_length(twins: Twins, overlap: bool, size: tuple[int, int]) -> None:
    """More bins than cells, bins of many cells, boxes far off and far larger than the map."""
    x, boxes = RNG.standard_normal((IMAGES, 9, HEIGHT, WIDTH)), boxes_of(20)
    boxes[3, 1:] = [-3e9, -5e9, 4e9, 6e9]
    boxes[4, 1:] = [-3e9, 0.0, -2e9, 18.0]
    y, index = twins.agree("roi.roi_pool", x, boxes, size, 0.5, overlap)
    twins.agree("roi.roi_pool_adjoint", RNG.standard_normal(y.shape), boxes, index, x.shape, 0.5, overlap)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_boxes_that_no_box_may_be(twins: Twins, dtype: type) -> None:
    boxes = boxes_of(300).astype(dtype)
    boxes[:, 0] = RNG.integers(0, IMAGES, 300)
    assert fault(twins, boxes, IMAGES) == 0
    for bad in (IMAGES, -1, *([0.5, -0.25] if dtype is not np.int64 else [])):
        wrong = boxes.copy()
        wrong[280, 0] = bad
        assert fault(twins, wrong, IMAGES) == 2
    for bad in (np.nan, np.inf, -np.inf) if dtype is not np.int64 else ():
        wrong = boxes.copy()
        wrong[3, 0], wrong[290, 4] = 7, bad
        assert fault(twins, wrong, IMAGES) == 1


def test_nan_is_the_maximum_of_its_bin(twins: Twins) -> None:
    x = RNG.standard_normal((IMAGES, 1, HEIGHT, WIDTH))
    x[:, 0, 4, 3] = np.nan
    y, _ = twins.agree("roi.roi_pool", x, boxes_of(4), (2, 2), 0.5, True)
    assert np.isnan(y[2]).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 16, 19])  # the adjoint takes 16 at a time
@pytest.mark.parametrize("sampling", [-1, 2])
@pytest.mark.parametrize("aligned", [False, True])
def test_means_and_their_adjoint(twins: Twins, aligned: bool, sampling: int, channels: int, dtype: type) -> None:
    boxes = boxes_of(10)
    x = RNG.standard_normal((IMAGES, channels, HEIGHT, WIDTH)).astype(dtype)
    y = twins.agree("roi.roi_align", x, boxes, (3, 2), 0.5, aligned, sampling, None)
    literal = twins.result("roi.roi_align_1", x, boxes, (3, 2), 0.5, aligned, sampling, None)
    np.testing.assert_allclose(literal, y, atol=1e-5 if dtype is np.float32 else 1e-13)
    options = (boxes, x.shape, 0.5, aligned, sampling, None)
    gx = twins.agree("roi.roi_align_adjoint", y, *options)
    atomic = twins.result("roi.roi_align_adjoint_atomic", y, *options)
    np.testing.assert_allclose(atomic, gx, atol=1e-5 if dtype is np.float32 else 1e-13)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling", [-1, 2])
def test_greatest_samples_and_their_adjoint(twins: Twins, sampling: int, aligned: bool) -> None:
    boxes = boxes_of(6)
    x = RNG.standard_normal((IMAGES, 17, HEIGHT, WIDTH))
    chosen = twins.agree("roi.roi_align_choice", x, boxes, (3, 2), 0.5, aligned, sampling)
    y = twins.agree("roi.roi_align", x, boxes, (3, 2), 0.5, aligned, sampling, chosen)
    options = (boxes, x.shape, 0.5, aligned, sampling, chosen)
    gx = twins.agree("roi.roi_align_adjoint", y, *options)
    np.testing.assert_allclose(twins.result("roi.roi_align_adjoint_atomic", y, *options), gx, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_among_equal_samples_the_first_is_chosen_as_on_the_cpu(twins: Twins, dtype: type) -> None:
    """Constant maps: every sample is the same but for rounding, so that the last bit decides."""
    x = np.broadcast_to(np.linspace(0.1, 1.9, 9), (IMAGES, HEIGHT, WIDTH, 9)).transpose(0, 3, 1, 2).astype(dtype)
    twins.agree("roi.roi_align_choice", x, boxes_of(20), (3, 2), 0.37, True, 3)


def test_no_boxes(twins: Twins) -> None:
    x, boxes = RNG.standard_normal((2, 3, 4, 4)), np.zeros((0, 5))
    y, index = twins.agree("roi.roi_pool", x, boxes, (2, 2), 1.0, True)
    twins.agree("roi.roi_pool_adjoint", y, boxes, index, x.shape, 1.0, True)
    assert fault(twins, boxes, 2) == 0
    y = twins.agree("roi.roi_align", x, boxes, (2, 2), 1.0, False, 2, None)
    twins.agree("roi.roi_align_adjoint", y, boxes, x.shape, 1.0, False, 2, None)
    twins.agree("roi.roi_align_choice", x, boxes, (2, 2), 1.0, False, 2)
