"""Exercise: a convolution layer, forward."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, Mistake, normal, sizes, steps
from minicnn.testing.exercises.windows import image, output_size


def convolution(x: Array, w: Array, b: Array, *, stride: int, padding: int) -> Array:
    """Convolution of a batch of images with a bank of kernels.

    Parameters
    ----------
    x : array (N, C, H, W)
    w : array (O, C, KH, KW)
        O kernels.
    b : array (O,)
        A number added to each output channel.
    stride, padding : int
        Down and across; the padding is zeros.

    Returns
    -------
    y : array (N, O, OH, OW)
    """
    # begin solution
    n, o = len(x), len(w)
    kh, kw = w.shape[2:]
    oh, ow = output_size(x.shape[2], kh, stride, padding), output_size(x.shape[3], kw, stride, padding)
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    y = np.zeros((n, o, oh, ow))
    for i in range(oh):
        for j in range(ow):
            window = padded[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw]
            y[:, :, i, j] = np.einsum("ncab,ocab->no", window, w) + b
    return y
    # end solution


def naive(x: Array, w: Array, b: Array, *, stride: int, padding: int) -> Array:
    """The definition, one product at a time."""
    n, c, h, width = x.shape
    o, _, kh, kw = w.shape
    tops = range(-padding, h + padding - kh + 1, stride)
    lefts = range(-padding, width + padding - kw + 1, stride)
    y = np.zeros((n, o, len(tops), len(lefts)))
    for image_, out, i, j in np.ndindex(*y.shape):
        total = float(b[out])
        for channel, row, column in np.ndindex(c, kh, kw):
            r, q = tops[i] + row, lefts[j] + column
            if 0 <= r < h and 0 <= q < width:
                total += float(x[image_, channel, r, q]) * float(w[out, channel, row, column])
        y[image_, out, i, j] = total
    return y


def _flipped(x: Array, w: Array, b: Array, *, stride: int, padding: int) -> Array:
    return convolution(x, w[:, :, ::-1, ::-1], b, stride=stride, padding=padding)


def _without_bias(x: Array, w: Array, b: Array, *, stride: int, padding: int) -> Array:
    return convolution(x, w, np.zeros_like(b), stride=stride, padding=padding)


def _unpadded(x: Array, w: Array, b: Array, *, stride: int, padding: int) -> Array:
    return convolution(x, w, b, stride=stride, padding=0)


def _biased_per_channel(x: Array, w: Array, b: Array, *, stride: int, padding: int) -> Array:
    y = convolution(x, w, np.zeros_like(b), stride=stride, padding=padding)
    return y + x.shape[1] * b[:, None, None]


def _draw(rng: np.random.Generator, stride: int, padding: int) -> Sample:
    x = image(rng, channels=3)
    o, kh, kw = sizes(rng, (1, 3), (2, 3), (1, 3))
    w = normal(rng, (o, x.shape[1], kh, kw))
    return Sample((x, w, normal(rng, (o,))), {"stride": stride, "padding": padding})


def _plain(rng: np.random.Generator) -> Sample:
    return _draw(rng, 1, 0)


def _padded(rng: np.random.Generator) -> Sample:
    return _draw(rng, 1, int(rng.integers(1, 3)))


def _strided(rng: np.random.Generator) -> Sample:
    return _draw(rng, int(rng.integers(2, 4)), int(rng.integers(0, 2)))


def _pointwise(rng: np.random.Generator) -> Sample:
    x = image(rng, channels=3)
    return Sample((x, normal(rng, (2, x.shape[1], 1, 1)), normal(rng, (2,))), {"stride": 1, "padding": 0})


EXERCISE = Exercise(
    name="convolution",
    title="A convolution layer, forward",
    difficulty=3,
    task="""\
    y[n, o, i, j] = b[o] + sum_{c, a, e} w[o, c, a, e] * padded[n, c, i * stride + a, j * stride + e]

where padded is x with `padding` rows and columns of zeros on each side. As in every deep-learning library the kernel
is not flipped (mathematicians call this cross-correlation).

Shapes: x (N, C, H, W), w (O, C, KH, KW), b (O,) -> y (N, O, OH, OW), OH = output_size(H, KH, stride, padding).""",
    solution=convolution,
    oracle=naive,
    given=(output_size,),
    hints=steps("""\
Seven loops (n, o, i, j around c, a, e) written straight from the formula are a right answer.

np.pad puts the zeros around the last two axes; do this once, before the loops.

For a fixed output place (i, j) the window padded[:, :, i*stride : i*stride + KH, j*stride : j*stride + KW]
has shape (N, C, KH, KW): multiply it with w and sum over c, a, e.

np.einsum("ncab,ocab->no", window, w) does this for all n and o at once. The bias is added once per output,
not once per channel.

Or: columns = im2col(x), (N, C * KH * KW, OH * OW); w.reshape(O, -1) @ columns is the whole convolution."""),
    cases={
        "stride 1, no padding": _plain, "with padding": _padded, "stride 2 or 3": _strided,
        "a 1 x 1 kernel": _pointwise,
    },
    mistakes=(
        Mistake("the kernel is flipped; here w[a, e] multiplies the pixel a rows down and e right", 3, _flipped),
        Mistake("the bias is missing", 4, _without_bias),
        Mistake("the bias is added once per input channel", 4, _biased_per_channel),
        Mistake("the padding is ignored", 2, _unpadded),
    ),
    reread={"stride 1, no padding": 3, "with padding": 2, "stride 2 or 3": 3},
    prerequisites=("im2col",),
    reference="docs/ops/convolution.md",
)
