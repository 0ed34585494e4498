"""The array namespace that ops see on the GPU: the device's own functions under NumPy's names.

CuPy's elementwise and reduction kernels run at the speed of memory, so there is nothing to replace, only what it does
differently from NumPy.
"""

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
