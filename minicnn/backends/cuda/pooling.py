"""Pooling on the GPU: window maxima with flat indices, and their adjoint (``kernels/pooling.cu``)."""

from math import prod

import numpy as np

from minicnn.backends.cuda import seam
from minicnn.core.types import Array, Shape
from minicnn.core.windows import Window2d

_STRIP = 4  # rows of a thread of max_pool2d_adjoint: ROWS of the kernel
ADAPTIVE = (0, 0, 0, 1)  # taps, stride, padding, step of an axis; stride 0 stands for adaptive windows


def _sizes_of(window: Window2d) -> tuple[int, ...]:
    """The window of each axis as the kernels take them."""
    return tuple(
        n for axis in zip(window.kernel, window.stride, window.padding, window.dilation, strict=True) for n in axis
    )


def max_pool2d(x: Array, window: Window2d, out: Shape, indices: bool) -> tuple[Array, Array | None]:
    """Window maxima, and where they lie: int32 flat indices into each plane (-1 for a window all in padding)."""
    return _maxima(x, _sizes_of(window), out, indices)


def adaptive_max_pool2d(x: Array, out: Shape, indices: bool) -> tuple[Array, Array | None]:
    """Maxima over windows ``floor(i n / out) .. ceil((i + 1) n / out)``."""
    return _maxima(x, (*ADAPTIVE, *ADAPTIVE), out, indices)


def _maxima(x: Array, axes: tuple[int, ...], out: Shape, indices: bool) -> tuple[Array, Array | None]:
    y = seam.empty((*x.shape[:-2], *out), x.dtype)
    index = seam.empty(y.shape, np.int32) if indices else None
    seam.elementwise("pooling.max_pool2d", y.size, seam.contiguous(x), y, index, *x.shape[-2:], *out, *axes, y.size)
    return y, index


def gather_planes(x: Array, index: Array) -> Array:
    """``y[n, c, i] = x[n, c].flat[index[n, c, i]]``, 0 where the index is negative."""
    y = seam.empty(index.shape, x.dtype)
    sizes = prod(x.shape[-2:]), prod(index.shape[-2:]), y.size
    seam.elementwise("pooling.gather_planes", y.size, seam.contiguous(x), seam.contiguous(index), y, *sizes)
    return y


def scatter_planes_atomic(gy: Array, index: Array, size: Shape) -> Array:
    """:func:`scatter_planes` in one step, in an order that changes from run to run."""
    gx = seam.xp().zeros((*gy.shape[:-2], *size), gy.dtype)
    sizes = prod(size), prod(gy.shape[-2:]), gy.size
    seam.elementwise("pooling.scatter_planes_atomic", gy.size, seam.contiguous(gy), seam.contiguous(index), gx, *sizes)
    return gx


@seam.or_atomic(scatter_planes_atomic)
def scatter_planes(gy: Array, index: Array, size: Shape) -> Array:
    """The adjoint: ``gx[n, c].flat[index[n, c, i]] += gy[n, c, i]``, negative indices dropped; deterministic."""
    gx = seam.empty((*gy.shape[:-2], *size), gy.dtype)
    index = seam.contiguous(index)
    head, following = _links(index, gx.shape)
    sizes = prod(size), prod(gy.shape[-2:]), gx.size
    seam.elementwise("pooling.sum_links", gx.size, seam.contiguous(gy), index, head, following, gx, *sizes)
    return gx


def max_pool2d_adjoint(gy: Array, index: Array, size: Shape, window: Window2d | None) -> Array:
    """:func:`scatter_planes` onto the maxima of those windows (``None``: adaptive ones): every place gathers."""
    gx = seam.empty((*gy.shape[:-2], *size), gy.dtype)
    axes = _sizes_of(window) if window else (*ADAPTIVE, *ADAPTIVE)
    count = prod(gx.shape[:-2]) * -(-size[0] // _STRIP) * size[1]
    args = seam.contiguous(gy), seam.contiguous(index), gx, *size, *gy.shape[-2:], *axes, count
    seam.elementwise("pooling.max_pool2d_adjoint", count, *args)
    return gx


def last_writers(index: Array, size: Shape) -> Array:
    """The indices with -1 in place of all but the last of equal ones in a plane: what plain assignment keeps."""
    index = seam.contiguous(index).astype(np.int32)
    last = seam.xp().full((*index.shape[:-2], *size), -1, np.int32)
    kept = seam.empty(index.shape, np.int32)
    sizes = prod(size), prod(index.shape[-2:]), kept.size
    seam.elementwise("pooling.mark_last", kept.size, index, last, *sizes)
    seam.elementwise("pooling.last_writers", kept.size, index, last, kept, *sizes)
    return kept


def _links(index: Array, shape: Shape) -> tuple[Array, Array]:
    """For each place of ``shape`` the list of outputs that hit it: its head, and what follows each output."""
    head = seam.xp().full(shape, -1, np.int32)
    following = seam.empty(index.shape, np.int32)
    sizes = prod(shape[-2:]), prod(index.shape[-2:]), index.size
    seam.elementwise("pooling.link_planes", index.size, seam.contiguous(index), head, following, *sizes)
    return head, following
