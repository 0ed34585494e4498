"""Classification metrics against loops, closed forms and scikit-learn."""

import numpy as np
import pytest

from minicnn.metrics import accuracy, confusion_matrix, precision_recall, roc_auc, roc_curve, top_k_accuracy


@pytest.mark.parametrize("seed", range(5))
def test_top_k_equals_a_loop_with_ties(seed):
    rng = np.random.default_rng(seed)
    scores, targets = rng.integers(0, 4, (40, 6)).astype(float), rng.integers(0, 6, 40)
    for k in range(1, 7):
        right = 0
        for row, target in zip(scores, targets, strict=True):
            best = sorted(range(6), key=lambda c, row=row: (-row[c], c))[:k]
            right += target in best
        assert top_k_accuracy(scores, targets, k) == right / 40
    assert accuracy(scores, targets) == np.mean(scores.argmax(1) == targets) == top_k_accuracy(scores, targets, 1)
    assert top_k_accuracy(scores, targets, 6) == 1


def test_a_row_with_nan_is_wrong():
    scores = np.array([[np.nan, 0, 1], [0, np.nan, 2], [3, 1, 2]])
    assert accuracy(scores, [2, 1, 0]) == 1 / 3
    assert top_k_accuracy(scores, [2, 1, 0], 3) == 1 / 3


@pytest.mark.parametrize("seed", range(3))
def test_confusion_matrix_equals_a_loop(seed):
    rng = np.random.default_rng(seed)
    predicted, targets = rng.integers(0, 5, 60), rng.integers(0, 4, 60)
    expected = np.zeros((6, 6), int)
    for p, t in zip(predicted, targets, strict=True):
        expected[t, p] += 1
    np.testing.assert_array_equal(confusion_matrix(predicted, targets, 6), expected)
    assert np.trace(expected) / 60 == accuracy(predicted, targets)
    precision, recall = precision_recall(expected)
    assert np.isnan(recall[[4, 5]]).all() and np.isnan(precision[5])
    np.testing.assert_allclose(recall[:4], [expected[i, i] / np.sum(targets == i) for i in range(4)])


def test_confusion_matrix_of_scores_uses_all_columns():
    assert confusion_matrix(np.eye(3)[[0, 1, 1]], [0, 1, 0]).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_the_share_of_ordered_pairs_with_ties_as_a_half(seed):
    rng = np.random.default_rng(seed)
    scores, targets = rng.integers(0, 8, 50) / 4, rng.integers(0, 2, 50)
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[targets == 1] for n in scores[targets == 0]]
    np.testing.assert_allclose(roc_auc(scores, targets), np.mean(pairs), rtol=1e-12)
    shuffled = rng.permutation(50)
    for a, b in zip(roc_curve(scores, targets), roc_curve(scores[shuffled], targets[shuffled]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_roc_equals_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(9)
    scores, targets = rng.normal(size=80).round(1), rng.integers(0, 2, 80)
    for ours, theirs in zip(
        roc_curve(scores, targets), metrics.roc_curve(targets, scores, drop_intermediate=False), strict=True
    ):
        np.testing.assert_allclose(ours, theirs)


def test_a_perfect_a_reversed_and_a_constant_classifier():
    targets = np.array([False, True, False, True])
    assert roc_auc(targets.astype(float), targets) == 1
    assert roc_auc(-targets.astype(float), targets) == 0
    assert roc_auc(np.zeros(4), targets) == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy(np.zeros((0, 3)), np.zeros(0, int)), "no items"),
        (lambda: accuracy(np.zeros((2, 3)), [0]), "2 predictions but 1 targets"),
        (lambda: accuracy(np.zeros((2, 3)), [0, 3]), r"targets must be in 0\.\.2"),
        (lambda: accuracy(np.zeros(2), [0, 1]), "predictions must be scores"),
        (lambda: top_k_accuracy(np.zeros((2, 3)), [0, 1], 4), r"k must be in 1\.\.3"),
        (lambda: top_k_accuracy(np.zeros(3), [0]), r"scores must be \(N, C\)"),
        (lambda: confusion_matrix([0, 5], [0, 1], 3), r"classes must be in 0\.\.2"),
        (lambda: confusion_matrix([0, -1], [0, 1]), r"classes must be in 0\.\.1"),
        (lambda: precision_recall(np.zeros((2, 3))), "must be square"),
        (lambda: roc_curve([0.5, 0.2], [1, 1]), "both 0 and 1"),
        (lambda: roc_curve([0.5, np.nan], [1, 0]), "without NaN"),
        (lambda: roc_curve([0.5, 1.0], [2, 0]), "both 0 and 1"),
    ],
)
def test_misuse_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_float_targets_are_a_type_error():
    with pytest.raises(TypeError, match=r"accuracy|targets must be ints"):
        accuracy([0, 1], [0.0, 1.0])
