"""Rules that break the contract: state, side effects, layouts, types, counts, or that are wrong only now and then."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.testing.pairs import layers
from tests.testing.pairs.pair import FAIL, Pair, away, normal

Array = Any

#: Parameter gradients that nobody sets back to zero.
BUFFERS: dict[tuple[int, ...], Array] = {}


def accumulating_backward(gy: Array, x: Array, w: Array) -> tuple[Array, Array]:
    g = BUFFERS.setdefault(w.shape, np.zeros(w.shape))
    g += x.T @ gy
    return gy @ w.T, g.copy()


class Remembering:
    """Keeps the input of the first forward and never another."""

    def __init__(self) -> None:
        self.x: Array = None

    def forward(self, x: Array) -> Array:
        if self.x is None or self.x.shape != x.shape:
            self.x = np.array(x, dtype=np.float64)
        return x**3

    def backward(self, gy: Array, _: Array) -> Array:
        return 3 * gy * self.x**2


def relu_in_place(gy: Array, x: Array) -> Array:
    mask = x > 0
    x[~mask] = 0
    return gy * mask


def masked_cotangent(gy: Array, x: Array) -> Array:
    gy[x <= 0] = 0
    return gy


def new_mask_backward(gy: Array, x: Array, *, keep: float, seed: int) -> Array:
    del seed
    return gy * (np.random.default_rng().random(x.shape) < keep) / keep


def dropout(x: Array, *, keep: float, seed: int) -> Array:
    return x * (np.random.default_rng(seed).random(x.shape) < keep) / keep


def memory_order_backward(gy: Array, x: Array) -> Array:
    return (3 * gy.ravel("K") * x.ravel("K") ** 2).reshape(x.shape)


def guided_backward(gy: Array, x: Array) -> Array:
    return np.maximum(gy, 0) * (x > 0)


def all_but_the_last(gy: Array, x: Array) -> Array:
    g = np.zeros_like(x)
    flat = g.ravel()
    for i in range(x.size - 1):
        flat[i] = gy.flat[i] * np.cos(x.flat[i])
    return g


def one_gradient_short(gy: Array, x: Array, w: Array, b: Array) -> tuple[Array, Array]:
    del b
    return gy @ w.T, x.T @ gy


def index_gradient(gy: Array, table: Array, at: Array) -> tuple[Array, Array]:
    g = np.zeros_like(table)
    np.add.at(g, at, gy)
    return g, np.ones_like(at, dtype=np.float64)


def weighted_backward(gy: Array, x: Array, w: Array) -> tuple[Array, None]:
    del x
    return gy @ w.T, None


def transposed_shape_backward(gy: Array, x: Array, w: Array) -> tuple[Array, Array]:
    return gy @ w.T, gy.T @ x


def unstable_sigmoid_backward(gy: Array, x: Array) -> Array:
    with np.errstate(all="ignore"):
        e = np.exp(x)
        return gy * e / (1 + e) ** 2


def wrong(name: str, f: Any, backward: Any, inputs: Any, cause: str | tuple[str, ...], *, note: str = "",
          **kwargs: Any) -> Pair:
    return Pair(name, "wrong", f, backward, inputs, kwargs, cause, FAIL, note=note)


def product(x: Array, w: Array) -> Array:
    return x @ w


REMEMBERING = Remembering()

WRONG = [
    wrong("weight_buffer_accumulates", product, accumulating_backward, normal((3, 4), (4, 2)),
          "stale-buffer"),
    wrong("first_input_remembered", REMEMBERING.forward, REMEMBERING.backward, normal((3, 4)),
          "stale-buffer", note="Right at the first point it is shown."),
    wrong("relu_changes_its_input", lambda x: np.maximum(x, 0), relu_in_place, away((4, 5)), "input-modified"),
    wrong("relu_changes_the_cotangent", lambda x: np.maximum(x, 0), masked_cotangent, away((4, 5)),
          "upstream-modified", note="The numbers it returns are right."),
    wrong("dropout_draws_again", dropout, new_mask_backward, normal((5, 6)), "nondeterministic", keep=0.5,
          seed=1),
    wrong("cube_in_memory_order", lambda x: x**3, memory_order_backward, normal((3, 4)), "layout-dependent",
          note="Right for C-contiguous inputs and cotangents, wrong for transposed ones."),
    wrong("guided_relu", lambda x: np.maximum(x, 0), guided_backward, away((4, 5)), "nonlinear-in-upstream",
          note="Right where the cotangent is positive."),
    wrong("last_element_lost", np.sin, all_but_the_last, normal((10, 20)), ("border-dropped", "off-by-one-shift"),
          note="One of 200 elements."),
    wrong("gradient_in_float32", np.tanh, lambda gy, x: (gy * (1 - np.tanh(x) ** 2)).astype(np.float32),
          normal((3, 4)), "wrong-dtype"),
    wrong("one_gradient_short", lambda x, w, b: x @ w + b, one_gradient_short, normal((3, 4), (4, 2), (2,)),
          ("wrong-count", "gradient-count")),
    wrong("gradient_for_an_index", lambda table, at: table[at], index_gradient,
          lambda rng: [rng.standard_normal((5, 3)), np.array([1, 4, 1, 0])], "gradient-of-integer"),
    wrong("weight_gradient_none", product, weighted_backward, normal((3, 4), (4, 2)),
          ("missing-gradient", "input-ignored")),
    wrong("weight_gradient_shape", product, transposed_shape_backward, normal((3, 4), (4, 2)),
          ("wrong-shape", "transposed-gradient")),
    wrong("exp_overflow_in_sigmoid", layers.sigmoid, unstable_sigmoid_backward,
          lambda rng: [np.concatenate([rng.uniform(-2, 2, 4), [800.0]])], "non-finite-gradient", note="inf over inf."),
]
