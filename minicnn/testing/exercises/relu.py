"""Exercise: the gradient of relu."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, apart, sizes, steps


def forward(x: Array) -> Array:
    """Entry by entry, y = max(x, 0)."""
    return np.maximum(x, 0.0)


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
    return gy * (x > 0)
    # end solution


def _matrix(rng: np.random.Generator) -> Sample:
    return Sample((apart(rng, sizes(rng, (2, 4), (2, 4))),))


def _image(rng: np.random.Generator) -> Sample:
    return Sample((apart(rng, sizes(rng, (1, 2), (1, 3), (2, 3), (2, 3))),))


def _zeros(rng: np.random.Generator) -> Sample:
    return Sample((apart(rng, (3, 4)) * rng.integers(0, 2, (3, 4)),))


EXERCISE = Exercise(
    name="relu",
    title="The gradient of relu",
    difficulty=1,
    task="""\
Forward:  y[i] = max(x[i], 0) for every entry i.

Wanted: gx, the gradient of a loss L by x, from gy, its gradient by y. Both have the shape of x.
At exactly 0, where the slope jumps from 0 to 1, relu'(0) = 0 by convention.""",
    solution=backward,
    forward=forward,
    gradients=("x",),
    given=(forward,),
    hints=steps("""\
The chain rule for an entrywise function y[i] = f(x[i]):  dL/dx[i] = dL/dy[i] * f'(x[i]).
Every entry is on its own: no sum is needed.

f'(x) is the slope of max(x, 0): 0 on the left of zero, 1 on the right of it, and 0 at zero by convention.

A comparison such as `x > 0` is an array of True and False, and counts as 1 and 0 in a product.
`>` and `>=` differ exactly at zero."""),
    cases={"a matrix": _matrix, "an image batch": _image},
    edges={"some entries are exactly 0": _zeros},
    reread={"nonlinear-in-upstream": 1, "upstream-ignored": 1, "some entries are exactly 0": 3, "x": 2},
    prerequisites=("the chain rule",),
    reference="Nair and Hinton, Rectified linear units improve restricted Boltzmann machines, ICML 2010",
)
