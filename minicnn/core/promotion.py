"""Which dtype two arrays meet in: PyTorch's rule, so that scalars and 0-d tensors never promote an array.

A higher category wins (bool < integer < floating) with the dtype it has; within one category an array beats a 0-d
tensor, and two arrays meet in the wider dtype. So ``int64 * float32`` is float32, where NumPy would say float64.
"""

from typing import Any

import numpy as np

from minicnn.core.dtypes import is_float
from minicnn.core.types import Array

_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2}  # V: bfloat16
FLOAT = np.dtype(np.float32)  # what integers become where a real number is asked for


def result_type(a: Array, b: Array) -> "np.dtype[Any]":
    """The dtype in which an operation on ``a`` and ``b`` is computed.

    Examples
    --------
    >>> import numpy as np
    >>> result_type(np.ones(2, np.float32), np.array(1.0))
    dtype('float32')
    >>> result_type(np.ones(2, np.int64), np.ones(2, np.float32))
    dtype('float32')
    """
    rank_a, rank_b = _CATEGORY[a.dtype.kind], _CATEGORY[b.dtype.kind]
    if rank_a == rank_b and (a.ndim == 0) == (b.ndim == 0):
        return _wider(a.dtype, b.dtype)
    if rank_a != rank_b:
        winner = a if rank_a > rank_b else b
    else:
        winner = a if a.ndim else b
    return winner.dtype  # type: ignore[no-any-return]


def _wider(a: "np.dtype[Any]", b: "np.dtype[Any]") -> "np.dtype[Any]":
    """Float16 and bfloat16, neither of which holds the other, meet in float32."""
    halves = a.itemsize == b.itemsize == 2 and a != b and is_float(a) and is_float(b)
    return FLOAT if halves else np.promote_types(a, b)


def match(a: Array, b: Array) -> tuple[Array, Array]:
    """Both arrays in their common dtype; the usual case, equal dtypes, costs one comparison."""
    if a.dtype == b.dtype:
        return a, b
    dtype = result_type(a, b)
    return a.astype(dtype, copy=False), b.astype(dtype, copy=False)


def real(x: Array) -> Array:
    """``x`` if it is floating, else as float32."""
    return x if is_float(x.dtype) else x.astype(FLOAT)
