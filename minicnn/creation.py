"""Tensors from nothing: constants, ranges and random numbers.

Random values are drawn on the host from the library's counter-based generator, so the same seed gives the same
tensors on every device.
"""

from typing import Any

import numpy as np

from minicnn.core import rng
from minicnn.core.dtypes import find as find_dtype
from minicnn.core.tensor import Tensor, tensor


def _sizes(size: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(size[0]) if len(size) == 1 and isinstance(size[0], tuple | list) else size


def full(
    size: tuple[int, ...],
    fill_value: float,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of one value; float32 for a float, int64 for an int, unless ``dtype`` says otherwise.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.full((2,), 7.0)
    tensor([7., 7.])
    """
    kind = np.float32 if isinstance(fill_value, float) else None
    values = np.full(size, fill_value, kind if dtype is None else find_dtype(dtype))
    return tensor(values, device=device, requires_grad=requires_grad)


def zeros(*size: Any, dtype: Any = np.float32, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros, ``zeros(2, 3)`` or ``zeros((2, 3))``."""
    return full(_sizes(size), 0.0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones(*size: Any, dtype: Any = np.float32, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Ones, ``ones(2, 3)`` or ``ones((2, 3))``."""
    return full(_sizes(size), 1.0, dtype=dtype, device=device, requires_grad=requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = np.float32, device: str | None = None) -> Tensor:
    """The identity matrix (n, m)."""
    return tensor(np.eye(n, m, dtype=find_dtype(dtype)), device=device)


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, device: str | None = None
) -> Tensor:
    """Numbers from ``start`` (0 where one bound is given) up to, not including, ``end``.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.arange(3), mc.arange(0.0, 1.0, 0.5)
    (tensor([0, 1, 2]), tensor([0. , 0.5]))
    """
    first, last = (0, start) if end is None else (start, end)
    floating = any(isinstance(v, float) for v in (first, last, step))
    return tensor(np.arange(first, last, step), dtype=dtype or (np.float32 if floating else np.int64), device=device)


def linspace(start: float, end: float, steps: int, *, dtype: Any = np.float32, device: str | None = None) -> Tensor:
    """``steps`` evenly spaced numbers from ``start`` to ``end``, both included."""
    return tensor(np.linspace(start, end, steps), dtype=dtype, device=device)


def rand(*size: Any, dtype: Any = np.float32, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1), from the stream ``"rand"``."""
    kind = find_dtype(dtype)
    values = rng.stream("rand").uniform(_sizes(size)).astype(kind)
    below_one = np.nextafter(np.ones((), kind), np.zeros((), kind))  # rounding to float32 may reach 1
    return tensor(np.minimum(values, below_one), device=device, requires_grad=requires_grad)


def randn(*size: Any, dtype: Any = np.float32, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Standard normal numbers, from the stream ``"randn"``.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.manual_seed(0)
    >>> a = mc.randn(2, 3)
    >>> mc.manual_seed(0)
    >>> bool((a == mc.randn(2, 3)).all())
    True
    """
    values = rng.stream("randn").normal(_sizes(size))
    return tensor(values.astype(find_dtype(dtype)), device=device, requires_grad=requires_grad)


def randint(low: int, high: int, size: tuple[int, ...], *, device: str | None = None) -> Tensor:
    """Integers in [low, high), from the stream ``"randint"``.

    Raises
    ------
    ValueError
        Unless low < high.
    """
    if low >= high:
        raise ValueError(f"randint: low must be below high, got {low} and {high}")
    return tensor(rng.stream("randint").integers(low, high, size), device=device)


def randperm(n: int, *, device: str | None = None) -> Tensor:
    """A random permutation of 0 .. n-1, from the stream ``"randperm"``."""
    return tensor(rng.stream("randperm").permutation(n), device=device)
