"""Resizing on the GPU, and its adjoint: one kernel that applies sparse taps (``kernels/resample.cu``)."""

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from minicnn.backends import resampling
from minicnn.backends.cuda import seam, sources
from minicnn.core.types import Array, Shape

_PLANES = 4  # that a thread resizes by the same taps: PLANES of the kernel

Scales = tuple[float | None, float | None]


def resize(x: Array, out: Shape, mode: str, align_corners: bool, scales: Scales, antialias: bool) -> Array:
    """The last two axes resampled to ``out``: nearest, nearest-exact, bilinear or bicubic."""
    return _apply(x, out, x.shape[-2:], out, (mode, align_corners, antialias, False), scales)


def resize_1(x: Array, out: Shape, mode: str, align_corners: bool, scales: Scales, antialias: bool) -> Array:
    """:func:`resize` with one thread for each number."""
    return _apply(x, out, x.shape[-2:], out, (mode, align_corners, antialias, False), scales, literal=True)


def resize_adjoint(gy: Array, size: Shape, mode: str, align_corners: bool, scales: Scales, antialias: bool) -> Array:
    """The adjoint of :func:`resize` on inputs of ``size``."""
    return _apply(gy, size, size, gy.shape[-2:], (mode, align_corners, antialias, True), scales)


def _apply(
    x: Array,
    size: Shape,
    inputs: Shape,
    outputs: Shape,
    how: tuple[str, bool, bool, bool],
    scales: Scales,
    literal: bool = False,
) -> Array:
    y = seam.empty((*x.shape[:-2], *size), x.dtype)
    dtype = sources.sum_type(x.dtype).char
    runtime: Any = seam.runtime()
    axes = [_taps(runtime, n, o, how, s, dtype) for n, o, s in zip(inputs, outputs, scales, strict=True)]
    args = seam.contiguous(x), y, *axes[0], *axes[1], *x.shape[-2:], *size
    if literal:
        seam.elementwise("resample.resize_1", y.size, *args, y.size)
    else:
        planes = prod(x.shape[:-2])
        count = -(-planes // _PLANES) * prod(size)
        seam.elementwise("resample.resize", count, *args, planes, count)
    return y


@lru_cache(maxsize=256)
def _taps(
    runtime: Any, n: int, out: int, how: tuple[str, bool, bool, bool], scale: float | None, dtype: str
) -> tuple[Array, Array, Array]:
    """First tap of each output, and index and weight of each tap, on the device; kept, as they depend on sizes only."""
    mode, align_corners, antialias, transposed = how
    found = resampling.taps(n, out, mode, align_corners, scale, antialias, transposed, dtype)
    array = runtime.namespace.array
    return array(found.first.astype(np.int32)), array(found.index.astype(np.int32)), array(found.weight)
