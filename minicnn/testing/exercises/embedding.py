"""Exercise: the gradient of looking up rows of a table."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, normal, sizes, steps


def forward(w: Array, index: Array) -> Array:
    """Rows of w: y[..., :] = w[index[...], :]."""
    return w[index]


def backward(gy: Array, w: Array, index: Array) -> Array:
    """Gradient of the loss by the table w.

    Parameters
    ----------
    gy : array (*S, D)
        Gradient of the loss by y.
    w : array (K, D)
        The table: K rows of D numbers.
    index : array of int (*S)
        Any shape S; entries in 0..K-1, and the same row may be asked for several times.

    Returns
    -------
    gw : array (K, D)
    """
    # begin solution
    gw = np.zeros_like(w)
    np.add.at(gw, index, gy)
    return gw
    # end solution


def _once(rng: np.random.Generator) -> Sample:
    k, d = sizes(rng, (3, 6), (1, 3))
    return Sample((normal(rng, (k, d)), rng.permutation(k)[: k - 1]))


def _repeated(rng: np.random.Generator) -> Sample:
    k, d = sizes(rng, (3, 6), (1, 3))
    row = int(rng.integers(k))
    return Sample((normal(rng, (k, d)), np.append(rng.integers(0, k, k), [row, row])))


def _matrix(rng: np.random.Generator) -> Sample:
    k, d, n, m = sizes(rng, (3, 5), (2, 3), (2, 3), (2, 3))
    return Sample((normal(rng, (k, d)), rng.integers(0, k, (n, m))))


EXERCISE = Exercise(
    name="embedding",
    title="The gradient of an embedding (gather)",
    difficulty=2,
    task="""\
Forward:  y[s, d] = w[index[s], d]: row index[s] of the table w for every position s.

Shapes: w (K, D), index (*S) of ints, y (*S, D). index may be a matrix, and may name a row many times or never.
Wanted: gw (K, D), the gradient of a loss L by w, from gy = dL/dy. index has no gradient.""",
    solution=backward,
    forward=forward,
    gradients=("w",),
    given=(forward,),
    hints=steps("""\
Which y did w[k, d] go to? To all positions s with index[s] = k, and to no others.

So  gw[k, d] = sum over the s with index[s] = k of gy[s, d]:  a row that was never asked for gets 0.

`gw[index] = gy` keeps only the last of several gradients of a row, and so does `gw[index] += gy`: NumPy
reads, adds and writes once per row. Repeated indices must be added one by one.

np.add.at(gw, index, gy) adds one by one, on a gw of zeros; a loop over the positions does so as well."""),
    cases={"every row at most once": _once, "rows asked for twice": _repeated, "index is a matrix": _matrix},
    reread={"overwritten-not-accumulated": 3, "wrong-count": 2, "every row at most once": 1, "rows asked for twice": 3},
    prerequisites=("NumPy's indexing",),
    reference="docs/ops/indexing.md",
)
