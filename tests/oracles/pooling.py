"""Naive pooling, one window at a time, with gradients; NumPy only."""

import math

import numpy as np


def positions(size, kernel, stride, padding, dilation=1, ceil_mode=False):
    """Per output along one axis: every position of its window, also those in the padding."""
    extent = dilation * (kernel - 1) + 1
    exact = (size + 2 * padding - extent) / stride
    count = (math.ceil(exact) if ceil_mode else math.floor(exact)) + 1
    starts = [o * stride - padding for o in range(count)]
    if ceil_mode and starts[-1] >= size:
        starts.pop()
    return [[start + t * dilation for t in range(kernel)] for start in starts]


def windows(size, kernel, stride, padding=(0, 0), dilation=(1, 1), ceil_mode=False):
    """Rows and columns of every output, as lists of positions."""
    return [
        positions(n, k, s, p, d, ceil_mode)
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    ]


def adaptive_windows(size, out):
    return [
        [list(range(math.floor(i * n / o), math.ceil((i + 1) * n / o))) for i in range(o)]
        for n, o in zip(size, out, strict=True)
    ]


def _inside(positions, n):
    return [p for p in positions if 0 <= p < n]


def max_pool(x, rows, columns, gy=None):
    """(y, flat index, gx) for an image stack (..., H, W); ties go to the first, NaN wins."""
    h, w = x.shape[-2:]
    y = np.zeros((*x.shape[:-2], len(rows), len(columns)), x.dtype)
    index = np.zeros(y.shape, np.int64)
    gx = np.zeros_like(x)
    for lead in np.ndindex(x.shape[:-2]):
        for i, window_rows in enumerate(rows):
            for j, window_columns in enumerate(columns):
                best = None
                for r in _inside(window_rows, h):
                    for c in _inside(window_columns, w):
                        v = x[lead][r, c]
                        if best is None or v > x[lead][best] or math.isnan(v):
                            best = (r, c)
                y[lead][i, j] = x[lead][best]
                index[lead][i, j] = best[0] * w + best[1]
                if gy is not None:
                    gx[lead][best] += gy[lead][i, j]
    return y, index, gx


def avg_pool(x, rows, columns, padding=(0, 0), count_include_pad=True, divisor=None, gy=None):
    """(y, gx). The divisor counts what lies in the input, or in the input with its padding."""
    h, w = x.shape[-2:]
    y = np.zeros((*x.shape[:-2], len(rows), len(columns)), x.dtype)
    gx = np.zeros_like(x)
    for i, window_rows in enumerate(rows):
        for j, window_columns in enumerate(columns):
            cells = [(r, c) for r in _inside(window_rows, h) for c in _inside(window_columns, w)]
            count = len(cells)
            if count_include_pad:
                count = sum(r < h + padding[0] for r in window_rows) * sum(c < w + padding[1] for c in window_columns)
            count = divisor or count
            for r, c in cells:
                y[..., i, j] += x[..., r, c] / count
                if gy is not None:
                    gx[..., r, c] += gy[..., i, j] / count
    return y, gx


def max_unpool(y, index, size):
    x = np.zeros((*y.shape[:-2], *size), y.dtype)
    for at in np.ndindex(y.shape):
        x[at[:-2]].flat[index[at]] = y[at]
    return x
