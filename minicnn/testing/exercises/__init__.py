"""Exercises: functions whose body a student writes, and their grading."""

from __future__ import annotations

import difflib
import importlib

from minicnn.testing.exercises.exercise import Exercise

#: Every exercise, in an order in which they can be done.
NAMES = (
    "relu", "sigmoid", "dropout", "linear", "add", "embedding", "softmax", "softmax_cross_entropy", "batch_norm",
    "layer_norm", "im2col", "col2im", "convolution", "convolution_backward", "avg_pool", "max_pool", "iou", "nms",
    "roi_pooling", "sgd_momentum", "adam",
)  # fmt: skip


def find(name: str) -> Exercise:
    """The exercise of this name.

    Parameters
    ----------
    name : str
        One of :data:`NAMES`.

    Returns
    -------
    Exercise

    Raises
    ------
    ValueError
        If there is none; the message names the closest.

    Examples
    --------
    >>> from minicnn.testing.exercises import find
    >>> find("softmax").title
    'The gradient of softmax'
    """
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"exercise: there is no exercise {name!r}{hint} (`minicnn exercise` shows them all)")
    found: Exercise = importlib.import_module(f"minicnn.testing.exercises.{name}").EXERCISE
    return found
