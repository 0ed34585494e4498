"""Functions on which no rule, or hardly any, could be caught: their derivative is zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.testing.pairs import layers
from tests.testing.pairs.pair import Pair, normal, uniform

Array = Any


def summed_softmax(x: Array) -> Array:
    return layers.softmax(x).sum()


def summed_softmax_backward(gy: Array, x: Array) -> Array:
    return layers.softmax_backward(np.broadcast_to(gy, x.shape), layers.softmax(x))


def tripled_softmax_backward(gy: Array, x: Array) -> Array:
    return 3 * summed_softmax_backward(gy, x)


def mean_batch_norm(x: Array) -> Array:
    return layers.batch_norm(x, 1.0, 0.0, eps=1e-5).mean()


def mean_batch_norm_backward(gy: Array, x: Array) -> Array:
    g = np.broadcast_to(gy / x.size, x.shape)
    return layers.batch_norm_backward(g, x, 1.0, 0.0, eps=1e-5)[0]


def frozen_batch_norm_backward(gy: Array, x: Array) -> Array:
    """Wrong, without a trace: the variance is treated as a constant."""
    g = np.broadcast_to(gy / x.size, x.shape)
    return (g - g.mean(0)) / np.sqrt(x.var(0) + 1e-5)


def nothing(_: Array, x: Array) -> Array:
    return np.zeros_like(x)


def ratio_to_itself_backward(gy: Array, x: Array) -> Array:
    return gy / x - gy * x / x**2


VACUOUS = [
    Pair("summed_softmax", "vacuous", summed_softmax, summed_softmax_backward, normal((3, 4)), vacuous=True),
    Pair("summed_softmax_hides_a_factor", "vacuous", summed_softmax, tripled_softmax_backward, normal((3, 4)),
         vacuous=True, note="The rule is three times too large, which no check of this function can show."),
    Pair("mean_of_batch_norm", "vacuous", mean_batch_norm, mean_batch_norm_backward, normal((6, 3)), vacuous=True),
    Pair("mean_of_batch_norm_hides_a_constant", "vacuous", mean_batch_norm, frozen_batch_norm_backward,
         normal((6, 3)), vacuous=True),
    Pair("constant_function", "vacuous", lambda _: np.full(3, 2.5), nothing, normal((4,)), vacuous=True),
    Pair("input_ignored", "vacuous", lambda x: np.arange(float(x.size)), lambda *_: (None,), normal((5,)), vacuous=True,
         note="None stands for a gradient of zero."),
    Pair("dead_relu", "vacuous", lambda x, w: np.maximum(x @ w - 50, 0),
         lambda gy, x, w: ((gy * (x @ w > 50)) @ w.T, x.T @ (gy * (x @ w > 50))), uniform(0, 1, (4, 3), (3, 2)),
         vacuous=True, note="No unit is active, here or nearby."),
    Pair("integer_output", "vacuous", lambda x: x.argsort(1), nothing, normal((3, 4)), vacuous=True,
         expected=frozenset({"PASS", "INCONCLUSIVE", "NONDIFFERENTIABLE"}),
         note="No float output; a verdict is a matter of taste, the flag is not."),
    Pair("sign_of_input", "vacuous", np.sign, nothing, uniform(0.5, 2, (2, 3)), vacuous=True),
    Pair("detached", "vacuous", lambda x: x / x, ratio_to_itself_backward, uniform(0.5, 2, (4,)), vacuous=True),
]
