"""Exercise: the gradients of a convolution layer."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises.exercise import Exercise, normal, sizes, steps
from minicnn.testing.exercises.windows import image, output_size


def forward(x: Array, w: Array, b: Array, *, stride: int, padding: int) -> Array:
    """The convolution y; one window at a time, for all images and output channels at once."""
    kh, kw = w.shape[2:]
    oh, ow = output_size(x.shape[2], kh, stride, padding), output_size(x.shape[3], kw, stride, padding)
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    y = np.zeros((len(x), len(w), oh, ow))
    for i in range(oh):
        for j in range(ow):
            window = padded[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw]
            y[:, :, i, j] = np.einsum("ncab,ocab->no", window, w) + b
    return y


def backward(gy: Array, x: Array, w: Array, b: Array, *, stride: int, padding: int) -> tuple[Array, Array, Array]:
    """Gradients of the loss by x, w and b.

    Parameters
    ----------
    gy : array (N, O, OH, OW)
        Gradient of the loss by y.
    x : array (N, C, H, W)
    w : array (O, C, KH, KW)
    b : array (O,)
    stride, padding : int

    Returns
    -------
    gx : array (N, C, H, W)
    gw : array (O, C, KH, KW)
    gb : array (O,)
    """
    # begin solution
    (h, width), (kh, kw) = x.shape[2:], w.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    gpadded, gw = np.zeros_like(padded), np.zeros_like(w)
    for i in range(gy.shape[2]):
        for j in range(gy.shape[3]):
            rows, columns = slice(i * stride, i * stride + kh), slice(j * stride, j * stride + kw)
            g = gy[:, :, i, j]
            gw += np.einsum("no,ncab->ocab", g, padded[:, :, rows, columns])
            gpadded[:, :, rows, columns] += np.einsum("no,ocab->ncab", g, w)
    gx = gpadded[:, :, padding : padding + h, padding : padding + width]
    gb = gy.sum(axis=(0, 2, 3))
    return gx, gw, gb
    # end solution


def _draw(rng: np.random.Generator, stride: int, padding: int) -> Sample:
    x = image(rng, most=4)
    o, kh, kw = sizes(rng, (1, 2), (2, 3), (2, 3))
    return Sample((x, normal(rng, (o, x.shape[1], kh, kw)), normal(rng, (o,))), {"stride": stride, "padding": padding})


def _plain(rng: np.random.Generator) -> Sample:
    return _draw(rng, 1, 0)


def _padded(rng: np.random.Generator) -> Sample:
    return _draw(rng, 1, 1)


def _strided(rng: np.random.Generator) -> Sample:
    return _draw(rng, 2, int(rng.integers(0, 2)))


EXERCISE = Exercise(
    name="convolution_backward",
    title="The gradients of a convolution layer",
    difficulty=5,
    task="""\
Forward:

    y[n, o, i, j] = b[o] + sum_{c, a, e} w[o, c, a, e] * padded[n, c, i * stride + a, j * stride + e]

where padded is x with `padding` rows and columns of zeros on each side; the kernel is not flipped.

Shapes: x (N, C, H, W), w (O, C, KH, KW), b (O,), y (N, O, OH, OW).
Wanted: gx, gw, gb, the gradients of a loss L by x, w and b, from gy = dL/dy; each has the shape of its input.""",
    solution=backward,
    forward=forward,
    gradients=("x", "w", "b"),
    given=(output_size, forward),
    hints=steps("""\
b[o] was added at every image and place: gb[o] is the sum of gy over n, i and j, that is axis=(0, 2, 3).

Think of forward as many small linear layers with shared weights: at output place (i, j) a window of padded,
(N, C, KH, KW), is multiplied by w, (O, C, KH, KW), into y[:, :, i, j], (N, O). Go through the same loops
over (i, j), and let every place contribute: gradients of shared things add up.

The weight was used at every place:  gw[o, c, a, e] = sum_{n, i, j} gy[n, o, i, j] * window_ij[n, c, a, e].
In the loop:  gw += np.einsum("no,ncab->ocab", gy[:, :, i, j], window).

The window's pixels get  sum_o gy[n, o, i, j] * w[o, c, a, e].  Windows overlap, so `+=` into the same slice
of a zero array gpadded that forward read from padded.

gx is gpadded without its border: gpadded[:, :, padding : padding + H, padding : padding + W]. In the loop:
gpadded[window's slice] += np.einsum("no,ocab->ncab", gy[:, :, i, j], w). No kernel is flipped by hand:
scattering does what the textbook's convolution with the flipped kernel does, for every stride."""),
    cases={"stride 1, no padding": _plain, "with padding": _padded, "stride 2": _strided},
    reread={
        "overwritten-not-accumulated": 4, "kernel-not-flipped": 5, "off-by-one-shift": 5, "divided-too-often": 2,
        "b": 1, "w": 3, "x": 4,
    },
    prerequisites=("linear", "convolution", "col2im"),
    reference="docs/ops/convolution.md",
)
