"""SciPy: ``signal.correlate`` of each pair of channels by the fast Fourier transform, summed. Stride by slicing."""

from collections.abc import Callable

import numpy as np

from minicnn.bench.layers import Layer
from minicnn.core.types import Array

PACKAGE = "scipy"


def start(threads: int, device: str = "cpu") -> None:
    """Import it, and give its transforms the threads."""
    import scipy.fft
    import scipy.signal

    scipy.fft.set_global_backend("scipy")
    scipy.fft.set_workers(threads).__enter__()  # for the life of the process


def cannot(which: str, layer: Layer, dtype: str) -> str | None:
    """No groups or dilation; gradients only where a correlation gives them."""
    if layer.groups > 1 or layer.dilation != (1, 1):
        return "scipy.signal has no groups or dilation"
    if which != "forward" and layer.stride != (1, 1):
        return "a gradient of a strided convolution is no correlation of the arrays themselves"
    return None


def into(array: Array) -> Array:
    """NumPy arrays are its own."""
    return array


def back(array: Array) -> Array:
    """The same."""
    return array


def make(which: str, layer: Layer, algorithm: str) -> Callable[[Array, Array], Array]:
    """One image at a time, so that the products of all pairs of channels fit memory."""
    from scipy.signal import fftconvolve

    p = layer.problem
    (top, left), (step_h, step_w) = layer.padding, layer.stride

    def pad(x: Array) -> Array:
        return np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))

    def forward(x: Array, w: Array) -> Array:
        y, flipped = np.empty(p.y_shape, x.dtype), w[:, :, ::-1, ::-1]
        for n, image in enumerate(pad(x)):
            for o in range(p.out_channels):
                full = fftconvolve(image, flipped[o], mode="valid", axes=(1, 2)).sum(axis=0)
                y[n, o] = full[::step_h, ::step_w]
        return y

    def input_grad(gy: Array, w: Array) -> Array:
        gx = np.empty(p.x_shape, gy.dtype)
        for n, image in enumerate(gy):
            for i in range(p.in_channels):
                full = fftconvolve(image, w[:, i], mode="full", axes=(1, 2)).sum(axis=0)
                gx[n, i] = full[top : top + p.in_h, left : left + p.in_w]
        return gx

    def weight_grad(gy: Array, x: Array) -> Array:
        gw, padded, flipped = np.empty(p.w_shape, gy.dtype), pad(x), gy[:, :, ::-1, ::-1]
        for o in range(p.out_channels):
            for i in range(p.in_channels):
                gw[o, i] = fftconvolve(padded[:, i], flipped[:, o], mode="valid", axes=(1, 2)).sum(axis=0)
        return gw

    return {"forward": forward, "input_grad": input_grad, "weight_grad": weight_grad}[which]
