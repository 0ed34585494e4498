"""Box geometry on plain arrays."""

import numpy as np
import pytest

from minicnn.vision import boxes as vision
from tests.oracles import boxes as oracle


def integers(rng, n, side=30):
    low = rng.integers(0, side - 1, (n, 2))
    return np.concatenate([low, low + rng.integers(1, 9, (n, 2))], axis=1)


@pytest.mark.parametrize("inclusive", [False, True])
def test_overlap_equals_counting_pixels(inclusive):
    rng = np.random.default_rng(1)
    a, b = integers(rng, 12), integers(rng, 9)
    expected = [[oracle.iou_by_pixels(p, q, inclusive) for q in b] for p in a]
    np.testing.assert_allclose(vision.box_iou(a, b, inclusive), expected, atol=1e-15)


def test_area_of_pixels_and_of_lengths():
    assert vision.box_area([[2, 3, 5, 7]]).tolist() == [12]
    assert vision.box_area([[2, 3, 5, 7]], inclusive=True).tolist() == [20]


def test_boxes_without_area_overlap_nothing():
    assert vision.box_iou([[1, 1, 1, 1]], [[1, 1, 1, 1], [0, 0, 2, 2]]).tolist() == [[0, 0]]
    assert vision.box_iou(np.zeros((0, 4)), [[0, 0, 1, 1]]).shape == (0, 1)
    assert vision.box_iou([], [[0, 0, 1, 1]]).shape == (0, 1)


def test_clipping_to_lengths_and_to_pixels():
    box = [[-2.0, 3.0, 99.0, 99.0]]
    assert vision.clip_boxes_to_image(box, (10, 20)).tolist() == [[0, 3, 20, 10]]
    assert vision.clip_boxes_to_image(box, (10, 20), inclusive=True).tolist() == [[0, 3, 19, 9]]


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("weights", [1.0, (10.0, 10.0, 5.0, 5.0)])
def test_decoding_undoes_encoding(inclusive, weights):
    rng = np.random.default_rng(2)
    boxes, anchors = integers(rng, 20), integers(rng, 20)
    codes = vision.encode(boxes, anchors, weights, inclusive)
    np.testing.assert_allclose(vision.decode(codes, anchors, weights, inclusive), boxes, atol=1e-12)


def test_codes_by_hand():
    code = vision.encode([[2.0, 1.0, 10.0, 5.0]], [[0.0, 0.0, 4.0, 8.0]])
    np.testing.assert_allclose(code, [[(6 - 2) / 4, (3 - 4) / 8, np.log(2), -np.log(2)]], atol=1e-15)
    pixels = vision.encode([[0, 0, 9, 9]], [[0, 0, 4, 4]], inclusive=True)  # 10 and 5 pixels wide
    np.testing.assert_allclose(pixels, [[0.5, 0.5, np.log(2), np.log(2)]], atol=1e-15)


def test_codes_per_class_broadcast_over_anchors():
    anchors = np.array([[0.0, 0.0, 4.0, 4.0], [1.0, 1.0, 3.0, 9.0]])
    codes = np.random.default_rng(3).standard_normal((2, 3, 4)) * 0.1
    boxes = vision.decode(codes, anchors[:, None])
    np.testing.assert_allclose(boxes[1, 2], vision.decode(codes[1, 2], anchors[1]), atol=1e-14)


def test_an_untrained_regressor_cannot_overflow():
    box = vision.decode([[0.0, 0.0, 1e4, 1e4]], [[0.0, 0.0, 16.0, 16.0]])
    np.testing.assert_allclose(box[0, 2] - box[0, 0], 1000)


def test_encoding_a_box_without_area_is_named():
    with pytest.raises(ValueError, match="anchors must have positive width"):
        vision.encode([[0, 0, 1, 1]], [[2, 2, 2, 3]])


@pytest.mark.parametrize("seed", range(6))
def test_suppression_keeps_what_it_promises(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 300))
    boxes, scores = integers(rng, n), rng.integers(0, 20, n) / 20
    inclusive = bool(rng.integers(2))
    kept = vision.nms(boxes, scores, 0.3, inclusive)
    assert kept.tolist() == oracle.nms(boxes, scores, 0.3, None, inclusive)
    overlap = vision.box_iou(boxes, boxes, inclusive)
    assert (overlap[np.ix_(kept, kept)] - np.eye(len(kept)) <= 0.3).all()
    for i in set(range(n)) - set(kept.tolist()):
        assert any(overlap[i, k] > 0.3 and scores[k] >= scores[i] for k in kept)


def test_of_identical_boxes_the_lowest_index_stays():
    assert vision.nms([[0, 0, 4, 4]] * 5, [0.5, 0.9, 0.9, 0.1, 0.9], 0.5).tolist() == [1]
    assert vision.nms([[0, 0, 4, 4]] * 5, [0.5] * 5, 0.99).tolist() == [0]


def test_an_overlap_equal_to_the_threshold_is_kept():
    boxes = [[0, 0, 2, 1], [0, 0, 1, 1]]  # overlap exactly 1/2
    assert vision.nms(boxes, [0.9, 0.8], 0.5).tolist() == [0, 1]
    assert vision.nms(boxes, [0.9, 0.8], 0.499).tolist() == [0]


def test_classes_do_not_meet():
    boxes = [[0, 0, 4, 4]] * 4
    assert vision.batched_nms(boxes, [0.1, 0.2, 0.3, 0.4], [7, 7, 2, 2], 0.5).tolist() == [3, 1]


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="must end in an axis of 4"):
        vision.box_area([[1, 2, 3]])
    with pytest.raises(ValueError, match="scores must have one entry per box"):
        vision.nms([[0, 0, 1, 1]], [0.5, 0.2], 0.5)
