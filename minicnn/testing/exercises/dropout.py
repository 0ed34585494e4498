"""Exercise: the gradient of dropout."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, normal, sizes, steps


def forward(x: Array, keep: Array, *, p: float) -> Array:
    """Entries with keep = 0 are dropped, the others grow so that the mean stays: y = keep * x / (1 - p)."""
    return keep * x / (1.0 - p)


def backward(gy: Array, x: Array, keep: Array, *, p: float) -> Array:
    """Gradient of the loss by x.

    Parameters
    ----------
    gy : array, any shape
        Gradient of the loss by y.
    x : array, the same shape
        The input of forward.
    keep : array of int, the same shape
        1 where an entry was kept, 0 where it was dropped; drawn before forward, a constant.
    p : float
        The probability with which an entry is dropped, in [0, 1).

    Returns
    -------
    gx : array, the shape of x
    """
    # begin solution
    return gy * keep / (1.0 - p)
    # end solution


def _draw(rng: np.random.Generator, shape: tuple[int, ...], p: float) -> Sample:
    keep = (rng.uniform(size=shape) >= p).astype(np.int64)
    keep.flat[0] = 1  # all dropped or none would prove little
    keep.flat[-1] = p == 0
    return Sample((normal(rng, shape), keep), {"p": p})


def _half(rng: np.random.Generator) -> Sample:
    return _draw(rng, sizes(rng, (2, 4), (2, 4)), 0.5)


def _other(rng: np.random.Generator) -> Sample:
    return _draw(rng, sizes(rng, (2, 3), (2, 3), (1, 2)), float(rng.choice([0.1, 0.2, 0.8])))


def _none(rng: np.random.Generator) -> Sample:
    return _draw(rng, sizes(rng, (2, 4), (2, 4)), 0.0)


EXERCISE = Exercise(
    name="dropout",
    title="The gradient of dropout",
    difficulty=1,
    task="""\
Forward:  y[i] = keep[i] * x[i] / (1 - p)  for every entry i (inverted dropout, as it is used in training).

keep holds ones and zeros that were drawn beforehand; it is a constant.
Wanted: gx, the gradient of a loss L by x, from gy, its gradient by y. Both have the shape of x.""",
    solution=backward,
    forward=forward,
    gradients=("x",),
    given=(forward,),
    hints=steps("""\
Given keep and p, forward multiplies each entry by a fixed number. What is the slope of y = c * x?

The mask that forward used decides, not the sign or the size of x or gy: dropped entries get gradient 0.

Kept entries were multiplied by 1 / (1 - p) on the way forward; their gradient is multiplied by the same."""),
    cases={"p = 0.5": _half, "another p": _other, "p = 0": _none},
    reread={"mask-missing": 2, "wrong-local-derivative": 2, "upstream-ignored": 1},
    prerequisites=("the chain rule",),
    reference="Srivastava et al., Dropout, JMLR 2014; docs/ops/dropout.md",
)
