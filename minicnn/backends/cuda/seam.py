"""The one seam between this backend and a device: an array namespace, memory, products, and launches of kernels.

Modules of the backend call :func:`xp`, :func:`empty`, :func:`gemm` and :func:`launch` and nothing else that knows a
device. Which one they mean is the runtime that was entered by :func:`on`; ``Backend`` enters it around every call.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from operator import index
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np

from minicnn.backends.cuda import sources
from minicnn.backends.cuda.products import Product, products
from minicnn.core.dtypes import is_float
from minicnn.core.types import Array, Shape

P = ParamSpec("P")
R = TypeVar("R")
THREADS = 256  # of a block of a kernel in which every thread works alone
_LIMITS = {"block": (1024, 1024, 64), "grid": (2**31 - 1, 65535, 65535)}  # of every device since sm_30


class Runtime(Protocol):
    """A device: CuPy's or the emulator's."""

    namespace: Any  # NumPy's names, this device's arrays

    @property
    def has_tf32(self) -> bool:
        """Whether its tensor cores multiply factors of 10 bits (sm_80 and later)."""

    def run(self, kernel: sources.Kernel, real: "np.dtype[Any]", grid: Shape, block: Shape, args: list[Any]) -> None:
        """Launch; ``args`` are arrays, NumPy scalars of the parameter's type, or ``None`` for a null pointer."""

    def multiply(self, product: Product) -> None:
        """Matrix products of a batch, summed in ``sources.sum_type``."""

    def to_host(self, array: Any) -> Any:
        """A NumPy copy."""

    def is_array(self, value: Any) -> bool:
        """Whether it is an array of this device."""

    def clock(self, call: Callable[[], object], count: int) -> float:
        """Seconds that so many calls take on the device."""

    def uploader(self) -> Any:
        """``start(host arrays, mark())`` begins to copy them here, ``finish(started)`` gives the arrays."""


class _Current(threading.local):
    runtime: Runtime | None = None
    atomics: bool = False  # whether sums may be taken in any order


_CURRENT = _Current()


@contextmanager
def on(runtime: Runtime) -> Iterator[None]:
    """Make that runtime the one that this thread's calls mean."""
    before, _CURRENT.runtime = _CURRENT.runtime, runtime
    try:
        yield
    finally:
        _CURRENT.runtime = before


def entered() -> bool:
    """Whether this thread is inside a call of a device."""
    return _CURRENT.runtime is not None


def runtime() -> Runtime:
    """The runtime that was entered."""
    if _CURRENT.runtime is None:
        raise RuntimeError("cuda: a function of this backend was called outside its device; use device.backend")
    return _CURRENT.runtime


@contextmanager
def atomics() -> Iterator[None]:
    """Let functions that have a variant with float atomics take it, on this thread."""
    before, _CURRENT.atomics = _CURRENT.atomics, True
    try:
        yield
    finally:
        _CURRENT.atomics = before


def or_atomic(variant: Callable[P, R]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Inside :func:`atomics` that variant is called, else the function decorated, whose sums have an order."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return (variant if _CURRENT.atomics else function)(*args, **kwargs)

        return call

    return decorate


def xp() -> Any:
    """The array namespace of the device."""
    return runtime().namespace


def empty(shape: Shape | int, dtype: Any) -> Array:
    """Uninitialised memory."""
    return runtime().namespace.empty(shape, dtype)


def contiguous(x: Array) -> Array:
    """The array in row-major order."""
    return runtime().namespace.ascontiguousarray(x)


def gemm(a: Array, b: Array, out: Array | None = None, *, add: bool = False, exact: bool = False) -> Array:
    """Products of matrices ``(..., m, k) @ (..., k, n)``; leading axes broadcast.

    Nothing is copied of operands that are transposed or shared by a batch. Sums are float32 for float16 and float32,
    and rounded once; factors of float32 are rounded to TF32 where CuPy's own products do it (``CUPY_TF32``).

    Parameters
    ----------
    a, b : arrays of the device
        Of one float dtype.
    out : contiguous array (..., m, n), optional
        Takes the result; of their dtype, or of that of the sums.
    add : bool
        Add to what ``out`` holds.
    exact : bool
        Never round factors to TF32.

    Raises
    ------
    TypeError, ValueError
        If the arrays do not fit each other.
    """
    device = runtime()
    if not (device.is_array(a) and device.is_array(b)):
        raise TypeError(f"gemm: takes arrays of the device, got {type(a).__name__} and {type(b).__name__}")
    if a.dtype != b.dtype or not is_float(a.dtype):
        raise TypeError(f"gemm: operands must share a float dtype, got {a.dtype} and {b.dtype}")
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"gemm: expected (..., m, k) and (..., k, n), got {a.shape} and {b.shape}")
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    if out is None:
        out, add = empty(shape, a.dtype), False
    if out.shape != shape or not out.flags.c_contiguous or out.dtype not in (a.dtype, sources.sum_type(a.dtype)):
        raise ValueError(f"gemm: out must be contiguous, {a.dtype} {shape}, got {out.dtype} {out.shape}")
    if a.size and b.size:
        for each in products(a, b, out, add, exact):
            device.multiply(each)
    elif not add:
        out[...] = 0
    return out


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
    kernel, reals = _signature(name)
    grids, blocks = _three("grid", name, grid), _three("block", name, block)
    if 0 in grids:
        return
    if len(args) != len(kernel.parameters):
        raise TypeError(f"{name}: takes {len(kernel.parameters)} arguments, got {len(args)}")
    if real is None:
        real = next((args[i].dtype for i in reals if args[i] is not None), np.float32)
    real = np.dtype(real)
    device = runtime()
    is_array = device.is_array
    checked = [convert(value, is_array) for convert, value in zip(_converters(name, real), args, strict=True)]
    device.run(kernel, real, grids, blocks, checked)


def elementwise(name: str, count: int, *args: Any, real: Any = None) -> None:
    """Launch with one thread for each of ``count`` elements."""
    launch(name, -(-count // THREADS), THREADS, *args, real=real)


def packs(name: str, x: Array, *args: Any) -> None:
    """Launch with one thread for each 16 bytes of ``x`` (``kernels/packs.cuh``)."""
    elementwise(name, -(-x.size * x.dtype.itemsize // 16), *args, real=x.dtype)


def _three(what: str, name: str, sizes: int | Shape) -> tuple[int, int, int]:
    x, y, z = given = (sizes, 1, 1) if isinstance(sizes, int) else (*map(int, sizes), 1, 1)[:3]
    most = _LIMITS[what]
    if not (0 <= x <= most[0] and 0 <= y <= most[1] and 0 <= z <= most[2]) or (
        what == "block" and not 0 < x * y * z <= 1024
    ):
        raise ValueError(f"{name}: {what} {given} is beyond a device's limits {most}")
    return x, y, z


@cache
def _signature(name: str) -> tuple[sources.Kernel, tuple[int, ...]]:
    """The kernel, and which of its parameters are ``real*``."""
    kernel = sources.kernel(name)
    return kernel, tuple(i for i, p in enumerate(kernel.parameters) if p.type == "real" and p.pointer)


_Converter = Callable[[Any, Callable[[Any], bool]], Any]


@cache
def _converters(name: str, real: "np.dtype[Any]") -> tuple[_Converter, ...]:
    """For each parameter what makes its type of an argument, or raises an error that says what is wrong with it."""
    parameters = sources.kernel(name).parameters
    return tuple(
        (_array if p.pointer else _integer if sources.dtype_of(p.type, real).kind in "iub" else _number)(
            f"{name}: {p.name}", p.type, sources.dtype_of(p.type, real)
        )
        for p in parameters
    )


def _array(what: str, spelled: str, dtype: "np.dtype[Any]") -> _Converter:
    def convert(value: Any, is_array: Callable[[Any], bool]) -> Any:
        if value is None:
            return None
        if not is_array(value):
            raise TypeError(f"{what} must be an array of the device, got {type(value).__name__}")
        if value.dtype != dtype:
            raise TypeError(f"{what} must be {dtype} ({spelled}), got {value.dtype}")
        if not value.flags.c_contiguous:
            raise ValueError(f"{what} must be contiguous, got strides {value.strides}")
        return value

    return convert


def _integer(what: str, spelled: str, dtype: "np.dtype[Any]") -> _Converter:
    low, high = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    scalar = dtype.type

    def convert(value: Any, _: Callable[[Any], bool]) -> Any:
        try:
            number = value if type(value) is int else int(value) if isinstance(value, np.bool_) else index(value)
        except TypeError:
            raise TypeError(f"{what} must be {spelled}, got {value!r}") from None
        if not low <= number <= high:
            raise ValueError(f"{what} = {value} does not fit {spelled}")
        return scalar(number)

    return convert


def _number(what: str, spelled: str, dtype: "np.dtype[Any]") -> _Converter:
    scalar = dtype.type

    def convert(value: Any, _: Callable[[Any], bool]) -> Any:
        if not isinstance(value, float | int | np.floating | np.integer):
            raise TypeError(f"{what} must be {spelled}, got {value!r}")
        return scalar(value)

    return convert
