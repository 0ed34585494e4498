"""Convolution by Fourier transform: shifts become factors, so that a window of any size costs one product.

With planes of F = FH x FW points, zero beyond the image, and X, W, Y' the transforms of x, w, y', every frequency has

- forward       Y[n, o] = sum over i of X[n, i] * conj(W[o, i])
- input_grad    X'[n, i] = sum over o of Y'[n, o] * W[o, i]
- weight_grad   W'[o, i] = sum over n of X[n, i] * conj(Y'[n, o])

one small complex matrix product for each group. The planes are large enough that what wraps round is zero. A dilated
kernel is the kernel with zeros between its taps; a strided convolution is the dense one with most results left out (its
y' has zeros between), so it costs as much as that. Images and outputs are worked on in runs, which bound the spectra:
those of a run's inputs are made once, those of the weights once for each run of images. Transforms and products are
divided into blocks of fixed size, each on one thread, so that the number of threads does not change a result.

A NaN or infinity in a plane makes every number of the result NaN that the plane has a part in.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from minicnn.backends.convolution import Problem
from minicnn.backends.cpu import arrays, threads
from minicnn.backends.cpu.convolution.scratch import LIMIT
from minicnn.backends.cpu.memory import empty
from minicnn.core.types import Array

ERROR = 5e-6  # max |y - y64| / max |y64| in float32
SPECTRA = 1 << 19  # complex numbers that the spectra of one factor of a run may take, unless one plane is larger
PLANES = 4  # planes that a thread transforms at a time
BLOCKS = 64  # into which the products of all frequencies are divided


class Sizes(NamedTuple):
    """The points of a plane, its frequencies, and how a pass is cut into runs."""

    height: int
    width: int
    frequencies: int
    images: int  # of a run
    outputs: int  # of each group, of a run; input channels in input_grad


def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass; it can do all."""
    return None


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass: at most four copies of each spectrum at a time, padded planes included.

    May exceed 64 MiB a thread: a run holds whole planes of every channel.
    """
    s, ci, co = _sizes(which, p), p.in_channels // p.groups, p.out_channels // p.groups
    inner = co if which == "input_grad" else ci
    images, weights, result = s.images * inner, s.outputs * inner, s.images * s.outputs
    if which == "weight_grad":
        weights, result = result, weights
    numbers = 2 * 4 * p.groups * (images + weights + result) * s.frequencies
    return item * numbers + (8 * p.out_channels * p.taps if which == "weight_grad" else 0)


def bounded(which: str, p: Problem) -> bool:
    """Whether one thread keeps to what the other algorithms may take."""
    return workspace(which, p, 4) <= 4 * LIMIT


def operations(which: str, p: Problem) -> int:
    """Floating-point operations: 2.5 n log2 n for a real transform, 8 for a complex multiply-add."""
    s, ci, co = _sizes(which, p), p.in_channels // p.groups, p.out_channels // p.groups
    runs = -(-p.images // s.images)
    planes = p.images * (p.in_channels + p.out_channels) + runs * p.out_channels * ci
    points = s.height * s.width
    products = 8 * s.frequencies * p.images * p.groups * ci * co
    return products + int(2.5 * planes * points * np.log2(max(points, 2)))


def forward(x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y, s = empty(p.y_shape, x.dtype), _sizes("forward", p)
    out, weights = _grouped(y, p), _weights(w, p)
    for n in _runs(p.images, s.images):
        images = _spectra(_grouped(x, p)[n], s, "ngifk->fkgni")
        for o in _runs(weights.shape[1], s.outputs):
            filters = _spectra(_stuffed(weights[:, o], p), s, "goifk->fkgio").conj()
            out[n, :, o] = _planes(_products(images, filters), s, "fkgno->ngofk")[..., *_windows(p, s)]
    if bias is not None:
        arrays.add(y, bias[:, None, None], out=y)
    return arrays.maximum(y, 0, out=y) if relu else y


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx, s = empty(p.x_shape, gy.dtype), _sizes("input_grad", p)
    out, weights = _grouped(gx, p), _weights(w, p)
    for n in _runs(p.images, s.images):
        images = _spectra(_spread(_grouped(gy, p)[n], p, s), s, "ngofk->fkgno")
        for i in _runs(weights.shape[2], s.outputs):
            filters = _spectra(_stuffed(weights[:, :, i], p), s, "goifk->fkgoi")
            out[n, :, i] = _planes(_products(images, filters), s, "fkgni->ngifk")[..., : p.in_h, : p.in_w]
    return gx


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w; runs of images are added in float64."""
    s = _sizes("weight_grad", p)
    gw = np.zeros((p.groups, p.out_channels // p.groups, *p.w_shape[1:]))
    taps = slice(0, None, p.dilation_h), slice(0, None, p.dilation_w)
    for n in _runs(p.images, s.images):
        images = _spectra(_grouped(x, p)[n], s, "ngifk->fkgni")
        for o in _runs(gw.shape[1], s.outputs):
            results = _spectra(_spread(_grouped(gy, p)[n, :, o], p, s), s, "ngofk->fkgon").conj()
            found = _planes(_products(results, images), s, "fkgoi->goifk")[..., *taps]
            gw[:, o] += found[..., : p.kernel_h, : p.kernel_w]
    return gw.reshape(p.w_shape).astype(x.dtype)


@lru_cache(maxsize=512)
def _sizes(which: str, p: Problem) -> Sizes:
    from scipy.fft import next_fast_len

    far_h = (p.out_h - 1) * p.stride_h + (p.kernel_h - 1) * p.dilation_h + 1
    far_w = (p.out_w - 1) * p.stride_w + (p.kernel_w - 1) * p.dilation_w + 1
    height = next_fast_len(max(p.in_h + p.top, far_h), real=True)
    width = next_fast_len(max(p.in_w + p.left, far_w), real=True)
    frequencies = height * (width // 2 + 1)
    ci, co = p.in_channels // p.groups, p.out_channels // p.groups
    inner, outer = (co, ci) if which == "input_grad" else (ci, co)
    images = max(1, min(p.images, SPECTRA // max(1, frequencies * p.groups * inner)))
    each = frequencies * p.groups * (max(inner, images) if which == "weight_grad" else inner)
    return Sizes(height, width, frequencies, images, max(1, min(outer, SPECTRA // max(1, each))))


def _runs(total: int, step: int) -> list[slice]:
    return [slice(i, min(i + step, total)) for i in range(0, total, step)]


def _grouped(a: Array, p: Problem) -> Array:
    """(N, G, channels of a group, rows, columns), a view."""
    return a.reshape(a.shape[0], p.groups, a.shape[1] // p.groups, *a.shape[2:])


def _weights(w: Array, p: Problem) -> Array:
    return w.reshape(p.groups, p.out_channels // p.groups, *w.shape[1:])


def _stuffed(w: Array, p: Problem) -> Array:
    """The kernel with zeros between its taps."""
    if p.dilation_h == p.dilation_w == 1:
        return w
    far_h, far_w = (p.kernel_h - 1) * p.dilation_h + 1, (p.kernel_w - 1) * p.dilation_w + 1
    stuffed = np.zeros((*w.shape[:-2], far_h, far_w), w.dtype)
    stuffed[..., :: p.dilation_h, :: p.dilation_w] = w
    return stuffed


def _windows(p: Problem, s: Sizes) -> tuple[Array, Array]:
    """Where each window starts in a plane; those in the padding start at its end, which is zero."""
    rows = (np.arange(p.out_h) * p.stride_h - p.top) % s.height
    return rows[:, None], (np.arange(p.out_w) * p.stride_w - p.left) % s.width


def _spread(gy: Array, p: Problem, s: Sizes) -> Array:
    """Planes of y' with each entry where its window starts."""
    planes = np.zeros((*gy.shape[:-2], s.height, s.width), gy.dtype)
    planes[..., *_windows(p, s)] = gy
    return planes


def _spectra(planes: Array, s: Sizes, order: str) -> Array:
    """The transforms of real planes, in the given order of axes (``f``, ``k``: frequencies)."""
    from scipy.fft import rfft2

    flat = planes.reshape(-1, *planes.shape[-2:])
    spectra = empty((len(flat), s.height, s.width // 2 + 1), np.result_type(planes.dtype, np.complex64))

    def transform(part: slice) -> None:
        spectra[part] = rfft2(flat[part], (s.height, s.width), workers=1)

    _divided(transform, len(flat), PLANES)
    return np.ascontiguousarray(np.einsum(order, spectra.reshape(*planes.shape[:-2], *spectra.shape[1:])))


def _planes(spectra: Array, s: Sizes, order: str) -> Array:
    """The real planes of spectra whose axes stand in the given order."""
    from scipy.fft import irfft2

    ordered = np.ascontiguousarray(np.einsum(order, spectra))
    flat = ordered.reshape(-1, *ordered.shape[-2:])
    planes = empty((len(flat), s.height, s.width), spectra.real.dtype)

    def transform(part: slice) -> None:
        planes[part] = irfft2(flat[part], (s.height, s.width), workers=1, overwrite_x=True)

    _divided(transform, len(flat), PLANES)
    return planes.reshape(*ordered.shape[:-2], s.height, s.width)


def _products(a: Array, b: Array) -> Array:
    """Products of the matrices in the last two axes, each on one thread."""
    left, right = a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:])
    out = empty((len(left), left.shape[1], right.shape[2]), a.dtype)

    def multiply(part: slice) -> None:
        np.matmul(left[part], right[part], out=out[part])

    with _blas().limit(limits=1, user_api="blas"):
        _divided(multiply, len(left), -(-len(left) // BLOCKS))
    return out.reshape(*a.shape[:-1], b.shape[-1])


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _divided(task: Callable[[slice], None], total: int, step: int) -> None:
    """The task on slices of that many, on all threads."""
    threads.run(lambda block: task(slice(block * step, min((block + 1) * step, total))), -(-total // max(1, step)))
