"""RoI pooling on the device: many boxes and channels, degenerate boxes, the atomic variants."""

from __future__ import annotations

import numpy as np
import pytest

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


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maxima_and_the_scatter_onto_them(twins: Twins, dtype: type, overlap: bool) -> None:
    x = RNG.integers(0, 5, (IMAGES, 5, HEIGHT, WIDTH)).astype(dtype)  # many ties
    y, index = twins.agree("roi.roi_pool", x, boxes_of(12), (3, 2), 0.5, overlap)
    assert (index[1] == -1).all()
    twins.agree("roi.gather_bins", x, index)
    gx = twins.agree("roi.scatter_bins", y, index, x.shape)
    np.testing.assert_allclose(twins.result("roi.scatter_bins_atomic", y, index, x.shape), gx, rtol=1e-5)


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


def test_no_boxes(twins: Twins) -> None:
    x, boxes = RNG.standard_normal((2, 3, 4, 4)), np.zeros((0, 5))
    y, index = twins.agree("roi.roi_pool", x, boxes, (2, 2), 1.0, True)
    twins.agree("roi.scatter_bins", y, index, x.shape)
    y = twins.agree("roi.roi_align", x, boxes, (2, 2), 1.0, False, 2, None)
    twins.agree("roi.roi_align_adjoint", y, boxes, x.shape, 1.0, False, 2, None)
    twins.agree("roi.roi_align_choice", x, boxes, (2, 2), 1.0, False, 2)
