"""Exercise: the gradients of a linear layer."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, normal, sizes, steps


def forward(x: Array, w: Array, b: Array) -> Array:
    """A row of y = x wᵀ + b for each row of x."""
    return x @ w.T + b


def backward(gy: Array, x: Array, w: Array, b: Array) -> tuple[Array, Array, Array]:
    """Gradients of the loss by x, w and b.

    Parameters
    ----------
    gy : array (N, M)
        Gradient of the loss by y.
    x : array (N, D)
    w : array (M, D)
    b : array (M,)

    Returns
    -------
    gx : array (N, D)
    gw : array (M, D)
    gb : array (M,)
    """
    # begin solution
    gx = gy @ w
    gw = gy.T @ x
    gb = gy.sum(axis=0)
    return gx, gw, gb
    # end solution


def _draw(rng: np.random.Generator, n: int, d: int, m: int) -> Sample:
    return Sample((normal(rng, (n, d)), normal(rng, (m, d)), normal(rng, (m,))))


def _any(rng: np.random.Generator) -> Sample:
    return _draw(rng, *sizes(rng, (2, 5), (2, 5), (2, 5)))


def _square(rng: np.random.Generator) -> Sample:
    (n,) = sizes(rng, (2, 4))
    return _draw(rng, n, n, n)


def _single(rng: np.random.Generator) -> Sample:
    return _draw(rng, 1, *sizes(rng, (2, 4), (2, 4)))


EXERCISE = Exercise(
    name="linear",
    title="The gradients of a linear layer",
    difficulty=2,
    task="""\
Forward:  y = x wᵀ + b,  that is  y[n, m] = sum_d x[n, d] * w[m, d] + b[m].

Shapes: x (N, D), w (M, D), b (M,), y (N, M): N examples, D features in, M features out.
Wanted: gx, gw, gb, the gradients of a loss L by x, w and b, from gy = dL/dy.""",
    solution=backward,
    forward=forward,
    gradients=("x", "w", "b"),
    given=(forward,),
    hints=steps("""\
A gradient has the shape of what it belongs to: gx (N, D), gw (M, D), gb (M,). With gy (N, M) there is only
one way to multiply for each; but work it out once with indices:

Which y[n, m] does b[m] touch? All rows n, each with slope 1:  gb[m] = sum_n gy[n, m].

x[n, d] touches y[n, m] for every m, with slope w[m, d]:  gx[n, d] = sum_m gy[n, m] * w[m, d].

w[m, d] touches y[n, m] for every n, with slope x[n, d]:  gw[m, d] = sum_n gy[n, m] * x[n, d].

A sum over the index that two factors share is a matrix product: sum_m gy[n, m] w[m, d] is gy @ w, and
sum_n gy[n, m] x[n, d] is gy.T @ x. The loss adds up over the examples: nothing is divided by N here."""),
    cases={"any sizes": _any, "all sizes equal": _square, "a single example": _single},
    reread={
        "transposed-gradient": 1, "divided-too-often": 5, "constant-factor": 5, "mean-not-divided": 5,
        "transposed-weight": 3,
        "b": 2, "x": 3, "w": 4,
    },
    prerequisites=("the chain rule", "matrix products"),
    reference="docs/ops/linear.md",
)
