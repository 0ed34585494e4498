"""tinygrad on its CPU device: lazy, so a result counts when it is realised; a gradient realises itself alone."""

from collections.abc import Callable
from shutil import which as which_program
from typing import Any

from minicnn.bench.layers import Layer
from minicnn.core.types import Array

PACKAGE = "tinygrad"


def start(threads: int, device: str = "cpu") -> None:
    """Import it with the CPU as its device."""
    import os

    os.environ["DEV"] = "CPU"
    os.environ["CPU_COUNT"] = str(threads)
    import tinygrad  # noqa: F401


def cannot(which: str, layer: Layer, dtype: str) -> str | None:
    """It can do all, with a compiler."""
    return None if which_program("clang") else "tinygrad's CPU device compiles with clang, which is not installed"


def into(array: Array) -> Any:
    """A realised tensor."""
    from tinygrad import Tensor

    return Tensor(array).realize()


def back(tensor: Any) -> Array:
    """As NumPy sees it."""
    found: Array = tensor.numpy()
    return found


def make(which: str, layer: Layer, algorithm: str) -> Callable[[Any, Any], Any]:
    """The pass; zeros stand for the operand whose values a gradient does not need."""
    from tinygrad import Tensor

    p, options = layer.problem, {"stride": layer.stride, "dilation": layer.dilation, "groups": layer.groups}
    options["padding"] = (layer.padding[1], layer.padding[1], layer.padding[0], layer.padding[0])
    if which == "forward":
        return lambda x, w: x.conv2d(w, **options).realize()

    def gradient(gy: Any, other: Any) -> Any:
        wanted = Tensor.zeros(*(p.x_shape if which == "input_grad" else p.w_shape)).contiguous().realize()
        wanted.requires_grad = True
        x, w = (wanted, other) if which == "input_grad" else (other, wanted)
        return x.conv2d(w, **options).gradient(wanted, gradient=gy)[0].realize()

    return gradient
