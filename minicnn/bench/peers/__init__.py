"""Convolution in each library, behind one small contract: a module a library.

    PACKAGE: the name it is installed under
    start(threads, device) -> None               import it, set its threads and where it computes
    cannot(which, layer, dtype) -> reason | None
    into(array) -> its own array;  back(its array) -> NumPy array
    make(which, layer, algorithm) -> f(a, b)     one pass alone: forward(x, w), input_grad(gy, w), weight_grad(gy, x)

What it may add: ``fused(layer, algorithm)``, ``facts(which, layer, dtype, algorithm)``, ``algorithms(which, layer)``
and ``resolve(...)`` as in :mod:`minicnn.bench.peers.ours`; and, to take part on a device, ``clock(call, count) ->
seconds`` by the device's own events. A library is imported in its own process only.
"""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

OURS = "minicnn"
KEPT = "-kept"  # of a library in an environment in which the C library keeps freed memory, as ours does
MODULES = {
    OURS: "ours", "torch": "pytorch", "scipy": "with_scipy", "autograd": "with_autograd", "tinygrad": "with_tinygrad",
    "mygrad": "with_mygrad", f"torch{KEPT}": "pytorch",
}
NAMES = tuple(name for name in MODULES if name != OURS)
ENVIRONMENT = {
    f"torch{KEPT}": dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(1 << 30)),
}
ON_DEVICES = ("torch",)  # of these, those that can compute elsewhere than on the CPU


def load(name: str) -> ModuleType:
    """The module that wraps a library; the library itself is imported by its ``start``."""
    return import_module(f"minicnn.bench.peers.{MODULES[name]}")


def missing(name: str) -> str | None:
    """Why a library cannot take part here, or None."""
    package = name.removesuffix(KEPT)
    return None if name == OURS or find_spec(package) else f"{package} is not installed"
