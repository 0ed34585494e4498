"""Exercise: the gradient of RoI max-pooling."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, Mistake, apart, steps
from minicnn.testing.exercises.windows import image


def bins(start: int, end: int, parts: int) -> list[slice]:
    """Cut the cells start..end-1 into parts; neighbours share a cell where the length does not divide."""
    length = end - start
    return [slice(start + p * length // parts, start - (-(p + 1) * length // parts)) for p in range(parts)]


def forward(x: Array, boxes: Array, *, size: tuple[int, int]) -> Array:
    """The maximum of each of size[0] x size[1] bins laid over each box."""
    y = np.zeros((len(boxes), x.shape[1], *size))
    for k, (n, left, top, right, bottom) in enumerate(boxes):
        for i, rows in enumerate(bins(top, bottom, size[0])):
            for j, columns in enumerate(bins(left, right, size[1])):
                y[k, :, i, j] = x[n, :, rows, columns].max(axis=(1, 2))
    return y


def backward(gy: Array, x: Array, boxes: Array, *, size: tuple[int, int]) -> Array:
    """Gradient of the loss by the feature map x.

    Parameters
    ----------
    gy : array (K, C, *size)
        Gradient of the loss by y.
    x : array (N, C, H, W)
        Feature maps of N images.
    boxes : array of int (K, 5)
        Rows (image, left, top, right, bottom) in cells; right and bottom are the first cells outside.
    size : (int, int)
        Bins down and across.

    Returns
    -------
    gx : array (N, C, H, W)
        Among equal maxima of a bin, the first in row-major order gets the gradient.
    """
    # begin solution
    gx = np.zeros_like(x)
    for k, (n, left, top, right, bottom) in enumerate(boxes):
        for i, rows in enumerate(bins(top, bottom, size[0])):
            for j, columns in enumerate(bins(left, right, size[1])):
                for c in range(x.shape[1]):
                    cells = x[n, c, rows, columns]
                    a, b = np.unravel_index(cells.argmax(), cells.shape)
                    gx[n, c, rows.start + a, columns.start + b] += gy[k, c, i, j]
    return gx
    # end solution


def _box(rng: np.random.Generator, x: Array) -> list[int]:
    n, _, h, w = x.shape
    left, top = int(rng.integers(0, w - 1)), int(rng.integers(0, h - 1))
    right, bottom = int(rng.integers(left + 2, w + 1)), int(rng.integers(top + 2, h + 1))
    return [int(rng.integers(n)), left, top, right, bottom]


def _draw(rng: np.random.Generator, count: int, size: tuple[int, int]) -> Sample:
    x = apart(rng, image(rng, least=4, most=6).shape)
    return Sample((x, np.array([_box(rng, x) for _ in range(count)])), {"size": size})


def _single(rng: np.random.Generator) -> Sample:
    return _draw(rng, 1, (2, 2))


def _several(rng: np.random.Generator) -> Sample:
    sample = _draw(rng, 4, (2, 1))
    sample.args[1][1] = sample.args[1][0]  # the same box twice
    return sample


def _uneven(rng: np.random.Generator) -> Sample:
    x = apart(rng, (2, 1, 5, 7))
    return Sample((x, np.array([[1, 0, 0, 7, 5], [0, 1, 0, 6, 4]])), {"size": (2, 3)})


def _ties(rng: np.random.Generator) -> Sample:
    x = rng.integers(0, 2, image(rng, least=4, most=6).shape).astype(float)
    return Sample((x, np.array([_box(rng, x) for _ in range(3)])), {"size": (2, 2)})


def _every_winner(gy: Array, x: Array, boxes: Array, *, size: tuple[int, int]) -> Array:
    gx = np.zeros_like(x)
    for k, (n, left, top, right, bottom) in enumerate(boxes):
        for i, rows in enumerate(bins(top, bottom, size[0])):
            for j, columns in enumerate(bins(left, right, size[1])):
                cells = x[n, :, rows, columns]
                winners = cells == cells.max(axis=(1, 2), keepdims=True)
                gx[n, :, rows, columns] += winners * gy[k, :, i, j, None, None]
    return gx


EXERCISE = Exercise(
    name="roi_pooling",
    title="The gradient of RoI max-pooling",
    difficulty=4,
    task="""\
Forward: box k, a rectangle of cells of image n, is cut into size[0] x size[1] bins (see `bins`; neighbouring bins
may share a cell), and

    y[k, c, i, j] = the largest x[n, c, r, q] over the cells (r, q) of bin (i, j)

Shapes: x (N, C, H, W), boxes (K, 5) of ints with rows (n, left, top, right, bottom), y (K, C, *size).
Wanted: gx (N, C, H, W), the gradient of a loss L by x, from gy = dL/dy. The boxes have no gradient.
If several cells of a bin are equally large, the first in row-major order gets all of the gradient.""",
    solution=backward,
    forward=forward,
    gradients=("x",),
    given=(bins, forward),
    hints=steps("""\
It is max-pooling with windows of varying place and size: the winner of each bin gets that bin's gy.

Copy forward's three loops, and loop over the channels as well. gx starts as zeros of x's shape.

A cell can win in several bins, of one box (shared cells) or of overlapping boxes: `+=`. All boxes of an
image write into the same gx[n].

cells = x[n, c, rows, columns]; np.unravel_index(cells.argmax(), cells.shape) is the winner's place within
the bin. In the image it is (rows.start + a, columns.start + b)."""),
    cases={"one box": _single, "overlapping boxes": _several, "bins that share cells": _uneven},
    edges={"several equal maxima": _ties},
    mistakes=(Mistake("every one of several equal maxima gets the gradient; only the first may", 4, _every_winner),),
    reread={"overwritten-not-accumulated": 3, "misplaced": 4, "one box": 1},
    prerequisites=("max_pool",),
    reference="Girshick, Fast R-CNN, ICCV 2015, section 2.3; docs/ops/roi.md",
)
