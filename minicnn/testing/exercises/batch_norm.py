"""Exercise: the gradients of batch normalisation."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, normal, sizes, steps


def forward(x: Array, gamma: Array, beta: Array, *, eps: float) -> Array:
    """Each column of x is normalised over the batch, scaled by gamma and shifted by beta."""
    mean = x.mean(axis=0)
    var = ((x - mean) ** 2).mean(axis=0)
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


def backward(gy: Array, x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, Array, Array]:
    """Gradients of the loss by x, gamma and beta.

    Parameters
    ----------
    gy : array (N, C)
        Gradient of the loss by y.
    x : array (N, C)
        N examples of C features.
    gamma, beta : array (C,)
    eps : float
        Added to the variance.

    Returns
    -------
    gx : array (N, C)
    ggamma : array (C,)
    gbeta : array (C,)
    """
    # begin solution
    mean = x.mean(axis=0)
    std = np.sqrt(((x - mean) ** 2).mean(axis=0) + eps)
    xhat = (x - mean) / std
    gbeta = gy.sum(axis=0)
    ggamma = (gy * xhat).sum(axis=0)
    g = gy * gamma
    gx = (g - g.mean(axis=0) - xhat * (g * xhat).mean(axis=0)) / std
    return gx, ggamma, gbeta
    # end solution


def _draw(rng: np.random.Generator, shape: tuple[int, ...], eps: float) -> Sample:
    n, c = shape
    x = normal(rng, (n, c)) + np.round(rng.uniform(-1, 1, c), 2)
    gamma = np.round(rng.uniform(0.5, 2.0, c), 2) * rng.choice([-1.0, 1.0], c)
    return Sample((x, gamma, normal(rng, (c,))), {"eps": eps})


def _small(rng: np.random.Generator) -> Sample:
    return _draw(rng, sizes(rng, (3, 4), (2, 3)), 1e-5)


def _large(rng: np.random.Generator) -> Sample:
    return _draw(rng, sizes(rng, (6, 9), (1, 4)), 1e-3)


def _eps(rng: np.random.Generator) -> Sample:
    return _draw(rng, sizes(rng, (3, 6), (1, 3)), 0.5)


EXERCISE = Exercise(
    name="batch_norm",
    title="The gradients of batch normalisation",
    difficulty=4,
    task="""\
Forward, for each column c of x separately (N examples):

    mean = (1/N) sum_n x[n]            var = (1/N) sum_n (x[n] - mean)^2
    xhat[n] = (x[n] - mean) / sqrt(var + eps)
    y[n] = gamma * xhat[n] + beta

Shapes: x, y (N, C); gamma, beta, mean, var (C,).
Wanted: gx (N, C), ggamma (C,), gbeta (C,), the gradients of a loss L, from gy = dL/dy.
mean and var depend on x: they are no constants.""",
    solution=backward,
    forward=forward,
    gradients=("x", "gamma", "beta"),
    given=(forward,),
    hints=steps("""\
Start at the end: y = gamma * xhat + beta is a linear layer of its own for each column. beta and gamma were
copied to all N rows, so their gradients are sums over the rows:  gbeta = sum_n gy[n],
ggamma = sum_n gy[n] * xhat[n],  and what goes on to xhat is  g[n] = gy[n] * gamma.

x[n] influences xhat in three ways: directly, through mean, and through var. Leaving one out is the usual
error. With std = sqrt(var + eps):  direct part g[n] / std.

Through the mean:  every xhat[m] falls by 1/std when mean rises by 1, and mean rises by 1/N when x[n] rises
by 1. This gives  -(1/N) sum_m g[m] / std = -mean(g) / std.

Through the variance:  dL/dvar = sum_m g[m] * (x[m] - mean) * (-1/2) * (var + eps)^(-3/2), and
dvar/dx[n] = 2 (x[n] - mean) / N. The product is  -xhat[n] * mean(g * xhat) / std.

All three together:  gx = (g - mean(g) - xhat * mean(g * xhat)) / std,  with means over the N rows.
Check: each column of gx adds up to 0, because shifting all x of a column changes nothing."""),
    cases={"a small batch": _small, "a larger batch": _large, "a large eps": _eps},
    reread={
        "statistic-as-constant": 2, "mean-not-divided": 5, "missing-factor": 1, "sign-flipped": 1,
        "broadcast-not-summed": 1, "gamma": 1, "beta": 1,
    },
    prerequisites=("linear", "add"),
    reference="Ioffe and Szegedy, Batch normalization, ICML 2015, section 3; docs/ops/normalization.md",
)
