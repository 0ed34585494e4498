"""One form for every error, and the argument checks that many ops share.

``max_pool2d: kernel_size (5, 5) does not fit padded input (4, 4) [input.shape=(1, 3, 2, 2), padding=(1, 1)]``:
op, argument, expected, got.
"""

import operator
from typing import Any

import numpy as np

from minicnn.core.dtypes import is_float
from minicnn.core.types import Pair


def _details(values: dict[str, Any], dtype: bool) -> str:
    parts = []
    for name, value in values.items():
        if hasattr(value, "shape"):
            parts.append(f"{name}.shape={tuple(value.shape)}")
            if dtype:
                parts.append(f"{name}.dtype={value.dtype}")
        else:
            parts.append(f"{name}={value!r}")
    return f" [{', '.join(parts)}]" if parts else ""


def value_error(op: str, message: str, **values: Any) -> ValueError:
    """A ``ValueError`` in the house form; arrays and Tensors among ``values`` print their shape."""
    return ValueError(f"{op}: {message}{_details(values, dtype=False)}")


def type_error(op: str, message: str, **values: Any) -> TypeError:
    """A ``TypeError`` in the house form; arrays and Tensors among ``values`` print shape and dtype."""
    return TypeError(f"{op}: {message}{_details(values, dtype=True)}")


def pair(op: str, name: str, value: Pair, *, least: int = 0) -> tuple[int, int]:
    """``value`` as (height, width), each an int of at least ``least``."""
    items = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(items) != 2 or not all(isinstance(v, int | np.integer) and v >= least for v in items):
        raise value_error(op, f"{name} must be an int or a pair of ints >= {least}, got {value!r}")
    return int(items[0]), int(items[1])


def _int(op: str, name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise type_error(op, f"{name} must be an int, got {value!r}") from None


def dim(op: str, value: int, ndim: int) -> int:
    """``value`` as a non-negative axis of an ``ndim``-dimensional tensor (0-d counts as 1-d, as in PyTorch)."""
    value, n = _int(op, "dim", value), max(ndim, 1)
    if not -n <= value < n:
        raise value_error(op, f"dim {value} is out of range for a {ndim}-d input, expected {-n}..{n - 1}")
    return value % n


def dims(op: str, value: "int | tuple[int, ...] | list[int] | None", ndim: int) -> tuple[int, ...]:
    """``value`` as a tuple of distinct non-negative axes; ``None`` means all of them."""
    if value is None:
        return tuple(range(ndim))
    axes = tuple(dim(op, v, ndim) for v in (value if isinstance(value, tuple | list) else (value,)))
    if len(set(axes)) != len(axes):
        raise value_error(op, f"dim {value} names an axis twice")
    return axes if ndim else ()


def floating(op: str, **tensors: Any) -> None:
    """Raise unless every tensor given (None is skipped) has a floating dtype."""
    for name, value in tensors.items():
        if value is not None and not is_float(value.dtype):
            raise type_error(op, f"{name} must be floating, got {value.dtype}", **{name: value})


def kernel_dtype(op: str, **tensors: Any) -> None:
    """Raise unless every tensor given (None is skipped) has a dtype that its device's kernels are compiled for."""
    floating(op, **tensors)
    for name, value in tensors.items():
        if value is not None and value.dtype.char not in "fd" and not (has_half(value) and value.dtype.itemsize == 2):
            allowed = "float16, bfloat16, float32 or float64" if has_half(value) else "float32 or float64"
            raise type_error(op, f"{name} must be {allowed}, got {value.dtype}", **{name: value})


def has_half(tensor: Any) -> bool:
    """Whether the Tensor's device has kernels for float16 and bfloat16."""
    return "float16" in getattr(tensor.backend, "DTYPES", ())


def ndim(op: str, name: str, value: Any, *allowed: int) -> None:
    """Raise unless ``value`` has one of the allowed numbers of dimensions."""
    if value.ndim not in allowed:
        expected = " or ".join(f"{n}-d" for n in allowed)
        raise value_error(op, f"{name} must be {expected}, got {value.ndim}-d", **{name: value})


def same_device(op: str, **tensors: Any) -> None:
    """Raise unless all tensors given (None is skipped) live on one device."""
    found = {str(t.device) for t in tensors.values() if t is not None}
    if len(found) > 1:
        raise value_error(op, f"inputs live on different devices: {', '.join(sorted(found))}; move them with .to()")
