"""MyGrad: ``conv_nd``; a gradient is forward and backward, with one operand a constant: its graph serves once."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.bench.layers import Layer
from minicnn.bench.result import WITH_FORWARD
from minicnn.core.types import Array

PACKAGE = "mygrad"


def start(threads: int, device: str = "cpu") -> None:
    """Import it; NumPy's BLAS has its threads from the environment."""
    import mygrad  # noqa: F401


def cannot(which: str, layer: Layer, dtype: str) -> str | None:
    """It has no groups."""
    return "mygrad's conv_nd has no groups" if layer.groups > 1 else None


def into(array: Array) -> Array:
    """NumPy arrays are its own."""
    return array


def back(array: Any) -> Array:
    """The data of its tensor."""
    return np.asarray(getattr(array, "data", array))


def facts(which: str, layer: Layer, dtype: str, algorithm: str) -> dict[str, Any]:
    """Its gradients are timed with their forward call."""
    return {"marks": [] if which == "forward" else [WITH_FORWARD]}


def make(which: str, layer: Layer, algorithm: str) -> Callable[[Array, Array], Any]:
    """The pass, a gradient with its forward call."""
    import mygrad
    from mygrad.nnet.layers import conv_nd

    p, options = layer.problem, {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
    if which == "forward":

        def forward(x: Array, w: Array) -> Any:
            with mygrad.no_autodiff:
                return conv_nd(x, w, **options)

        return forward

    def gradient(gy: Array, other: Array) -> Any:
        wanted = mygrad.tensor(np.zeros(p.x_shape if which == "input_grad" else p.w_shape, gy.dtype))
        x, w = (wanted, other) if which == "input_grad" else (other, wanted)
        conv_nd(x, w, **options).backward(gy)
        return wanted.grad

    return gradient
