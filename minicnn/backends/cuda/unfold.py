"""Columns of windows and back: ``unfold`` copies, ``fold`` (its adjoint) adds (``kernels/unfold.cu``)."""

from minicnn.backends.cuda import seam
from minicnn.core.types import Array, Shape
from minicnn.core.windows import Window2d


def unfold(x: Array, window: Window2d, out: Shape) -> Array:
    """(N, C, H, W) -> (N, C * KH * KW, OH * OW)."""
    n, c = x.shape[:2]
    columns = seam.empty((n, c * window.kernel[0] * window.kernel[1], out[0] * out[1]), x.dtype)
    args = seam.contiguous(x), columns, *x.shape[2:], *_geometry(window, out), columns.size
    seam.elementwise("unfold.unfold", columns.size, *args)
    return columns


def fold(columns: Array, window: Window2d, size: Shape, out: Shape) -> Array:
    """(N, C * KH * KW, OH * OW) -> (N, C, H, W)."""
    channels = columns.shape[1] // (window.kernel[0] * window.kernel[1])
    x = seam.empty((columns.shape[0], channels, *size), columns.dtype)
    args = seam.contiguous(columns), x, *size, *_geometry(window, out), x.size
    seam.elementwise("unfold.fold", x.size, *args)
    return x


def _geometry(window: Window2d, out: Shape) -> tuple[int, ...]:
    return (*window.kernel, *out, *window.stride, *window.padding, *window.dilation)
