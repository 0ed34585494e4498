"""The array namespace that ops see on the GPU: the device's own functions under NumPy's names.

CuPy's elementwise and reduction kernels run at the speed of memory, so there is nothing to replace, only what it does
differently from NumPy.
"""

from collections.abc import Callable
from functools import wraps
from math import prod
from typing import Any

import numpy as np

from minicnn.backends.cuda import seam
from minicnn.backends.cuda.sources import sum_type
from minicnn.core.dtypes import is_bfloat16, is_float
from minicnn.core.types import Array


def __getattr__(name: str) -> Any:
    if not seam.entered():  # asked by a tool that looks at modules, without a device
        raise AttributeError(name)
    found = getattr(seam.xp(), name)
    return _with_numbers(found) if name in _MEET_NUMBERS else _in_float32(found) if name in _IN_FLOAT32 else found


_BOOL = np.dtype(bool)
_IN_FLOAT32 = {"argsort", "round"}  # what CuPy does not do of bfloat16
_MEET_NUMBERS = {
    "add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "where", "clip",
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
}  # fmt: skip


def _with_numbers(function: Any) -> Any:
    """The function, whose Python floats take the dtype of a bfloat16 array; NumPy and CuPy make float32 of the two."""

    def call(*args: Any, **kwargs: Any) -> Any:
        dtype = next((x.dtype for x in args if getattr(x, "dtype", None) and is_bfloat16(x.dtype)), None)
        if dtype is not None:
            args = tuple(dtype.type(x) if isinstance(x, float) else x for x in args)
        y = function(*args, **kwargs)
        if dtype is None or not is_float(y.dtype) or y.dtype == dtype or "out" in kwargs:
            return y
        others = (x.dtype.kind for x in args if getattr(x, "dtype", None))  # where and clip, which CuPy does in float32
        return y.astype(dtype) if all(kind in "bV" for kind in others) else y

    return call


def _in_float32(function: Callable[..., Array]) -> Callable[..., Array]:
    """The function, by way of float32 where operands are bfloat16; integer results stay what they are."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Array:
        dtypes = {x.dtype for x in args if is_float(getattr(x, "dtype", _BOOL))}
        half = next(filter(is_bfloat16, dtypes), None)
        if half is None:
            return function(*args, **kwargs)
        y = function(*[x.astype(np.float32) if getattr(x, "dtype", _BOOL) == half else x for x in args], **kwargs)
        return y.astype(half) if is_float(y.dtype) and len(dtypes) == 1 else y

    return call


def matmul(a: Array, b: Array) -> Array:
    """NumPy's; of floats by ``seam.gemm``, as CuPy's own would multiply stacks of half types in float32."""
    if a.dtype != b.dtype or not is_float(a.dtype):
        return seam.xp().matmul(a, b)
    y = seam.gemm(a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b)
    return y.squeeze(tuple(axis for axis, x in ((-2, a), (-1, b)) if x.ndim == 1))


def einsum(subscripts: str, *operands: Array, **options: Any) -> Array:
    """NumPy's; what is a stack of matrix products of two operands by ``seam.gemm``, for the same reason."""
    inputs, _, output = subscripts.partition("->")
    terms = inputs.split(",")
    if len(operands) != 2 or len({x.dtype for x in operands}) > 1 or not is_float(operands[0].dtype):
        return _in_float32(seam.xp().einsum)(subscripts, *operands, **options)
    first, second = terms
    inner = [i for i in first if i in second and i not in output]
    batch = [i for i in output if i in first and i in second]
    rows = [i for i in output if i in first and i not in second]
    columns = [i for i in output if i in second and i not in first]
    whole = sorted(batch + rows + inner) == sorted(first) and sorted(batch + inner + columns) == sorted(second)
    if not (whole and inner and rows + columns):  # diagonals, sums over one operand, elementwise products
        return _in_float32(seam.xp().einsum)(subscripts, *operands, **options)
    sizes = dict(zip(first, operands[0].shape, strict=True)) | dict(zip(second, operands[1].shape, strict=True))

    def stacked(x: Array, term: str, *groups: list[str]) -> Array:
        axes = [term.index(i) for group in groups for i in group]
        return x.transpose(axes).reshape([prod(sizes[i] for i in group) for group in groups])

    y = seam.gemm(stacked(operands[0], first, batch, rows, inner), stacked(operands[1], second, batch, inner, columns))
    found = batch + rows + columns
    return y.reshape([sizes[i] for i in found]).transpose([found.index(i) for i in output])


def sum(a: Array, axis: Any = None, dtype: Any = None, out: Array | None = None, keepdims: bool = False) -> Array:
    """NumPy's; of half types in float32. CuPy's of a contiguous array is CUB's, which adds halves to halves."""
    if dtype is None and out is None and is_float(a.dtype) and a.dtype.itemsize == 2:
        return seam.xp().sum(a, axis, np.float32, keepdims=keepdims).astype(a.dtype)
    return seam.xp().sum(a, axis, dtype, out, keepdims)


def cumsum(a: Array, axis: int | None = None, dtype: Any = None, out: Array | None = None) -> Array:
    """NumPy's; of half types in float32, for the same reason."""
    if dtype is None and out is None and is_float(a.dtype) and a.dtype.itemsize == 2:
        return seam.xp().cumsum(a, axis, np.float32).astype(a.dtype)
    return seam.xp().cumsum(a, axis, dtype, out)


@_in_float32
def remainder(a: Array, b: Array) -> Array:
    """NumPy's. CuPy's of floats is a - floor(a / b) * b, which is NaN for an infinite b and rounded three times."""
    xp = seam.xp()
    if not _has_floats(a, b):
        return xp.remainder(a, b)
    rest = xp.fmod(a, b)  # exact, and of a's sign
    b = xp.asarray(b, rest.dtype)
    return xp.copysign(xp.where(_beyond(rest, b), rest + b, rest), b)


@_in_float32
def floor_divide(a: Array, b: Array) -> Array:
    """NumPy's. CuPy's of floats is floor(a / b): 10 for 1 / 0.1, as 0.1 is a little more than a tenth."""
    xp = seam.xp()
    if not _has_floats(a, b):
        return xp.floor_divide(a, b)
    rest = xp.fmod(a, b)
    real, sums = rest.dtype, sum_type(rest.dtype)
    a, b, rest = (xp.asarray(x, sums) for x in (a, b, rest))
    quotient = (a - rest) / b  # whole, but for rounding
    quotient = xp.rint(xp.where(_beyond(rest, b), quotient - 1, quotient))
    quotient = xp.where(b == 0, a / b, xp.where(quotient == 0, xp.copysign(quotient, a / b), quotient))
    return quotient.astype(real, copy=False)


def _beyond(rest: Array, b: Array) -> Array:
    """Where the remainder towards zero lies on the other side of zero than the divisor."""
    return (rest != 0) & ((rest < 0) != (b < 0))


def _has_floats(*operands: Array) -> bool:
    return any(isinstance(x, float) or is_float(getattr(x, "dtype", _BOOL)) for x in operands)
