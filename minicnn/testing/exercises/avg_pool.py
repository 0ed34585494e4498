"""Exercise: the gradient of average pooling."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, steps
from minicnn.testing.exercises.windows import image, output_size


def forward(x: Array, *, kernel: int, stride: int) -> Array:
    """The mean of the kernel x kernel pixels from (i * stride, j * stride) on."""
    n, c, h, w = x.shape
    y = np.zeros((n, c, output_size(h, kernel, stride, 0), output_size(w, kernel, stride, 0)))
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            window = x[:, :, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
            y[:, :, i, j] = window.mean(axis=(2, 3))
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
    """
    # begin solution
    gx = np.zeros_like(x)
    for i in range(gy.shape[2]):
        for j in range(gy.shape[3]):
            share = gy[:, :, i, j] / kernel**2
            gx[:, :, i * stride : i * stride + kernel, j * stride : j * stride + kernel] += share[:, :, None, None]
    return gx
    # end solution


def _draw(rng: np.random.Generator, kernel: int, stride: int) -> Sample:
    return Sample((image(rng),), {"kernel": kernel, "stride": stride})


def _apart(rng: np.random.Generator) -> Sample:
    return _draw(rng, 2, 2)


def _overlapping(rng: np.random.Generator) -> Sample:
    return _draw(rng, int(rng.integers(2, 4)), 1)


def _gaps(rng: np.random.Generator) -> Sample:
    return _draw(rng, 2, 3)


EXERCISE = Exercise(
    name="avg_pool",
    title="The gradient of average pooling",
    difficulty=2,
    task="""\
Forward:

    y[n, c, i, j] = (1/kernel^2) sum_{a, e} x[n, c, i * stride + a, j * stride + e]      a, e in 0..kernel-1

Shapes: x (N, C, H, W), y (N, C, OH, OW) with OH = output_size(H, kernel, stride, 0).
Wanted: gx (N, C, H, W), the gradient of a loss L by x, from gy = dL/dy.""",
    solution=backward,
    forward=forward,
    gradients=("x",),
    given=(output_size, forward),
    hints=steps("""\
Each of the kernel^2 pixels of a window has slope 1/kernel^2.

So gy[n, c, i, j] / kernel^2 goes to every pixel of its window. Windows may overlap: add, do not assign.
Pixels that no window covers keep 0.

Loop over (i, j) as forward does:  gx[:, :, rows, columns] += (gy[:, :, i, j] / kernel**2)[:, :, None, None]."""),
    cases={"windows side by side": _apart, "windows that overlap": _overlapping, "windows with gaps": _gaps},
    reread={"mean-not-divided": 1, "overwritten-not-accumulated": 2, "windows side by side": 1},
    prerequisites=("add",),
    reference="docs/ops/pooling.md",
)
