"""Boxes as Tensors."""

import numpy as np
import pytest

import minicnn as mc
from tests.oracles import boxes as oracle


def draw(rng, n, side=20.0):
    low = rng.uniform(0, side, (n, 2))
    return np.concatenate([low, low + rng.uniform(1, 10, (n, 2))], axis=1)


@pytest.mark.parametrize("inclusive", [False, True])
def test_overlap_equals_the_definition(inclusive):
    rng = np.random.default_rng(1)
    a, b = draw(rng, 7), draw(rng, 5)
    actual = mc.ops.box_iou(mc.tensor(a), mc.tensor(b), inclusive).numpy()
    np.testing.assert_allclose(actual, [[oracle.iou(p, q, inclusive) for q in b] for p in a], atol=1e-14)


def test_a_box_without_area_overlaps_nothing_and_spoils_no_gradient():
    a = mc.tensor(np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 4.0, 4.0]]), requires_grad=True)
    y = mc.ops.box_iou(a, a.detach())
    y.sum().backward()
    np.testing.assert_array_equal(y.detach().numpy(), [[0, 0], [0, 1]])
    assert np.isfinite(a.grad.numpy()).all()


def test_no_boxes_at_all():
    none, one = mc.tensor(np.zeros((0, 4))), mc.tensor(np.ones((1, 4)))
    assert mc.ops.box_iou(none, one).shape == (0, 1)
    assert mc.ops.box_iou(one, none).shape == (1, 0)
    assert mc.ops.box_area(none).shape == (0,)
    kept = mc.ops.nms(none, mc.tensor(np.zeros(0)), 0.5)
    assert kept.shape == (0,) and kept.dtype == np.int64
    assert mc.ops.clip_boxes_to_image(none, (3, 4)).shape == (0, 4)


@pytest.mark.parametrize("seed", range(6))
def test_suppression_equals_the_quadratic_loop(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 400))
    boxes, scores, classes = draw(rng, n), rng.integers(0, 30, n) / 30, rng.integers(0, 3, n)
    inclusive = bool(rng.integers(2))
    args = mc.tensor(boxes), mc.tensor(scores)
    assert mc.ops.nms(*args, 0.4, inclusive).tolist() == oracle.nms(boxes, scores, 0.4, None, inclusive)
    actual = mc.ops.batched_nms(*args, mc.tensor(classes), 0.4, inclusive)
    assert actual.tolist() == oracle.nms(boxes, scores, 0.4, classes, inclusive)


def test_suppression_has_no_gradient_and_accepts_boxes_with_one():
    boxes = mc.tensor(np.array([[0.0, 0.0, 2.0, 2.0]]), requires_grad=True)
    kept = mc.ops.nms(boxes, mc.tensor(np.ones(1)), 0.5)
    assert not kept.requires_grad and kept.tolist() == [0]


def test_wrong_arguments_are_named():
    boxes, scores = mc.tensor(np.ones((2, 4))), mc.tensor(np.ones(2))
    with pytest.raises(ValueError, match=r"shape \(N, 4\)"):
        mc.ops.nms(mc.tensor(np.ones((2, 5))), scores, 0.5)
    with pytest.raises(ValueError, match="scores must have one entry per box"):
        mc.ops.nms(boxes, mc.tensor(np.ones(3)), 0.5)
    with pytest.raises(ValueError, match="NaN"):
        mc.ops.nms(boxes, mc.tensor(np.array([0.0, np.nan])), 0.5)
    with pytest.raises(TypeError, match="integers"):
        mc.ops.batched_nms(boxes, scores, scores, 0.5)
    with pytest.raises(TypeError, match="floating"):
        mc.ops.box_area(mc.tensor([[0, 0, 1, 1]]))
