"""The array namespace that ops see on the GPU: the device's own functions under NumPy's names.

CuPy's elementwise and reduction kernels run at the speed of memory, so there is nothing to replace, only what it does
differently from NumPy.
"""

from math import prod
from typing import Any

import numpy as np

from minicnn.backends.cuda import seam
from minicnn.backends.cuda.sources import sum_type
from minicnn.core.types import Array


def __getattr__(name: str) -> Any:
    if not seam.entered():  # asked by a tool that looks at modules, without a device
        raise AttributeError(name)
    return getattr(seam.xp(), name)


def matmul(a: Array, b: Array) -> Array:
    """NumPy's; stacks of matrices by ``seam.gemm``, as CuPy's own would multiply float16 in float32."""
    if max(a.ndim, b.ndim) > 2 and min(a.ndim, b.ndim) > 1 and a.dtype == b.dtype and a.dtype.kind == "f":
        return seam.gemm(a, b)
    return seam.xp().matmul(a, b)


def einsum(subscripts: str, *operands: Array, **options: Any) -> Array:
    """NumPy's; what is a stack of matrix products of two operands by ``seam.gemm``, for the same reason."""
    inputs, _, output = subscripts.partition("->")
    terms = inputs.split(",")
    if len(operands) != 2 or len({x.dtype for x in operands}) > 1 or operands[0].dtype.kind != "f":
        return seam.xp().einsum(subscripts, *operands, **options)
    first, second = terms
    inner = [i for i in first if i in second and i not in output]
    batch = [i for i in output if i in first and i in second]
    rows = [i for i in output if i in first and i not in second]
    columns = [i for i in output if i in second and i not in first]
    whole = sorted(batch + rows + inner) == sorted(first) and sorted(batch + inner + columns) == sorted(second)
    if not (whole and inner and rows + columns):  # diagonals, sums over one operand, elementwise products
        return seam.xp().einsum(subscripts, *operands, **options)
    sizes = dict(zip(first, operands[0].shape, strict=True)) | dict(zip(second, operands[1].shape, strict=True))

    def stacked(x: Array, term: str, *groups: list[str]) -> Array:
        axes = [term.index(i) for group in groups for i in group]
        return x.transpose(axes).reshape([prod(sizes[i] for i in group) for group in groups])

    y = seam.gemm(stacked(operands[0], first, batch, rows, inner), stacked(operands[1], second, batch, inner, columns))
    found = batch + rows + columns
    return y.reshape([sizes[i] for i in found]).transpose([found.index(i) for i in output])


def sum(a: Array, axis: Any = None, dtype: Any = None, out: Array | None = None, keepdims: bool = False) -> Array:
    """NumPy's; of halves in float32. CuPy's of a contiguous array is CUB's, which adds halves to halves."""
    if dtype is None and out is None and a.dtype == np.float16:
        return seam.xp().sum(a, axis, np.float32, keepdims=keepdims).astype(a.dtype)
    return seam.xp().sum(a, axis, dtype, out, keepdims)


def cumsum(a: Array, axis: int | None = None, dtype: Any = None, out: Array | None = None) -> Array:
    """NumPy's; of halves in float32, for the same reason."""
    if dtype is None and out is None and a.dtype == np.float16:
        return seam.xp().cumsum(a, axis, np.float32).astype(a.dtype)
    return seam.xp().cumsum(a, axis, dtype, out)


def remainder(a: Array, b: Array) -> Array:
    """NumPy's. CuPy's of floats is a - floor(a / b) * b, which is NaN for an infinite b and rounded three times."""
    xp = seam.xp()
    if not _has_floats(a, b):
        return xp.remainder(a, b)
    rest = xp.fmod(a, b)  # exact, and of a's sign
    b = xp.asarray(b, rest.dtype)
    return xp.copysign(xp.where(_beyond(rest, b), rest + b, rest), b)


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
    return any(isinstance(x, float) or getattr(x, "dtype", np.dtype(bool)).kind == "f" for x in operands)
