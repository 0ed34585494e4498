"""Exercise: columns back to windows, the adjoint of im2col."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, Mistake, normal, steps
from minicnn.testing.exercises.windows import image, output_size


def col2im(columns: Array, *, size: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int) -> Array:
    """Add every column to the place that im2col would have read it from.

    Parameters
    ----------
    columns : array (N, C * KH * KW, OH * OW)
        In the order of im2col.
    size : (H, W)
        Height and width of the image, without padding.
    kernel : (KH, KW)
    stride, padding : int

    Returns
    -------
    x : array (N, C, H, W)
        Pixels under several windows hold the sum of what all of them bring.
    """
    # begin solution
    (h, w), (kh, kw) = size, kernel
    oh, ow = output_size(h, kh, stride, padding), output_size(w, kw, stride, padding)
    n, c = len(columns), columns.shape[1] // (kh * kw)
    columns = columns.reshape(n, c, kh, kw, oh, ow)
    padded = np.zeros((n, c, h + 2 * padding, w + 2 * padding))
    for a in range(kh):
        for b in range(kw):
            padded[:, :, a : a + stride * oh : stride, b : b + stride * ow : stride] += columns[:, :, a, b]
    return padded[:, :, padding : padding + h, padding : padding + w]
    # end solution


def naive(columns: Array, *, size: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int) -> Array:
    """The definition, one number at a time."""
    (h, w), (kh, kw) = size, kernel
    tops = range(-padding, h + padding - kh + 1, stride)
    lefts = range(-padding, w + padding - kw + 1, stride)
    n, c = len(columns), columns.shape[1] // (kh * kw)
    x = np.zeros((n, c, h, w))
    for image_, channel, i, j, a, b in np.ndindex(n, c, len(tops), len(lefts), kh, kw):
        r, q = tops[i] + a, lefts[j] + b
        if 0 <= r < h and 0 <= q < w:
            x[image_, channel, r, q] += columns[image_, (channel * kh + a) * kw + b, i * len(lefts) + j]
    return x


def _overwriting(columns: Array, *, size: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int) -> Array:
    (h, w), (kh, kw) = size, kernel
    oh, ow = output_size(h, kh, stride, padding), output_size(w, kw, stride, padding)
    n, c = len(columns), columns.shape[1] // (kh * kw)
    columns = columns.reshape(n, c, kh, kw, oh, ow)
    padded = np.zeros((n, c, h + 2 * padding, w + 2 * padding))
    for a in range(kh):
        for b in range(kw):
            padded[:, :, a : a + stride * oh : stride, b : b + stride * ow : stride] = columns[:, :, a, b]
    return padded[:, :, padding : padding + h, padding : padding + w]


def _averaging(columns: Array, *, size: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int) -> Array:
    def fold(values: Array) -> Array:
        return col2im(values, size=size, kernel=kernel, stride=stride, padding=padding)

    return fold(columns) / np.maximum(fold(np.ones_like(columns)), 1.0)


def _border_kept(columns: Array, *, size: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int) -> Array:
    large = (size[0] + 2 * padding, size[1] + 2 * padding)
    return col2im(columns, size=large, kernel=kernel, stride=stride, padding=0)


def _draw(rng: np.random.Generator, kernel: tuple[int, int], stride: int, padding: int) -> Sample:
    n, c, h, w = image(rng).shape
    count = output_size(h, kernel[0], stride, padding) * output_size(w, kernel[1], stride, padding)
    columns = normal(rng, (n, c * kernel[0] * kernel[1], count))
    return Sample((columns,), {"size": (h, w), "kernel": kernel, "stride": stride, "padding": padding})


def _apart(rng: np.random.Generator) -> Sample:
    return _draw(rng, (2, 2), 2, 0)


def _overlapping(rng: np.random.Generator) -> Sample:
    return _draw(rng, (2, int(rng.integers(2, 4))), 1, 0)


def _padded(rng: np.random.Generator) -> Sample:
    return _draw(rng, (3, int(rng.integers(2, 4))), 1, int(rng.integers(1, 3)))


def _strided(rng: np.random.Generator) -> Sample:
    return _draw(rng, (3, int(rng.integers(2, 4))), 2, int(rng.integers(0, 2)))


EXERCISE = Exercise(
    name="col2im",
    title="Columns back to an image (col2im), the adjoint of im2col",
    difficulty=3,
    task="""\
im2col copies  columns[n, (c, a, b), (i, j)] = padded[n, c, i * stride + a, j * stride + b].
col2im goes the other way, as a backward does: every number of the columns is added to the pixel it would have been
copied from. A pixel under several windows collects several numbers, one under none stays 0, and what falls into the
padding is dropped.

Shapes: columns (N, C * KH * KW, OH * OW) -> x (N, C, H, W), with OH = output_size(H, KH, stride, padding).
It is the gradient of im2col, and not its inverse.""",
    solution=col2im,
    oracle=naive,
    given=(output_size,),
    hints=steps("""\
Begin with loops over image, channel, window (i, j) and place (a, b): x[...] += columns[...]. `+=`, because
windows overlap.

Undo the reshape first: columns.reshape(N, C, KH, KW, OH, OW), with C = columns.shape[1] // (KH * KW).

Work on a padded image of zeros, (N, C, H + 2 padding, W + 2 padding), and cut the border off at the end:
padded[:, :, padding : padding + H, padding : padding + W]. (`padding:-padding` is empty for padding 0.)

For a fixed (a, b), all windows write to different pixels, so that one strided slice suffices:
padded[:, :, a : a + stride * OH : stride, b : b + stride * OW : stride] += columns[:, :, a, b]."""),
    cases={
        "windows side by side": _apart, "windows that overlap": _overlapping, "with padding": _padded,
        "stride 2": _strided,
    },
    mistakes=(
        Mistake("overlapping windows overwrite each other; their numbers must add up", 1, _overwriting),
        Mistake("overlapping windows are averaged; their numbers must add up", 1, _averaging),
        Mistake("the padding was not cut off", 3, _border_kept),
    ),
    reread={"windows side by side": 2, "windows that overlap": 1, "with padding": 3},
    prerequisites=("im2col",),
    reference="docs/ops/convolution.md",
)
