"""PyTorch: ``conv2d`` without a graph, and ``aten.convolution_backward`` with one gradient requested."""

from collections.abc import Callable
from typing import Any

from minicnn.bench.layers import Layer
from minicnn.core.types import Array

PACKAGE = "torch"


def start(threads: int) -> None:
    """Import it; oneDNN stays as it comes, on."""
    import torch

    torch.set_num_threads(threads)


def cannot(which: str, layer: Layer, dtype: str) -> str | None:
    """It can do all."""
    return None


def into(array: Array) -> Any:
    """A contiguous tensor."""
    import torch

    return torch.from_numpy(array)


def back(tensor: Any) -> Array:
    """As NumPy sees it."""
    return tensor.detach().numpy()


def make(which: str, layer: Layer, algorithm: str) -> Callable[[Any, Any], Any]:
    """The pass alone."""
    import torch

    p, geometry = layer.problem, (layer.stride, layer.padding, layer.dilation)
    if which == "forward":

        def forward(x: Any, w: Any) -> Any:
            with torch.no_grad():
                return torch.nn.functional.conv2d(x, w, None, *geometry, layer.groups)

        return forward
    backward = torch.ops.aten.convolution_backward.default
    rest = (None, *geometry, False, (0, 0), layer.groups)
    shape = p.x_shape if which == "input_grad" else p.w_shape
    wanted = {dtype: torch.empty(shape, dtype=dtype) for dtype in (torch.float32, torch.float64)}
    if which == "input_grad":  # of the operand whose gradient it is, the sizes are read and not the values
        return lambda gy, w: backward(gy, wanted[gy.dtype], w, *rest, (True, False, False))[0]
    return lambda gy, x: backward(gy, x, wanted[gy.dtype], *rest, (False, True, False))[1]
