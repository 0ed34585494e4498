"""Arrays of the emulated device, and a namespace with NumPy's names for them.

They behave as CuPy's do where that could hide a fault: they are no NumPy arrays, do not convert to one by themselves,
refuse to be mixed with host arrays, and reductions give arrays of no dimensions instead of NumPy scalars.
"""

import ctypes
from functools import cache, wraps
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

_FROM_HOST = {"array", "asarray", "ascontiguousarray", "asanyarray"}  # as CuPy's: host arrays are copied to the device
_FOREIGN = "gGOSUMm"  # long doubles, objects, strings, times: CuPy has no arrays of them
_NO_BFLOAT16 = {"argsort", "einsum", "round", "sort"}  # CuPy 14 has no such kernels
_WIDENS_BFLOAT16 = {"clip", "where"}  # CuPy 14 does them in float32


class EmulatedArray(NDArrayOperatorsMixin):
    """A NumPy array behind the manners of a device array. ``host`` is the memory; only the runtime touches it."""

    __slots__ = ("__weakref__", "base", "host")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: Any, base: "EmulatedArray | None" = None) -> None:
        if host.dtype.char in _FOREIGN:
            raise ValueError(f"cuda-emulated: no device has arrays of {host.dtype}")
        self.host, self.base = host, base

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("cuda-emulated: an array of the device does not become a NumPy array by itself; use to_host")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return _ufunc(getattr(ufunc, method))(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _wrapped(function)(*args, **kwargs)

    @property
    def dtype(self) -> "np.dtype[Any]":
        return self.host.dtype  # type: ignore[no-any-return]

    @property
    def flags(self) -> Any:
        return self.host.flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # such as __array_interface__, by which NumPy would help itself
            raise AttributeError(name)
        found = getattr(self.host, name)
        if callable(found):
            return _wrapped(found, self)
        return _wrap(found, self) if isinstance(found, np.ndarray) else found

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self.host.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self.host.__dlpack_device__()

    def __getitem__(self, index: Any) -> Any:
        return _wrap(self.host[_unwrap(index)], self)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.host[_unwrap(index)] = _unwrap(value)

    def __len__(self) -> int:
        return len(self.host)

    def __bool__(self) -> bool:
        return bool(self.host)

    def __int__(self) -> int:
        return int(self.host)

    def __float__(self) -> float:
        return float(self.host)

    def __index__(self) -> int:
        return int(self.host.__index__())

    def __repr__(self) -> str:
        return f"emulated {self.host!r}"


def _unwrap(value: Any) -> Any:
    if isinstance(value, EmulatedArray):
        return value.host
    if isinstance(value, np.ndarray):  # also one of no dimensions
        raise TypeError(f"cuda-emulated: a host array of shape {value.shape} was given to the device")
    if isinstance(value, tuple | list):
        return type(value)(_unwrap(v) for v in value)
    return value


def _wrap(value: Any, owner: EmulatedArray | None = None) -> Any:
    """The result for the caller; a view of ``owner``'s memory names it as its base."""
    if isinstance(value, np.ndarray):
        if owner is not None and value is owner.host:
            return owner
        shared = owner is not None and value.base is not None and np.may_share_memory(value, owner.host)
        if not shared or owner is None:
            return EmulatedArray(value)
        return EmulatedArray(value, owner if owner.base is None else owner.base)
    if isinstance(value, np.generic):
        return EmulatedArray(np.asarray(value))
    if isinstance(value, tuple | list) and any(isinstance(v, np.ndarray) for v in value):
        return type(value)(_wrap(v, owner) for v in value)
    return value


def _wrapped(function: Any, owner: EmulatedArray | None = None) -> Any:
    @wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        out = kwargs.get("out")
        plain = {key: _unwrap(value) for key, value in kwargs.items()}
        arrays = [a for a in args if isinstance(a, EmulatedArray)]
        result = function(*[_unwrap(a) for a in args], **plain)
        if isinstance(out, EmulatedArray):
            return out
        if isinstance(out, tuple) and isinstance(out[0], EmulatedArray):
            return out[0]
        return _wrap(result, owner if owner is not None else arrays[0] if arrays else None)

    return call


def _ufunc(function: Any) -> Any:
    """As ``_wrapped``; a list is no operand, as it is none of CuPy's."""
    wrapped = _wrapped(function)

    @wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        if any(isinstance(a, list | tuple) for a in args):
            raise TypeError(
                f"cuda-emulated: {getattr(function, '__name__', 'a ufunc')} takes arrays and numbers, no lists"
            )
        return wrapped(*args, **kwargs)

    return call


def _without_bfloat16(function: Any) -> Any:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if any(isinstance(a, np.ndarray) and a.dtype.kind == "V" for a in args):
            raise TypeError(f"cuda-emulated: CuPy has no {function.__name__} of bfloat16")
        return function(*args, **kwargs)

    return call


def _widening(function: Any) -> Any:
    """The function, whose result is float32 where it would be bfloat16."""

    @wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        y = function(*args, **kwargs)
        return y.astype(np.float32) if y.dtype.kind == "V" else y

    return call


def _from_host(function: Any) -> Any:
    def call(source: Any, *args: Any, **kwargs: Any) -> Any:
        plain = source.host if isinstance(source, EmulatedArray) else source
        if isinstance(source, list | tuple):
            plain = [v.host if isinstance(v, EmulatedArray) else v for v in source]
        result = function(plain, *args, **kwargs)
        if isinstance(source, EmulatedArray):
            return _wrap(result, source)
        result = np.asarray(result)
        return EmulatedArray(np.array(result, order="F" if result.flags.fnc else "C"))  # never the host's own memory

    return call


def _unwritten(function: Any) -> Any:
    """``empty`` whose bytes are 0xFF: a NaN, or -1, where a kernel left an element out."""
    made = _wrapped(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        array = made(*args, **kwargs)
        if array.host.size:
            ctypes.memset(array.host.ctypes.data, 0xFF, array.host.nbytes)  # fresh, so it lies in one piece
        return array

    return call


@cache  # and not this module's globals: NumPy has an `any` too
def __getattr__(name: str) -> Any:
    found = getattr(np, name)
    if name in _FROM_HOST:
        found = _from_host(found)
    elif name in {"empty", "empty_like"}:
        found = _unwritten(found)
    elif isinstance(found, np.ufunc):
        ufunc, found = found, _ufunc(found)
        for method in ("at", "reduce", "accumulate", "outer"):
            setattr(found, method, _wrapped(getattr(ufunc, method)))
    elif callable(found) and not isinstance(found, type):
        if name in _NO_BFLOAT16:
            found = _without_bfloat16(found)
        elif name in _WIDENS_BFLOAT16:
            found = _widening(found)
        found = _wrapped(found)
    return found
