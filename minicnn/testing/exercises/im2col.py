"""Exercise: windows as columns."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, Mistake, sizes, steps
from minicnn.testing.exercises.windows import image, output_size


def im2col(x: Array, *, kernel: tuple[int, int], stride: int, padding: int) -> Array:
    """Every window as a column.

    Parameters
    ----------
    x : array (N, C, H, W)
    kernel : (KH, KW)
    stride : int
        Step from window to window, down and across.
    padding : int
        Rows and columns of zeros put around each image.

    Returns
    -------
    columns : array (N, C * KH * KW, OH * OW)
        The channel varies slowest within a column, then the row within the window, then its column; windows are in
        row-major order.
    """
    # begin solution
    n, c, h, w = x.shape
    kh, kw = kernel
    oh, ow = output_size(h, kh, stride, padding), output_size(w, kw, stride, padding)
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    columns = np.zeros((n, c, kh, kw, oh, ow))
    for a in range(kh):
        for b in range(kw):
            columns[:, :, a, b] = padded[:, :, a : a + stride * oh : stride, b : b + stride * ow : stride]
    return columns.reshape(n, c * kh * kw, oh * ow)
    # end solution


def naive(x: Array, *, kernel: tuple[int, int], stride: int, padding: int) -> Array:
    """The definition, one number at a time."""
    n, c, h, w = x.shape
    kh, kw = kernel
    windows = [
        (top, left)
        for top in range(-padding, h + padding - kh + 1, stride)
        for left in range(-padding, w + padding - kw + 1, stride)
    ]
    out = np.zeros((n, c * kh * kw, len(windows)))
    for image_, column, row in np.ndindex(n, len(windows), c * kh * kw):
        channel, a, b = row // (kh * kw), row // kw % kh, row % kw
        r, q = windows[column][0] + a, windows[column][1] + b
        if 0 <= r < h and 0 <= q < w:
            out[image_, row, column] = x[image_, channel, r, q]
    return out


def _axes_swapped(x: Array, *, kernel: tuple[int, int], stride: int, padding: int) -> Array:
    return im2col(x, kernel=kernel, stride=stride, padding=padding).transpose(0, 2, 1)


def _channel_last(x: Array, *, kernel: tuple[int, int], stride: int, padding: int) -> Array:
    columns = im2col(x, kernel=kernel, stride=stride, padding=padding)
    n, rows, count = columns.shape
    c = x.shape[1]
    return columns.reshape(n, c, rows // c, count).transpose(0, 2, 1, 3).reshape(n, rows, count)


def _edge_padding(x: Array, *, kernel: tuple[int, int], stride: int, padding: int) -> Array:
    width = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    return im2col(np.pad(x, width, mode="edge"), kernel=kernel, stride=stride, padding=0)


def _unpadded(x: Array, *, kernel: tuple[int, int], stride: int, padding: int) -> Array:
    return im2col(x, kernel=kernel, stride=stride, padding=0)


def _draw(rng: np.random.Generator, stride: int, padding: int) -> Sample:
    kernel = sizes(rng, (1, 3), (1, 3))
    return Sample((image(rng),), {"kernel": kernel, "stride": stride, "padding": padding})


def _plain(rng: np.random.Generator) -> Sample:
    return _draw(rng, 1, 0)


def _padded(rng: np.random.Generator) -> Sample:
    return _draw(rng, 1, int(rng.integers(1, 3)))


def _strided(rng: np.random.Generator) -> Sample:
    return _draw(rng, int(rng.integers(2, 4)), int(rng.integers(0, 2)))


def _whole(rng: np.random.Generator) -> Sample:
    x = image(rng, least=2, most=3)
    return Sample((x,), {"kernel": x.shape[2:], "stride": 1, "padding": 0})


def _empty(rng: np.random.Generator) -> Sample:
    return Sample((image(rng)[:0],), {"kernel": (2, 2), "stride": 1, "padding": 0})


EXERCISE = Exercise(
    name="im2col",
    title="Windows as columns (im2col)",
    difficulty=2,
    task="""\
With zeros put around each image (padding), a window of KH x KW pixels stands at every stride-th row and column.
Write each window as one column:

    columns[n, (c, a, b), (i, j)] = padded[n, c, i * stride + a, j * stride + b]

Shapes: x (N, C, H, W) -> columns (N, C * KH * KW, OH * OW), with OH = output_size(H, KH, stride, padding), and OW
alike. (c, a, b) and (i, j) are counted in row-major order, as reshape does: the last index runs fastest.
A convolution is then one matrix product, which is why this function is worth having.""",
    solution=im2col,
    oracle=naive,
    given=(output_size,),
    hints=steps("""\
Begin with loops: for every image, channel, window (i, j) and place in the window (a, b), copy one number.
Get this right first; it passes.

np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding))) puts zeros around the last two axes.

Make an array with six axes (N, C, KH, KW, OH, OW), fill it, and reshape once at the end: then row-major
order comes out by itself.

For a fixed place (a, b) in the window, all windows together read a strided slice:
padded[:, :, a : a + stride * OH : stride, b : b + stride * OW : stride]. Two short loops remain."""),
    cases={
        "stride 1, no padding": _plain, "with padding": _padded, "stride 2 or 3": _strided,
        "a window as large as the image": _whole, "no images": _empty,
    },
    mistakes=(
        Mistake("windows and the numbers in them are swapped: columns must be the last axis", 3, _axes_swapped),
        Mistake("the channel runs fastest within your columns; it must run slowest", 3, _channel_last),
        Mistake("the border is repeated outside the image; it must be 0 there", 2, _edge_padding),
        Mistake("the padding is ignored", 2, _unpadded),
    ),
    reread={"stride 1, no padding": 1, "with padding": 2, "stride 2 or 3": 4},
    prerequisites=("NumPy's slices and reshape",),
    reference="Chellapilla et al., High performance convolutional neural networks, 2006; docs/ops/convolution.md",
)
