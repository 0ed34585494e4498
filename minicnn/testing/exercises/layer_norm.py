"""Exercise: the gradients of layer normalisation."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, normal, sizes, steps


def forward(x: Array, gamma: Array, beta: Array, *, eps: float) -> Array:
    """Each row of x is normalised over its features, then scaled by gamma and shifted by beta."""
    mean = x.mean(axis=-1, keepdims=True)
    var = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


def backward(gy: Array, x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, Array, Array]:
    """Gradients of the loss by x, gamma and beta.

    Parameters
    ----------
    gy : array (*S, D)
        Gradient of the loss by y.
    x : array (*S, D)
        Any number of leading axes S; the last is normalised.
    gamma, beta : array (D,)
    eps : float
        Added to the variance.

    Returns
    -------
    gx : array (*S, D)
    ggamma : array (D,)
    gbeta : array (D,)
    """
    # begin solution
    mean = x.mean(axis=-1, keepdims=True)
    std = np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + eps)
    xhat = (x - mean) / std
    leading = tuple(range(x.ndim - 1))
    gbeta = gy.sum(axis=leading)
    ggamma = (gy * xhat).sum(axis=leading)
    g = gy * gamma
    gx = (g - g.mean(axis=-1, keepdims=True) - xhat * (g * xhat).mean(axis=-1, keepdims=True)) / std
    return gx, ggamma, gbeta
    # end solution


def _draw(rng: np.random.Generator, shape: tuple[int, ...], eps: float) -> Sample:
    d = shape[-1]
    gamma = np.round(rng.uniform(0.5, 2.0, d), 2) * rng.choice([-1.0, 1.0], d)
    return Sample((normal(rng, shape), gamma, normal(rng, (d,))), {"eps": eps})


def _matrix(rng: np.random.Generator) -> Sample:
    return _draw(rng, sizes(rng, (2, 4), (3, 5)), 1e-5)


def _sequence(rng: np.random.Generator) -> Sample:
    return _draw(rng, sizes(rng, (2, 3), (2, 3), (3, 5)), 1e-3)


def _eps(rng: np.random.Generator) -> Sample:
    return _draw(rng, sizes(rng, (2, 4), (3, 6)), 0.5)


EXERCISE = Exercise(
    name="layer_norm",
    title="The gradients of layer normalisation",
    difficulty=4,
    task="""\
Forward, for each row of D features separately:

    mean = (1/D) sum_d x[d]            var = (1/D) sum_d (x[d] - mean)^2
    xhat[d] = (x[d] - mean) / sqrt(var + eps)
    y[d] = gamma[d] * xhat[d] + beta[d]

Shapes: x, y (*S, D) with any leading axes S, often (N, D) or (N, T, D); gamma, beta (D,).
Wanted: gx (*S, D), ggamma (D,), gbeta (D,), the gradients of a loss L, from gy = dL/dy.""",
    solution=backward,
    forward=forward,
    gradients=("x", "gamma", "beta"),
    given=(forward,),
    hints=steps("""\
gamma and beta are shared by all rows: their gradients are sums over all leading axes.
gbeta = sum gy,  ggamma = sum gy * xhat.

Unlike in batch normalisation gamma[d] varies along the axis of the mean: multiply first,
g[d] = gy[d] * gamma[d], and take means of g, not of gy.

x[d] acts directly, through the mean and through the variance of its row: gx has three terms.
Direct:  g[d] / std.  Through the mean:  -mean(g) / std,  with std = sqrt(var + eps).

Through the variance:  -xhat[d] * mean(g * xhat) / std.

gx = (g - mean(g) - xhat * mean(g * xhat)) / std, means over the last axis with keepdims=True. The leading
axes are tuple(range(x.ndim - 1))."""),
    cases={"a matrix": _matrix, "three axes": _sequence, "a large eps": _eps},
    reread={
        "statistic-as-constant": 3, "mean-not-divided": 5, "missing-factor": 2, "forward-not-adjoint": 2,
        "transposed-weight": 2,
        "broadcast-not-summed": 1, "gamma": 1, "beta": 1,
    },
    prerequisites=("batch_norm",),
    reference="Ba, Kiros and Hinton, Layer normalization, 2016; docs/ops/normalization.md",
)
