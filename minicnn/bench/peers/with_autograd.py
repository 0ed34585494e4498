"""HIPS autograd: ``autograd.scipy.signal.convolve``, and for a gradient the backward half of its vjp alone."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.bench.layers import Layer
from minicnn.bench.result import FORWARD_KEPT
from minicnn.core.types import Array

PACKAGE = "autograd"
_MOST_WINDOWS = 1 << 28  # elements: it copies the input under every window at once


def start(threads: int, device: str = "cpu") -> None:
    """Import it; NumPy's BLAS has its threads from the environment."""
    import autograd.scipy.signal  # noqa: F401


def cannot(which: str, layer: Layer, dtype: str) -> str | None:
    """Its convolution has neither stride nor dilation nor groups."""
    if layer.groups > 1 or layer.dilation != (1, 1) or layer.stride != (1, 1):
        return "autograd.scipy.signal.convolve has no stride, dilation or groups"
    p = layer.problem
    if p.images * p.out_h * p.out_w * p.taps > _MOST_WINDOWS:
        return "it would copy the input under every window, above 1 GiB"
    return None


def into(array: Array) -> Array:
    """NumPy arrays are its own."""
    return array


def back(array: Array) -> Array:
    """The same."""
    return np.asarray(array)


def facts(which: str, layer: Layer, dtype: str, algorithm: str) -> dict[str, Any]:
    """What its forward half made is there when a gradient is timed."""
    return {"marks": [] if which == "forward" else [FORWARD_KEPT]}


def make(which: str, layer: Layer, algorithm: str) -> Callable[[Array, Array], Any]:
    """The pass; a gradient's forward half runs once, for the arrays first seen."""
    import autograd.numpy as anp
    from autograd.core import make_vjp
    from autograd.scipy.signal import convolve

    (top, left), p = layer.padding, layer.problem

    def forward(x: Any, w: Any) -> Any:
        padded = anp.pad(x, ((0, 0), (0, 0), (top, top), (left, left)), "constant")
        return convolve(padded, w[:, :, ::-1, ::-1], axes=([2, 3], [2, 3]), dot_axes=([1], [1]), mode="valid")

    if which == "forward":
        return forward
    rules: dict[int, tuple[Array, Any]] = {}  # the array is kept, or another one could get its number

    def gradient(gy: Array, other: Array) -> Any:
        if id(other) not in rules:
            if which == "input_grad":
                rule, _ = make_vjp(lambda x: forward(x, other), np.zeros(p.x_shape, gy.dtype))
            else:
                rule, _ = make_vjp(lambda w: forward(other, w), np.zeros(p.w_shape, gy.dtype))
            rules[id(other)] = other, rule
        return rules[id(other)][1](gy)

    return gradient
