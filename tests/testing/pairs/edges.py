"""Kinks, ties, jumps and edges of a domain at the point itself, with right rules and wrong ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.testing.pairs import layers
from tests.testing.pairs.pair import FAIL, KINK, Pair, fixed

Array = Any


def clip(x: Array, *, low: float, high: float) -> Array:
    return np.clip(x, low, high)


def clip_backward(gy: Array, x: Array, *, low: float, high: float) -> Array:
    return gy * ((x >= low) & (x <= high))


def first_max_backward(gy: Array, x: Array) -> Array:
    g = np.zeros_like(x)
    np.put_along_axis(g, x.argmax(1)[:, None], gy[:, None], 1)
    return g


def shared_max_backward(gy: Array, x: Array) -> Array:
    tied = x == x.max(1, keepdims=True)
    return gy[:, None] * tied / tied.sum(1, keepdims=True)


def every_max_backward(gy: Array, x: Array) -> Array:
    return gy[:, None] * (x == x.max(1, keepdims=True))


def norm_backward(gy: Array, x: Array) -> Array:
    n = np.linalg.norm(x)
    return gy * x / n if n > 0 else np.zeros_like(x)


def sqrt_backward(gy: Array, x: Array) -> Array:
    root = np.sqrt(x)
    return gy * np.divide(0.5, root, out=np.zeros_like(root), where=root > 0)


def sort_backward(gy: Array, x: Array) -> Array:
    g = np.empty_like(x)
    g[x.argsort(kind="stable")] = gy
    return g


def hinge(scores: Array, t: Array) -> Array:
    return np.maximum(0, 1 - t * scores).mean()


def hinge_backward(gy: Array, scores: Array, t: Array) -> tuple[Array, Array]:
    g = -gy * (t * scores < 1) / scores.size
    return g * t, g * scores


def wrong_hinge_backward(gy: Array, scores: Array, t: Array) -> tuple[Array, Array]:
    g = -gy * (t * scores > 1) / scores.size
    return g * t, g * scores


def next_argmax_backward(gy: Array, x: Array) -> Array:
    g = np.zeros_like(x)
    np.put_along_axis(g, (x.argmax(1)[:, None] + 1) % x.shape[1], gy[:, None], 1)
    return g


def ties_in_windows(rng: np.random.Generator) -> list[Array]:
    x = rng.standard_normal((1, 1, 4, 4))
    x[0, 0, 0, :2] = 4.0
    x[0, 0, 2:, 2:] = 0.0
    return [x]


TIED = fixed([[1.0, 3.0, 3.0], [2.0, 2.0, 0.0]])
MARGIN = fixed([1.0, -1.0, 0.3, 2.0], [1.0, -1.0, -1.0, 0.5])

EDGES = [
    Pair("relu_at_zero", "edge", lambda x: np.maximum(x, 0), lambda gy, x: gy * (x > 0), fixed([0.0, 0.0, 1.3, -0.7]),
         expected=KINK),
    Pair("abs_at_zero", "edge", np.abs, lambda gy, x: gy * np.sign(x), fixed([[0.0, 1.0], [-2.0, 0.0]]), expected=KINK),
    Pair("max_at_a_tie_first", "edge", lambda x: x.max(1), first_max_backward, TIED, expected=KINK),
    Pair("max_at_a_tie_shared", "edge", lambda x: x.max(1), shared_max_backward, TIED, expected=KINK),
    Pair("max_at_a_tie_to_all", "edge", lambda x: x.max(1), every_max_backward, TIED, expected=KINK | FAIL,
         note="No subgradient at the tie, yet right everywhere else: both verdicts can be defended."),
    Pair("max_pool_with_ties", "edge", layers.max_pool, layers.max_pool_backward,
         ties_in_windows, {"kernel": 2, "stride": 2}, expected=KINK),
    Pair("clip_at_its_bounds", "edge", clip, clip_backward, fixed([-1.0, 0.2, 1.0, 3.0]), {"low": -1.0, "high": 1.0},
         expected=KINK),
    Pair("norm_at_zero", "edge", np.linalg.norm, norm_backward, fixed(np.zeros(3)), expected=KINK),
    Pair("sqrt_at_zero", "edge", np.sqrt, sqrt_backward, fixed([0.0, 1.0, 4.0]), expected=KINK,
         note="An infinite slope at the edge of the domain."),
    Pair("floor_at_an_integer", "edge", lambda x: x * np.floor(x), lambda gy, x: gy * np.floor(x),
         fixed([2.0, 0.5, -1.0]), expected=KINK, note="A jump."),
    Pair("sort_with_ties", "edge", np.sort, sort_backward, fixed([2.0, 1.0, 2.0, 0.0]), expected=KINK),
    Pair("hinge_at_its_margin", "edge", hinge, hinge_backward, MARGIN, expected=KINK),
    Pair("relu_at_zero_wrong_slope", "edge", lambda x: np.maximum(x, 0), lambda gy, x: 2 * gy * (x >= 0),
         fixed([0.0, 0.0, 0.0]), cause="constant-factor", expected=FAIL,
         note="All are at the kink; 2 is no subgradient."),
    Pair("abs_at_zero_sign_forgotten", "edge", np.abs, lambda gy, _: gy, fixed([0.0, 0.0]),
         cause=("missing-factor", "mask-missing", "sign-flipped"), expected=FAIL,
         note="1 is a subgradient at zero; left of it, wrong."),
    Pair("clip_at_its_bounds_passes_all", "edge", clip, lambda gy, _, **__: gy, fixed([-1.0, 0.2, 1.0]),
         {"low": -1.0, "high": 1.0}, cause="mask-missing", expected=FAIL,
         note="Valid subgradients at the point; outside of the bounds the rule is wrong."),
    Pair("hinge_at_its_margin_mask_inverted", "edge", hinge, wrong_hinge_backward, MARGIN,
         cause=("mask-inverted", "sign-flipped"), expected=FAIL,
         note="Smooth entries beside those at the margin are wrong."),
    Pair("max_at_a_tie_next_place", "edge", lambda x: x.max(1), next_argmax_backward, TIED, cause="off-by-one-shift",
         expected=FAIL),
]
