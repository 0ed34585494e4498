"""Exercise: a step of Adam."""

from __future__ import annotations

import math

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, Mistake, normal, sizes, steps

State = tuple[Array, Array, Array]


def step(
    w: Array, g: Array, m: Array, v: Array, *, t: int, lr: float, beta1: float, beta2: float, eps: float
) -> tuple[Array, Array, Array]:
    """One step of Adam.

    Parameters
    ----------
    w, g : array, any shape
        The weights and their gradient.
    m, v : array, the same shape
        Running means of g and of g², before this step; zeros before the first.
    t : int
        Number of this step, from 1.
    lr, beta1, beta2, eps : float

    Returns
    -------
    w, m, v : array
        After the step; new arrays, the arguments stay as they are.
    """
    # begin solution
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    mhat = m / (1 - beta1**t)
    vhat = v / (1 - beta2**t)
    return w - lr * mhat / (np.sqrt(vhat) + eps), m, v
    # end solution


def naive(
    w: Array, g: Array, m: Array, v: Array, *, t: int, lr: float, beta1: float, beta2: float, eps: float
) -> State:
    """One number at a time."""
    new_w, new_m, new_v = w.copy(), m.copy(), v.copy()
    for i in np.ndindex(*w.shape):
        slope = float(g[i])
        first = float(m[i]) + (1 - beta1) * (slope - float(m[i]))
        second = float(v[i]) + (1 - beta2) * (slope * slope - float(v[i]))
        rate = lr * math.sqrt(1 - math.pow(beta2, t)) / (1 - math.pow(beta1, t))
        new_w[i] = float(w[i]) - rate * first / (math.sqrt(second) + eps * math.sqrt(1 - math.pow(beta2, t)))
        new_m[i], new_v[i] = first, second
    return new_w, new_m, new_v


def _uncorrected(w: Array, g: Array, m: Array, v: Array, *, lr: float, eps: float, **rest: float) -> State:
    _, m, v = step(w, g, m, v, lr=lr, eps=eps, **rest)  # type: ignore[arg-type]
    return w - lr * m / (np.sqrt(v) + eps), m, v


def _eps_inside(w: Array, g: Array, m: Array, v: Array, *, t: int, lr: float, eps: float, **betas: float) -> State:
    _, m, v = step(w, g, m, v, t=t, lr=lr, eps=eps, **betas)
    mhat, vhat = m / (1 - betas["beta1"] ** t), v / (1 - betas["beta2"] ** t)
    return w - lr * mhat / np.sqrt(vhat + eps), m, v


def _from_zero(w: Array, g: Array, m: Array, v: Array, *, t: int, **rest: float) -> State:
    return step(w, g, m, v, t=t + 1, **rest)


def _corrected_state(w: Array, g: Array, m: Array, v: Array, *, t: int, **rest: float) -> State:
    w, m, v = step(w, g, m, v, t=t, **rest)
    return w, m / (1 - rest["beta1"] ** t), v / (1 - rest["beta2"] ** t)


def _draw(rng: np.random.Generator, t: int, eps: float = 1e-8) -> Sample:
    shape = sizes(rng, (2, 3), (2, 3))
    w, g = normal(rng, shape), normal(rng, shape)
    m, v = (np.zeros(shape), np.zeros(shape)) if t == 1 else (normal(rng, shape), normal(rng, shape) ** 2)
    return Sample((w, g, m, v), {"t": t, "lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": eps})


def _first(rng: np.random.Generator) -> Sample:
    return _draw(rng, 1)


def _later(rng: np.random.Generator) -> Sample:
    return _draw(rng, int(rng.integers(3, 30)))


def _large_eps(rng: np.random.Generator) -> Sample:
    return _draw(rng, int(rng.integers(2, 5)), 0.1)


EXERCISE = Exercise(
    name="adam",
    title="A step of Adam",
    difficulty=2,
    task="""\
Two running means, corrected because they started at zero, make the step:

    m <- beta1 * m + (1 - beta1) * g               mhat = m / (1 - beta1^t)
    v <- beta2 * v + (1 - beta2) * g^2             vhat = v / (1 - beta2^t)
    w <- w - lr * mhat / (sqrt(vhat) + eps)

All arrays have one shape; t counts the steps from 1. Return the new w, m and v; leave the arguments as they are.""",
    solution=step,
    oracle=naive,
    hints=steps("""\
Update m and v first; the step uses the new ones. g^2 is entry by entry.

mhat and vhat are for this step only: m and v themselves are returned uncorrected.

In the first step (t = 1, m = v = 0) mhat is g and vhat is g^2, so that w moves by about lr in every entry.

eps is added to the root, not to what is under it."""),
    cases={"the first step": _first, "a later step": _later, "a large eps": _large_eps},
    mistakes=(
        Mistake("the running means are not corrected for their start at zero", 3, _uncorrected),
        Mistake("eps stands under the root", 4, _eps_inside),
        Mistake("the correction is that of step t + 1: t already counts from 1", 3, _from_zero),
        Mistake("the corrected means are returned; they are for this step only", 2, _corrected_state),
    ),
    reread={"the first step": 3, "a later step": 1},
    prerequisites=("sgd_momentum",),
    reference="Kingma and Ba, Adam, ICLR 2015, algorithm 1; docs/optim.md",
)
