"""The array namespace that ops see on the GPU: the device's own functions under NumPy's names.

CuPy's elementwise and reduction kernels run at the speed of memory, so there is nothing to replace, only what it spells
differently from NumPy.
"""

from typing import Any

from minicnn.backends.cuda import seam
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
