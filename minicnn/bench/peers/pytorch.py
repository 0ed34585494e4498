"""PyTorch: ``conv2d`` without a graph, and ``aten.convolution_backward`` with one gradient requested."""

import os
from collections.abc import Callable
from typing import Any

from minicnn.backends.cuda import clock as device_clock
from minicnn.bench.layers import Layer
from minicnn.core.types import Array

PACKAGE = "torch"
CYCLES = 2e9  # a second, of a fast GPU: on a slower one the device waits longer, which does no harm

_place = "cpu"


def start(threads: int, device: str = "cpu") -> None:
    """Import it. oneDNN stays as it comes, on; cuDNN may try its algorithms, in TF32 only where that was asked for."""
    global _place
    import torch

    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True
    rounded = os.environ.get("CUPY_TF32") == "1"  # the same switch for all contenders
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = rounded
    _place = device


class _Timed:
    """PyTorch's current stream as the clock of our own backend wants it: both are timed alike."""

    def synchronize(self) -> None:
        _torch().cuda.synchronize()

    def wait(self, seconds: float) -> None:
        _torch().cuda._sleep(int(seconds * CYCLES))

    def mark(self) -> Any:
        event = _torch().cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, begin: Any, end: Any) -> float:
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3


def _torch() -> Any:
    import torch

    return torch


def clock(call: Callable[[], object], count: int) -> float:
    """Seconds that so many calls take on the device, by its events."""
    return device_clock.seconds(_Timed(), call, count)


def cannot(which: str, layer: Layer, dtype: str) -> str | None:
    """It can do all."""
    return None


def into(array: Array) -> Any:
    """A contiguous tensor in memory that PyTorch allocated, which begins with a cache line."""
    import torch

    return torch.tensor(array, device=_place)


def back(tensor: Any) -> Array:
    """As NumPy sees it."""
    host: Array = tensor.detach().cpu().numpy()
    return host


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
    wanted = {dtype: torch.empty(shape, dtype=dtype, device=_place) for dtype in (torch.float32, torch.float64)}
    if which == "input_grad":  # of the operand whose gradient it is, the sizes are read and not the values
        return lambda gy, w: backward(gy, wanted[gy.dtype], w, *rest, (True, False, False))[0]
    return lambda gy, x: backward(gy, x, wanted[gy.dtype], *rest, (False, True, False))[1]
