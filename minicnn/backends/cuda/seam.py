"""The one seam between this backend and a device: an array namespace, memory, and launches of kernels.

Modules of the backend call :func:`xp`, :func:`empty` and :func:`launch` and nothing else that knows a device. Which
device they mean is the runtime that was entered by :func:`on`; ``Backend`` enters it around every call.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from minicnn.backends.cuda import sources
from minicnn.core.types import Array, Shape

THREADS = 256  # of a block of a kernel in which every thread works alone
_LIMITS = {"block": (1024, 1024, 64), "grid": (2**31 - 1, 65535, 65535)}  # of every device since sm_30


class Runtime(Protocol):
    """A device: CuPy's or the emulator's."""

    namespace: Any  # NumPy's names, this device's arrays

    def run(self, kernel: sources.Kernel, real: "np.dtype[Any]", grid: Shape, block: Shape, args: list[Any]) -> None:
        """Launch; ``args`` are arrays, NumPy scalars of the parameter's type, or ``None`` for a null pointer."""

    def to_host(self, array: Any) -> Any:
        """A NumPy copy."""

    def is_array(self, value: Any) -> bool:
        """Whether it is an array of this device."""

    def clock(self, call: Callable[[], object], count: int) -> float:
        """Seconds that so many calls take on the device."""

    def uploader(self) -> Any:
        """``start(host arrays)`` begins to copy them here, ``finish(started)`` gives the arrays."""


class _Current(threading.local):
    runtime: Runtime | None = None


_CURRENT = _Current()


@contextmanager
def on(runtime: Runtime) -> Iterator[None]:
    """Make that runtime the one that this thread's calls mean."""
    before, _CURRENT.runtime = _CURRENT.runtime, runtime
    try:
        yield
    finally:
        _CURRENT.runtime = before


def runtime() -> Runtime:
    """The runtime that was entered."""
    if _CURRENT.runtime is None:
        raise RuntimeError("cuda: a function of this backend was called outside its device; use device.backend")
    return _CURRENT.runtime


def xp() -> Any:
    """The array namespace of the device."""
    return runtime().namespace


def empty(shape: Shape | int, dtype: Any) -> Array:
    """Uninitialised memory."""
    return runtime().namespace.empty(shape, dtype)


def contiguous(x: Array) -> Array:
    """The array in row-major order."""
    return runtime().namespace.ascontiguousarray(x)


def launch(name: str, grid: int | Shape, block: int | Shape, *args: Any, real: Any = None) -> None:
    """Run a kernel.

    Parameters
    ----------
    name : str
        ``"file.kernel"``: that kernel of ``kernels/file.cu``.
    grid, block : int or tuple of up to 3 ints
        Blocks, and threads of each. A grid without blocks is no launch.
    *args
        As the kernel's parameters: contiguous arrays of the device, ints, floats, bools, ``None`` for a null pointer.
    real : dtype, optional
        The element type to compile for; by default that of the first array for a ``real*`` parameter.

    Raises
    ------
    TypeError, ValueError
        For arguments that the kernel's signature does not allow: a wrong dtype, a strided array, an int that overflows.
    """
    kernel = sources.kernel(name)
    grids, blocks = _three("grid", name, grid), _three("block", name, block)
    if 0 in grids:
        return
    if len(args) != len(kernel.parameters):
        raise TypeError(f"{name}: takes {len(kernel.parameters)} arguments, got {len(args)}")
    if real is None:
        reals = [a for p, a in zip(kernel.parameters, args, strict=True) if p.type == "real" and p.pointer]
        real = next((a.dtype for a in reals if a is not None), np.float32)
    real = np.dtype(real)
    checked = [_checked(name, p, a, real) for p, a in zip(kernel.parameters, args, strict=True)]
    runtime().run(kernel, real, grids, blocks, checked)


def elementwise(name: str, count: int, *args: Any, real: Any = None) -> None:
    """Launch with one thread for each of ``count`` elements."""
    launch(name, -(-count // THREADS), THREADS, *args, real=real)


def packs(name: str, x: Array, *args: Any) -> None:
    """Launch with one thread for each 16 bytes of ``x`` (``kernels/packs.cuh``)."""
    elementwise(name, -(-x.size * x.dtype.itemsize // 16), *args, real=x.dtype)


def _three(what: str, name: str, sizes: int | Shape) -> tuple[int, int, int]:
    given = (sizes,) if isinstance(sizes, int) else tuple(int(s) for s in sizes)
    x, y, z = (*given, 1, 1)[:3]
    if any(not 0 <= n <= limit for n, limit in zip((x, y, z), _LIMITS[what], strict=True)) or (
        what == "block" and not 0 < x * y * z <= 1024
    ):
        raise ValueError(f"{name}: {what} {given} is beyond a device's limits {_LIMITS[what]}")
    return x, y, z


def _checked(name: str, parameter: sources.Parameter, value: Any, real: "np.dtype[Any]") -> Any:
    """The argument as its parameter's type, or an error that says what is wrong with it."""
    dtype = sources.dtype_of(parameter.type, real)
    if not parameter.pointer:
        if dtype.kind in "iu" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
            raise ValueError(f"{name}: {parameter.name} = {value} does not fit {parameter.type}")
        return dtype.type(value)
    if value is None:
        return None
    if not runtime().is_array(value):
        raise TypeError(f"{name}: {parameter.name} must be an array of the device, got {type(value).__name__}")
    if value.dtype != dtype:
        raise TypeError(f"{name}: {parameter.name} must be {dtype} ({parameter.type}), got {value.dtype}")
    if not value.flags.c_contiguous:
        raise ValueError(f"{name}: {parameter.name} must be contiguous, got strides {value.strides}")
    return value
