"""Exercise: the gradient of softmax."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, normal, sizes, steps


def forward(x: Array, *, axis: int) -> Array:
    """Along one axis, exp(x) / sum(exp(x)); the maximum is subtracted first, so that exp does not overflow."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def backward(gy: Array, x: Array, *, axis: int) -> Array:
    """Gradient of the loss by x.

    Parameters
    ----------
    gy : array, any shape
        Gradient of the loss by y.
    x : array, the same shape
        The input of forward.
    axis : int
        The axis along which y adds up to 1.

    Returns
    -------
    gx : array, the shape of x
    """
    # begin solution
    y = forward(x, axis=axis)
    return y * (gy - (gy * y).sum(axis=axis, keepdims=True))
    # end solution


def _rows(rng: np.random.Generator) -> Sample:
    return Sample((normal(rng, sizes(rng, (2, 4), (2, 4))),), {"axis": 1})


def _columns(rng: np.random.Generator) -> Sample:
    return Sample((normal(rng, sizes(rng, (2, 4), (2, 4))),), {"axis": 0})


def _pixels(rng: np.random.Generator) -> Sample:
    return Sample((normal(rng, sizes(rng, (1, 2), (2, 4), (2, 3), (1, 3))),), {"axis": 1})


def _huge(rng: np.random.Generator) -> Sample:
    return Sample((rng.choice([-1000.0, 0.0, 999.0, 1000.0], (3, 4)),), {"axis": 1})


EXERCISE = Exercise(
    name="softmax",
    title="The gradient of softmax",
    difficulty=3,
    task="""\
Forward, along one axis (written here for one vector x of length K):

    y[i] = exp(x[i]) / sum_k exp(x[k])

Wanted: gx, the gradient of a loss L by x, from gy = dL/dy. All have one shape; the other axes are separate vectors.
Every y[i] depends on every x[j] of its vector: this Jacobian is not diagonal.""",
    solution=backward,
    forward=forward,
    gradients=("x",),
    given=(forward,),
    hints=steps("""\
The chain rule with a sum, because x[j] influences every y[i]:  gx[j] = sum_i gy[i] * dy[i]/dx[j].

The quotient rule:  dy[i]/dx[j] = y[i] * (1 - y[i]) if i = j,  and  -y[i] * y[j]  otherwise.
In one formula:  dy[i]/dx[j] = y[i] * ([i = j] - y[j]).

Put it in:  gx[j] = gy[j] * y[j] - y[j] * sum_i gy[i] * y[i].  The sum is one number for each vector.

gx = y * (gy - s)  with  s = (gy * y).sum(axis=axis, keepdims=True), and y = forward(x, axis=axis).
keepdims=True lets s broadcast against gy along any axis. Check: the entries of gx add up to 0."""),
    cases={"rows": _rows, "columns (axis 0)": _columns, "channels of an image": _pixels},
    edges={"x as large as 1000": _huge},
    reread={
        "coupling-dropped": 1, "statistic-as-constant": 2, "wrong-axis": 4, "option-ignored": 4,
        "reduced-too-much": 4, "rows": 3,
    },
    prerequisites=("the chain rule", "sigmoid"),
    reference="docs/ops/losses.md",
)
