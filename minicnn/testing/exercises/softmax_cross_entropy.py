"""Exercise: the gradient of softmax followed by the cross-entropy."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, normal, sizes, steps


def forward(x: Array, t: Array) -> Array:
    """The mean over the rows of -log(softmax(x)[t]); a single number."""
    shifted = x - x.max(axis=1, keepdims=True)
    log_y = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.asarray(-log_y[np.arange(len(t)), t].mean())


def backward(gy: Array, x: Array, t: Array) -> Array:
    """Gradient of the loss by x.

    Parameters
    ----------
    gy : array, shape ()
        Gradient of whatever comes after, by the number that forward returns.
    x : array (N, K)
        Scores (logits) of N examples for K classes.
    t : array of int (N,)
        The true classes, 0..K-1.

    Returns
    -------
    gx : array (N, K)
    """
    # begin solution
    e = np.exp(x - x.max(axis=1, keepdims=True))
    gx = e / e.sum(axis=1, keepdims=True)
    gx[np.arange(len(t)), t] -= 1.0
    return gy * gx / len(t)
    # end solution


def _draw(rng: np.random.Generator, n: int, k: int) -> Sample:
    return Sample((normal(rng, (n, k)), rng.integers(0, k, n)))


def _batch(rng: np.random.Generator) -> Sample:
    return _draw(rng, *sizes(rng, (2, 5), (2, 5)))


def _single(rng: np.random.Generator) -> Sample:
    (k,) = sizes(rng, (2, 5))
    return _draw(rng, 1, k)


def _two(rng: np.random.Generator) -> Sample:
    (n,) = sizes(rng, (3, 6))
    return _draw(rng, n, 2)


def _huge(rng: np.random.Generator) -> Sample:
    return Sample((rng.choice([-1000.0, 0.0, 999.0, 1000.0], (3, 4)), rng.integers(0, 4, 3)))


EXERCISE = Exercise(
    name="softmax_cross_entropy",
    title="The gradient of softmax with cross-entropy",
    difficulty=3,
    task="""\
Forward:  y = softmax(x) along the rows, then the mean of -log of the true class's probability:

    loss = -(1/N) sum_n log y[n, t[n]]        y[n, k] = exp(x[n, k]) / sum_j exp(x[n, j])

Shapes: x (N, K), t (N,) of ints, loss ().  Wanted: gx (N, K) from gy (), the gradient that arrives at the loss.
Large scores (x = 1000) must give numbers, not NaN.""",
    solution=backward,
    forward=forward,
    gradients=("x",),
    given=(forward,),
    hints=steps("""\
Look at one row first:  loss = -log y[t] = -x[t] + log sum_j exp(x[j]).  Differentiate this by x[k];
going through the quotient y is not needed.

The first term gives -1 at k = t, and 0 elsewhere. The second is the derivative of a logarithm:
exp(x[k]) / sum_j exp(x[j]) = y[k].  So for one row  gx[k] = y[k] - [k = t].

The mean over N rows divides every row by N; and gy multiplies everything.

gx = (softmax(x) - one_hot(t)) * gy / N. gx[np.arange(N), t] -= 1 subtracts the one-hot rows; subtract the
row's maximum before exp."""),
    cases={"a batch": _batch, "a single example": _single, "two classes": _two},
    edges={"scores as large as 1000": _huge},
    reread={"mean-not-divided": 3, "upstream-ignored": 3, "scores as large as 1000": 4, "x": 2},
    prerequisites=("softmax",),
    reference="docs/ops/losses.md",
)
