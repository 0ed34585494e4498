"""Exercise: the gradients of an addition that broadcasts."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, normal, sizes, steps


def forward(a: Array, b: Array) -> Array:
    """The sum y = a + b under NumPy's broadcasting."""
    return a + b


def backward(gy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Gradients of the loss by a and b.

    Parameters
    ----------
    gy : array
        Gradient of the loss by y; the shape to which a and b broadcast.
    a, b : array
        Any two shapes that broadcast: axes may be missing on the left, or have size 1.

    Returns
    -------
    ga : array, the shape of a
    gb : array, the shape of b
    """
    # begin solution
    gradients = []
    for value in (a, b):
        g = gy.sum(axis=tuple(range(gy.ndim - value.ndim)))  # axes that broadcasting put in front
        stretched = tuple(i for i, n in enumerate(value.shape) if n == 1)
        gradients.append(g.sum(axis=stretched, keepdims=True))
    return gradients[0], gradients[1]
    # end solution


def _same(rng: np.random.Generator) -> Sample:
    shape = sizes(rng, (2, 4), (2, 4))
    return Sample((normal(rng, shape), normal(rng, shape)))


def _bias(rng: np.random.Generator) -> Sample:
    n, m = sizes(rng, (2, 4), (2, 4))
    return Sample((normal(rng, (n, m)), normal(rng, (m,))))


def _column(rng: np.random.Generator) -> Sample:
    n, m = sizes(rng, (2, 4), (2, 4))
    return Sample((normal(rng, (n, m)), normal(rng, (n, 1))))


def _both(rng: np.random.Generator) -> Sample:
    k, n, m = sizes(rng, (2, 3), (2, 4), (2, 4))
    return Sample((normal(rng, (1, n, 1)), normal(rng, (k, 1, m))))


def _scalar(rng: np.random.Generator) -> Sample:
    return Sample((normal(rng, ()), normal(rng, sizes(rng, (2, 3), (1, 3), (2, 3)))))


EXERCISE = Exercise(
    name="add",
    title="The gradients of an addition that broadcasts",
    difficulty=2,
    task="""\
Forward:  y = a + b, where NumPy stretches a and b to one shape: missing axes are put in front, and axes of size 1
are repeated. So (3, 4) + (4,) is (3, 4), and (1, 4, 1) + (2, 1, 5) is (2, 4, 5).

Wanted: ga and gb, the gradients of a loss L by a and b, from gy = dL/dy. ga has the shape of a, gb that of b.""",
    solution=backward,
    forward=forward,
    gradients=("a", "b"),
    given=(forward,),
    hints=steps("""\
Without broadcasting the slope is 1 everywhere, and both gradients are gy.

A number that was copied to several places influences the loss through every copy: its gradient is the sum
of the gradients of its copies. So broadcasting forward is summation backward.

Two kinds of axes were copied along: axes that a did not have (in front), and axes where a has size 1.

First sum over the missing leading axes: gy.sum(axis=tuple(range(gy.ndim - a.ndim))). Then sum over the axes
of size 1, keeping them: g.sum(axis=..., keepdims=True). Summing over axis=() changes nothing."""),
    cases={
        "equal shapes": _same, "a row, axes missing": _bias, "a column, axis of size 1": _column,
        "both are stretched": _both, "a number": _scalar,
    },
    reread={"broadcast-not-summed": 2, "equal shapes": 1, "a row, axes missing": 3},
    prerequisites=("the chain rule", "NumPy's broadcasting"),
    reference="docs/ops/elementwise.md",
)
