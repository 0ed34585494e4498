"""Exercise: a step of SGD with momentum."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, Mistake, normal, sizes, steps


def step(w: Array, g: Array, v: Array, *, lr: float, momentum: float) -> tuple[Array, Array]:
    """One step of stochastic gradient descent with momentum.

    Parameters
    ----------
    w : array, any shape
        The weights.
    g : array, the same shape
        Their gradient.
    v : array, the same shape
        The velocity after the last step; zeros before the first.
    lr, momentum : float

    Returns
    -------
    w : array
        The weights after the step; a new array, the arguments stay as they are.
    v : array
        The velocity after the step.
    """
    # begin solution
    v = momentum * v + g
    return w - lr * v, v
    # end solution


def naive(w: Array, g: Array, v: Array, *, lr: float, momentum: float) -> tuple[Array, Array]:
    """One number at a time."""
    new_w, new_v = w.copy(), v.copy()
    for i in np.ndindex(*w.shape):
        new_v[i] = float(v[i]) * momentum + float(g[i])
        new_w[i] = float(w[i]) - lr * float(new_v[i])
    return new_w, new_v


def _old_velocity(w: Array, g: Array, v: Array, *, lr: float, momentum: float) -> tuple[Array, Array]:
    return w - lr * v, momentum * v + g


def _plain(w: Array, g: Array, v: Array, *, lr: float, momentum: float) -> tuple[Array, Array]:
    return w - lr * g, momentum * v + g


def _uphill(w: Array, g: Array, v: Array, *, lr: float, momentum: float) -> tuple[Array, Array]:
    return w + lr * (momentum * v + g), momentum * v + g


def _damped(w: Array, g: Array, v: Array, *, lr: float, momentum: float) -> tuple[Array, Array]:
    v = momentum * v + (1 - momentum) * g
    return w - lr * v, v


def _scaled(w: Array, g: Array, v: Array, *, lr: float, momentum: float) -> tuple[Array, Array]:
    v = momentum * v + lr * g
    return w - v, v


def _draw(rng: np.random.Generator, *, moving: bool) -> Sample:
    shape = sizes(rng, (2, 3), (2, 4))
    v = normal(rng, shape) if moving else np.zeros(shape)
    options = {"lr": float(rng.choice([0.1, 0.05])), "momentum": float(rng.choice([0.9, 0.5]))}
    return Sample((normal(rng, shape), normal(rng, shape), v), options)


def _first(rng: np.random.Generator) -> Sample:
    return _draw(rng, moving=False)


def _later(rng: np.random.Generator) -> Sample:
    return _draw(rng, moving=True)


def _without(rng: np.random.Generator) -> Sample:
    sample = _draw(rng, moving=True)
    return Sample(sample.args, sample.kwargs | {"momentum": 0.0})


EXERCISE = Exercise(
    name="sgd_momentum",
    title="A step of SGD with momentum",
    difficulty=1,
    task="""\
The velocity is a sum of all gradients so far, older ones fading; the weights follow it:

    v <- momentum * v + g
    w <- w - lr * v

All arrays have one shape. Return the new w and v, and leave the arguments as they are.""",
    solution=step,
    oracle=naive,
    hints=steps("""\
The velocity is updated first, and the weights use the new velocity.

g enters with factor 1: neither 1 - momentum nor lr stands in front of it (other papers differ; this is the
convention of PyTorch).

`v *= momentum` writes into the caller's array; `v = momentum * v + g` makes a new one."""),
    cases={"the first step": _first, "a later step": _later, "momentum 0": _without},
    mistakes=(
        Mistake("the weights follow the old velocity", 1, _old_velocity),
        Mistake("the weights follow the gradient alone; the velocity has no effect", 1, _plain),
        Mistake("the step goes uphill: subtract", 1, _uphill),
        Mistake("the gradient enters with factor 1 - momentum", 2, _damped),
        Mistake("the learning rate is in the velocity", 2, _scaled),
    ),
    reread={"modified": 3, "the first step": 1, "a later step": 1, "momentum 0": 1},
    prerequisites=(),
    reference="Polyak, 1964; Sutskever et al., ICML 2013; docs/optim.md",
)
