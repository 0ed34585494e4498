"""Exercise: the gradient of the logistic sigmoid."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, normal, sizes, steps


def forward(x: Array) -> Array:
    """Entry by entry, y = 1 / (1 + exp(-x)); exp of a positive number is never taken, so nothing overflows."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def backward(gy: Array, x: Array) -> Array:
    """Gradient of the loss by x.

    Parameters
    ----------
    gy : array, any shape
        Gradient of the loss by y.
    x : array, the same shape
        The input of forward.

    Returns
    -------
    gx : array, the shape of x
    """
    # begin solution
    y = forward(x)
    return gy * y * (1.0 - y)
    # end solution


def _matrix(rng: np.random.Generator) -> Sample:
    return Sample((normal(rng, sizes(rng, (2, 4), (2, 4))),))


def _wide(rng: np.random.Generator) -> Sample:
    return Sample((3.0 * normal(rng, sizes(rng, (1, 2), (2, 3), (2, 3))),))


def _huge(rng: np.random.Generator) -> Sample:
    return Sample((rng.choice([-1000.0, -800.0, 0.5, 800.0, 1000.0], (3, 4)),))


EXERCISE = Exercise(
    name="sigmoid",
    title="The gradient of the logistic sigmoid",
    difficulty=1,
    task="""\
Forward:  y[i] = s(x[i]) with s(x) = 1 / (1 + exp(-x)), for every entry i.

Wanted: gx, the gradient of a loss L by x, from gy, its gradient by y. Both have the shape of x.
Large entries (x = -1000) must give 0, not NaN or a warning about overflow.""",
    solution=backward,
    forward=forward,
    gradients=("x",),
    given=(forward,),
    hints=steps("""\
The chain rule for an entrywise function:  dL/dx[i] = dL/dy[i] * s'(x[i]).

Differentiate s(x) = (1 + exp(-x))^-1 by the quotient rule:  s'(x) = exp(-x) / (1 + exp(-x))^2.

Written with y itself:  exp(-x) / (1 + exp(-x)) = 1 - y,  so  s'(x) = y * (1 - y).
This needs no exp of its own: compute y by calling forward(x), which never overflows."""),
    cases={"a matrix": _matrix, "wide values": _wide},
    edges={"x as large as 1000": _huge},
    reread={"upstream-ignored": 1, "sign-flipped": 2, "wrong-local-derivative": 2},
    prerequisites=("the chain rule", "relu"),
    reference="docs/ops/activations.md",
)
