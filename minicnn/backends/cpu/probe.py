"""Which threading layer numba uses here; known only after a parallel kernel ran."""

import numba
import numpy as np

from minicnn.backends.cpu.jit import kernel, prange
from minicnn.core.types import Array


@kernel
def _fill(x: Array) -> None:
    for i in prange(x.size):
        x[i] = i


def threading_layer() -> str:
    """``omp``, ``tbb`` or ``workqueue``, or why there is none."""
    try:
        _fill(np.empty(64))
        return str(numba.threading_layer())
    except (RuntimeError, ValueError) as error:
        return f"none ({error})"
