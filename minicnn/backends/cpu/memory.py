"""Memory of large results of kernels: mapped ever after, and from the beginning of a cache line.

A fresh big array costs page faults, which take longer than most arithmetic on it (ReLU over 51 MB: 19.5 ms into
new pages, 2.6 ms into mapped ones). glibc gives big blocks back to the kernel on every free; raising two of its
limits makes it keep them for the next array instead. Where there is no glibc this does nothing.

NumPy's arrays begin at any multiple of 16 bytes, so that of vectors of 64 bytes each touches two cache lines. The
gradient of ReLU over 17 MB takes 1.2 ms so, and 0.84 ms where all arrays begin with a line.
"""

import ctypes
import sys
from math import prod

import numpy as np
from numpy.typing import DTypeLike

from minicnn.core.types import Array, Shape

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LIMIT = 1 << 30
LINE = 64  # bytes of a cache line
LARGE = 1 << 18  # bytes from which a line's beginning is worth the microsecond that it takes to find


def keep_freed_memory() -> bool:
    """Ask the C library to reuse freed blocks below 1 GiB; whether it agreed."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return bool(mallopt(_M_MMAP_THRESHOLD, _LIMIT) and mallopt(_M_TRIM_THRESHOLD, _LIMIT))


def empty(shape: Shape, dtype: DTypeLike) -> Array:
    """numpy.empty; a large array begins with a cache line, and is a view of the bytes that hold it."""
    kind = np.dtype(dtype)
    size = prod(shape) * kind.itemsize
    if size < LARGE:
        return np.empty(shape, kind)
    held = np.empty(size + LINE, np.uint8)
    return np.ndarray(shape, kind, held, -held.ctypes.data % LINE)


def empty_like(array: Array) -> Array:
    """An array of that shape and dtype, row-major, as :func:`empty` makes it."""
    return empty(array.shape, array.dtype)
