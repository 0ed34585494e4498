"""Our own library, an algorithm at a time, below the public functions: arrays in, an array out, on any device."""

import math
from collections.abc import Callable
from typing import Any

from minicnn.bench.desk import Cannot
from minicnn.bench.layers import Layer
from minicnn.core.types import Array

PACKAGE = "minicnn"
NAIVE_MACS = 2 * 10**8  # above, the readable loops take seconds a call


_place: Any = None  # the device of this process


def start(threads: int, device: str = "cpu") -> None:
    """Set the threads and the device."""
    global _place
    import minicnn.backends  # noqa: F401 - registers the devices
    from minicnn.backends.cpu.threads import set_num_threads
    from minicnn.core.device import device as find_device

    set_num_threads(threads)
    _place = find_device(device)


def _room() -> Any:
    return _place.backend.convolution


def clock(call: Callable[[], object], count: int) -> float:
    """Seconds by the device's events."""
    return float(_place.backend.runtime.clock(call, count))


def algorithms(which: str, layer: Layer) -> list[str]:
    """Every algorithm that can do that pass in a reasonable time."""
    table = _room().ALGORITHMS
    able = [name for name, module in table.items() if module.cannot(which, layer.problem) is None]
    return [name for name in able if name != "naive" or layer.macs <= NAIVE_MACS]


def resolve(which: str, layer: Layer, algorithm: str, max_error: float | None) -> str:
    """The algorithm that will run for a name, ``auto`` among them; one that cannot do the pass is refused."""
    module = _room().ALGORITHMS.get(algorithm)
    reason = module and module.cannot(which, layer.problem)
    if reason:
        raise Cannot(str(reason))
    bound = math.inf if max_error is None else max_error
    return str(_room().resolve(algorithm, which, layer.problem, bound))


def cannot(which: str, layer: Layer, dtype: str) -> str | None:
    """It can do all."""
    return None


def into(array: Array) -> Array:
    """An array in memory that we allocated."""
    made: Array = _place.xp.array(array)
    return made


def back(array: Array) -> Array:
    """As NumPy sees it."""
    host: Array = _place.backend.to_host(array)
    return host


def make(which: str, layer: Layer, algorithm: str) -> Callable[[Array, Array], Array]:
    """The pass by an algorithm's name."""
    room, p = _room(), layer.problem
    if which == "forward":
        return lambda x, w: room.forward(x, w, None, p, algorithm)
    if which == "input_grad":
        return lambda gy, w: room.input_grad(gy, w, p, algorithm)
    return lambda gy, x: room.weight_grad(gy, x, p, algorithm)


def fused(layer: Layer, algorithm: str) -> Callable[[Array, Array, Array], Array]:
    """``max(conv(x, w) + bias, 0)`` by an algorithm's name."""
    room, p = _room(), layer.problem
    return lambda x, w, bias: room.forward(x, w, bias, p, algorithm, relu=True)


def facts(which: str, layer: Layer, dtype: str, algorithm: str) -> dict[str, Any]:
    """What the algorithm says of itself: bound of its error, operations, scratch memory."""
    module, p, item = _room().ALGORITHMS[algorithm], layer.problem, 4 if dtype == "float32" else 8
    operations, workspace = module.operations(which, p), module.workspace(which, p, item)
    return {"bound": float(module.ERROR), "operations": int(operations), "workspace": int(workspace)}
