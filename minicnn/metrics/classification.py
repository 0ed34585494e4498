"""How well a classifier does: arrays in, numbers out.

Ties go to the lower class number, as with ``argmax``; a row of scores that holds NaN is a wrong answer.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minicnn.core import checks


def _targets(op: str, targets: ArrayLike, n: int) -> NDArray[np.int64]:
    labels = np.asarray(targets)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise checks.type_error(op, "targets must be ints (N,)", targets=labels)
    if len(labels) != n:
        raise checks.value_error(op, f"{n} predictions but {len(labels)} targets")
    if not n:
        raise checks.value_error(op, "no items: the value is undefined")
    return labels.astype(np.int64)


def top_k_accuracy(scores: ArrayLike, targets: ArrayLike, k: int = 5) -> float:
    """Share of items whose target is among the ``k`` highest scores.

    Parameters
    ----------
    scores : array (N, C)
        Logits, probabilities, or negated distances: higher is better.
    targets : int array (N,), each in 0..C-1
    k : int in 1..C

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ValueError
        Shapes that do not fit, a target or ``k`` out of range, no items.

    Examples
    --------
    >>> from minicnn.metrics import top_k_accuracy
    >>> scores = [[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]]
    >>> top_k_accuracy(scores, [2, 1], k=1), top_k_accuracy(scores, [2, 1], k=2)
    (0.0, 0.5)
    """
    values = np.asarray(scores)
    if values.ndim != 2:
        raise checks.value_error("top_k_accuracy", "scores must be (N, C)", scores=values)
    n, classes = values.shape
    labels = _targets("top_k_accuracy", targets, n)
    if not 1 <= k <= classes:
        raise checks.value_error("top_k_accuracy", f"k must be in 1..{classes}, got {k}")
    if labels.min() < 0 or labels.max() >= classes:
        raise checks.value_error("top_k_accuracy", f"targets must be in 0..{classes - 1}", largest=int(labels.max()))
    own = np.take_along_axis(values, labels[:, None], axis=1)
    before = (values > own) | ((values == own) & (np.arange(classes) < labels[:, None]))
    right = (before.sum(axis=1) < k) & ~np.isnan(values).any(axis=1)
    return float(right.mean())


def accuracy(predictions: ArrayLike, targets: ArrayLike) -> float:
    """Share of items that are right.

    Parameters
    ----------
    predictions : array (N, C) of scores, or int array (N,) of classes
    targets : int array (N,)

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ValueError
        Shapes that do not fit, a target out of range, no items.

    Examples
    --------
    >>> from minicnn.metrics import accuracy
    >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1]), accuracy([1, 0, 2, 2], [1, 0, 2, 1])
    (0.5, 0.75)
    """
    values = np.asarray(predictions)
    if values.ndim == 2:
        return top_k_accuracy(values, targets, k=1)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise checks.value_error(
            "accuracy", "predictions must be scores (N, C) or int classes (N,)", predictions=values
        )
    return float((values == _targets("accuracy", targets, len(values))).mean())


def confusion_matrix(predictions: ArrayLike, targets: ArrayLike, classes: int | None = None) -> NDArray[np.int64]:
    """How often class ``i`` was taken for class ``j``: entry (i, j).

    Parameters
    ----------
    predictions : array (N, C) of scores, or int array (N,) of classes
    targets : int array (N,)
    classes : int, optional
        By default C, or one more than the largest class seen.

    Returns
    -------
    int64 array (classes, classes)
        Rows are targets, columns predictions.

    Raises
    ------
    ValueError
        Shapes that do not fit, a class out of range.

    Examples
    --------
    >>> from minicnn.metrics import confusion_matrix
    >>> confusion_matrix([0, 1, 1, 0], [0, 1, 0, 0])
    array([[2, 1],
           [0, 1]])
    """
    values = np.asarray(predictions)
    if values.ndim == 2:
        classes = values.shape[1] if classes is None else classes
        values = values.argmax(axis=1)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise checks.value_error(
            "confusion_matrix", "predictions must be (N, C) or int classes (N,)", predictions=values
        )
    labels = _targets("confusion_matrix", targets, len(values))
    values = values.astype(np.int64)
    largest = int(max(values.max(), labels.max()))
    classes = largest + 1 if classes is None else classes
    if largest >= classes or min(values.min(), labels.min()) < 0:
        raise checks.value_error("confusion_matrix", f"classes must be in 0..{classes - 1}", largest=largest)
    return np.bincount(labels * classes + values, minlength=classes * classes).reshape(classes, classes)


def precision_recall(confusion: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per class: the share of its predictions that are right, and of its items that were found.

    Parameters
    ----------
    confusion : array (C, C)
        As made by :func:`confusion_matrix`.

    Returns
    -------
    precision, recall : float64 (C,)
        NaN where a class was never predicted, or has no items.
    """
    matrix = np.asarray(confusion, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise checks.value_error("precision_recall", "confusion must be square", confusion=matrix)
    right = np.diag(matrix)
    with np.errstate(invalid="ignore"):
        return right / matrix.sum(axis=0), right / matrix.sum(axis=1)


def roc_curve(scores: ArrayLike, targets: ArrayLike) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """False and true positive rate at every threshold, from the strictest to the laxest.

    Parameters
    ----------
    scores : float array (N,)
        Higher means more likely positive; no NaN.
    targets : int or bool array (N,)
        1 for positive, 0 for negative; both occur.

    Returns
    -------
    fpr, tpr : float64 (T,)
        From (0, 0) to (1, 1); items of one score move together, so the curve does not depend on their order.
    thresholds : float64 (T,)
        Items with ``score >= threshold`` count as positive; the first is infinite.

    Raises
    ------
    ValueError
        A class is missing, a score is NaN, a target is neither 0 nor 1.

    Examples
    --------
    >>> from minicnn.metrics import roc_curve
    >>> fpr, tpr, _ = roc_curve([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> fpr.tolist(), tpr.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    values = np.asarray(scores, np.float64)
    labels = np.asarray(targets)
    if values.ndim != 1 or np.isnan(values).any():
        raise checks.value_error("roc_curve", "scores must be (N,) without NaN", scores=values)
    labels = _targets("roc_curve", labels.astype(np.int64) if labels.dtype == bool else labels, len(values))
    if set(np.unique(labels).tolist()) != {0, 1}:
        raise checks.value_error(
            "roc_curve", f"targets must hold both 0 and 1 and nothing else, got {np.unique(labels)[:5]}"
        )
    order = np.argsort(-values, kind="stable")
    values, labels = values[order], labels[order]
    last = np.flatnonzero(np.append(np.diff(values) != 0, True))  # the last item of each distinct score
    true = np.cumsum(labels)[last]
    false = last + 1 - true
    tpr, fpr = np.append(0, true) / true[-1], np.append(0, false) / false[-1]
    return fpr, tpr, np.append(np.inf, values[last])


def roc_auc(scores: ArrayLike, targets: ArrayLike) -> float:
    """Area under the ROC curve: the probability that a positive scores above a negative, ties counting half.

    Parameters and errors as for :func:`roc_curve`.

    Returns
    -------
    float in [0, 1]

    References
    ----------
    Fawcett, *An introduction to ROC analysis*, 2006, section 7.
    """
    fpr, tpr, _ = roc_curve(scores, targets)
    return float(np.trapezoid(tpr, fpr))
