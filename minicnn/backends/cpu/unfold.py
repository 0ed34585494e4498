"""Columns of windows and back: ``unfold`` copies, ``fold`` (its adjoint) adds."""

import numpy as np

from minicnn.backends.cpu.jit import kernel, prange
from minicnn.backends.cpu.memory import empty
from minicnn.core.types import Array, Shape
from minicnn.core.windows import Window2d


def unfold(x: Array, window: Window2d, out: Shape) -> Array:
    """(N, C, H, W) -> (N, C * KH * KW, OH * OW)."""
    n, c = x.shape[:2]
    columns = empty((n, c, *window.kernel, *out), x.dtype)
    _unfold(np.ascontiguousarray(x), columns, *window.stride, *window.padding, *window.dilation)
    return columns.reshape(n, c * window.kernel[0] * window.kernel[1], out[0] * out[1])


def fold(columns: Array, window: Window2d, size: Shape, out: Shape) -> Array:
    """(N, C * KH * KW, OH * OW) -> (N, C, H, W)."""
    area = window.kernel[0] * window.kernel[1]
    n, c = columns.shape[0], columns.shape[1] // area
    x = np.zeros((n, c, *size), columns.dtype)
    parts = np.ascontiguousarray(columns).reshape(n, c, *window.kernel, *out)
    _fold(parts, x, *window.stride, *window.padding, *window.dilation)
    return x


@kernel
def _unfold(x, columns, sh, sw, ph, pw, dh, dw):  # type: ignore[no-untyped-def]
    images, channels, kh, kw, oh, ow = columns.shape
    height, width = x.shape[2], x.shape[3]
    for plane in prange(images * channels):
        n, i = plane // channels, plane % channels
        for a in range(kh):
            for b in range(kw):
                for r in range(oh):
                    for c in range(ow):
                        row, col = r * sh + a * dh - ph, c * sw + b * dw - pw
                        inside = 0 <= row < height and 0 <= col < width
                        columns[n, i, a, b, r, c] = x[n, i, row, col] if inside else 0


@kernel
def _fold(columns, x, sh, sw, ph, pw, dh, dw):  # type: ignore[no-untyped-def]
    images, channels, kh, kw, oh, ow = columns.shape
    height, width = x.shape[2], x.shape[3]
    for plane in prange(images * channels):  # one image plane belongs to one iteration, so additions never race
        n, i = plane // channels, plane % channels
        for a in range(kh):
            for b in range(kw):
                for r in range(oh):
                    for c in range(ow):
                        row, col = r * sh + a * dh - ph, c * sw + b * dw - pw
                        if 0 <= row < height and 0 <= col < width:
                            x[n, i, row, col] += columns[n, i, a, b, r, c]
