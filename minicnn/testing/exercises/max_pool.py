"""Exercise: the gradient of max-pooling."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, Mistake, apart, steps
from minicnn.testing.exercises.windows import image, output_size


def forward(x: Array, *, kernel: int, stride: int) -> Array:
    """The largest of the kernel x kernel pixels from (i * stride, j * stride) on."""
    n, c, h, w = x.shape
    y = np.zeros((n, c, output_size(h, kernel, stride, 0), output_size(w, kernel, stride, 0)))
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            window = x[:, :, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
            y[:, :, i, j] = window.max(axis=(2, 3))
    return y


def backward(gy: Array, x: Array, *, kernel: int, stride: int) -> Array:
    """Gradient of the loss by x.

    Parameters
    ----------
    gy : array (N, C, OH, OW)
        Gradient of the loss by y.
    x : array (N, C, H, W)
        The input of forward.
    kernel, stride : int
        Of the windows, down and across.

    Returns
    -------
    gx : array (N, C, H, W)
        Among equal maxima of a window, the first in row-major order gets the gradient.
    """
    # begin solution
    gx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(*gy.shape):
        window = x[n, c, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
        a, b = np.unravel_index(window.argmax(), window.shape)
        gx[n, c, i * stride + a, j * stride + b] += gy[n, c, i, j]
    return gx
    # end solution


def _draw(rng: np.random.Generator, kernel: int, stride: int) -> Sample:
    return Sample((apart(rng, image(rng).shape),), {"kernel": kernel, "stride": stride})


def _apart(rng: np.random.Generator) -> Sample:
    return _draw(rng, 2, 2)


def _overlapping(rng: np.random.Generator) -> Sample:
    return _draw(rng, int(rng.integers(2, 4)), 1)


def _gaps(rng: np.random.Generator) -> Sample:
    return _draw(rng, 2, 3)


def _negative(rng: np.random.Generator) -> Sample:
    x = apart(rng, image(rng).shape)
    return Sample((x - x.max() - 1.0,), {"kernel": 2, "stride": 2})


def _ties(rng: np.random.Generator) -> Sample:
    return Sample((rng.integers(0, 2, image(rng).shape).astype(float),), {"kernel": 2, "stride": 1})


def _every_winner(gy: Array, x: Array, *, kernel: int, stride: int) -> Array:
    gx, y = np.zeros_like(x), forward(x, kernel=kernel, stride=stride)
    for n, c, i, j in np.ndindex(*gy.shape):
        place = n, c, slice(i * stride, i * stride + kernel), slice(j * stride, j * stride + kernel)
        gx[place] += gy[n, c, i, j] * (x[place] == y[n, c, i, j])
    return gx


EXERCISE = Exercise(
    name="max_pool",
    title="The gradient of max-pooling",
    difficulty=3,
    task="""\
Forward:

    y[n, c, i, j] = max over a, e in 0..kernel-1 of x[n, c, i * stride + a, j * stride + e]

Shapes: x (N, C, H, W), y (N, C, OH, OW) with OH = output_size(H, kernel, stride, 0).
Wanted: gx (N, C, H, W), the gradient of a loss L by x, from gy = dL/dy.
If several pixels of a window are equally large, the first in row-major order gets all of the gradient.""",
    solution=backward,
    forward=forward,
    gradients=("x",),
    given=(output_size, forward),
    hints=steps("""\
A small change of a pixel changes y only if the pixel is the maximum of its window: the slope is 1 there,
and 0 for all others. So the winner of each window gets that window's gy.

With stride < kernel the windows overlap, and one pixel can win several times: its gradients add up (`+=`).

Loop over n, c, i, j; window.argmax() is the first maximum in row-major order, as a flat number, and
np.unravel_index(number, window.shape) turns it into (a, e). The pixel is (i * stride + a, j * stride + e)."""),
    cases={
        "windows side by side": _apart, "windows that overlap": _overlapping, "windows with gaps": _gaps,
        "all values negative": _negative,
    },
    edges={"several equal maxima": _ties},
    mistakes=(Mistake("every one of several equal maxima gets the gradient; only the first may", 3, _every_winner),),
    reread={"overwritten-not-accumulated": 2, "misplaced": 3, "several equal maxima": 3, "windows side by side": 1},
    prerequisites=("relu", "im2col"),
    reference="docs/ops/pooling.md",
)
