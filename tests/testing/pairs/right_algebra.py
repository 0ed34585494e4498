"""Right rules of linear algebra, and of layers with options."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.testing.pairs import layers
from tests.testing.pairs.pair import Pair, apart, normal

Array = Any


def square(n: int) -> Any:
    """Well conditioned and not symmetric."""
    return lambda rng: [n * np.eye(n) + rng.standard_normal((n, n))]


def positive(n: int) -> Any:
    def draw(rng: np.random.Generator) -> list[Array]:
        a = rng.standard_normal((n, n))
        return [a @ a.T + n * np.eye(n)]

    return draw


def separated(n: int) -> Any:
    """Eigenvalues of the symmetric part are at least 0.5 apart."""

    def draw(rng: np.random.Generator) -> list[Array]:
        q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        skew = rng.standard_normal((n, n))
        return [q @ np.diag(np.arange(n) + rng.uniform(0, 0.5, n)) @ q.T + skew - skew.T]

    return draw


def inverse_backward(gy: Array, a: Array) -> Array:
    b = np.linalg.inv(a).T
    return -b @ gy @ b


def system(rng: np.random.Generator) -> list[Array]:
    return [*square(4)(rng), rng.standard_normal((4, 2))]


def solve_backward(gy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    g = np.linalg.solve(a.T, gy)
    return -g @ np.linalg.solve(a, b).T, g


def det_backward(gy: Array, a: Array) -> Array:
    return (gy * np.linalg.det(a))[..., None, None] * np.linalg.inv(a).swapaxes(-1, -2)


def cholesky_backward(gy: Array, a: Array) -> Array:
    """For the entries on and below the diagonal, the only ones NumPy reads."""
    low = np.linalg.cholesky(a)
    phi = np.tril(low.T @ np.tril(gy))
    phi[np.diag_indices_from(phi)] /= 2
    inverse = np.linalg.inv(low)
    s = inverse.T @ phi @ inverse
    return np.tril(s + s.T) - np.diag(np.diag(s))


def eigenvalues(a: Array) -> Array:
    return np.linalg.eigvalsh((a + a.T) / 2)


def eigenvalues_backward(gy: Array, a: Array) -> Array:
    v = np.linalg.eigh((a + a.T) / 2)[1]
    return v * gy @ v.T


def lower_eigenvalues_backward(gy: Array, a: Array) -> Array:
    """eigvalsh reads the lower triangle only, so an entry below the diagonal counts twice."""
    v = np.linalg.eigh(a)[1]
    g = v * gy @ v.T
    return np.tril(g) + np.tril(g, -1)


ROIS = [(0.3, 0.4, 4.2, 5.1), (1.0, 0.0, 3.7, 4.4)]

RIGHT = [
    Pair("matrix_inverse", "right", np.linalg.inv, inverse_backward, square(4)),
    Pair("solve", "right", np.linalg.solve, solve_backward, system),
    Pair("determinants", "right", np.linalg.det, det_backward,
         lambda rng: [2 * np.eye(3) + rng.standard_normal((2, 3, 3))], note="A batch of matrices."),
    Pair("cholesky", "right", np.linalg.cholesky, cholesky_backward, positive(4), note="Lower triangle only."),
    Pair("symmetric_eigenvalues", "right", eigenvalues, eigenvalues_backward, separated(4)),
    Pair("eigenvalues_of_lower_triangle", "right", np.linalg.eigvalsh, lower_eigenvalues_backward,
         lambda rng: [np.diag(3.0 * np.arange(4)) + 0.3 * rng.standard_normal((4, 4))],
         note="Above the diagonal the derivative is zero."),
    Pair("causal_attention", "right", layers.attention, layers.attention_backward,
         normal((2, 4, 3), (2, 4, 3), (2, 4, 2)), {"causal": True}),
    Pair("convolution_with_every_option", "right", layers.conv2d, layers.conv2d_backward,
         normal((2, 4, 6, 5), (4, 2, 3, 2), (4,)), {"stride": 2, "padding": 2, "dilation": 2, "groups": 2}),
    Pair("batch_norm", "right", layers.batch_norm, layers.batch_norm_backward, normal((6, 3), (3,), (3,)),
         {"eps": 1e-3}),
    Pair("max_pool_overlapping", "right", layers.max_pool, layers.max_pool_backward, apart((1, 2, 5, 5), shift=-3.0),
         {"kernel": 3, "stride": 2, "padding": 1}, note="Negative inputs beside the padding; no ties."),
    Pair("lstm_cell", "right", layers.lstm_cell, layers.lstm_cell_backward,
         normal((2, 3), (2, 2), (2, 2), (3, 8), (2, 8))),
    Pair("bilinear_resize", "right", layers.resize, layers.resize_backward, normal((2, 4, 5)), {"out": (7, 3)}),
    Pair("roi_align", "right", layers.roi_align, layers.roi_align_backward, normal((6, 7)),
         {"boxes": ROIS, "bins": 2, "samples": 2}, note="Regions overlap."),
]
