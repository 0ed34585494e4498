"""Resizing one output pixel at a time, from the definitions of the modes; NumPy only."""

import math

import numpy as np


def source(o, n, out, align_corners):
    """Where output pixel o lies on the input's grid."""
    if align_corners:
        return o * (n - 1) / (out - 1) if out > 1 else 0.0
    return (o + 0.5) * n / out - 0.5


def keys(t, a):
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def taps(o, n, out, mode, align_corners=False):
    """[(input pixel, weight)] of output pixel o along one axis."""
    if mode == "nearest":
        return [(o * n // out, 1.0)]
    if mode == "nearest-exact":
        return [((2 * o + 1) * n // (2 * out), 1.0)]
    at = source(o, n, out, align_corners)
    low = math.floor(at)
    if mode == "bicubic":
        return [(min(max(low + k, 0), n - 1), keys(at - low - k, -0.75)) for k in range(-1, 3)]
    return [(min(max(k, 0), n - 1), 1 - abs(at - k)) for k in (low, low + 1)]


def matrix(n, out, mode, align_corners=False):
    m = np.zeros((out, n))
    for o in range(out):
        for i, weight in taps(o, n, out, mode, align_corners):
            m[o, i] += weight
    return m


def interpolate(x, size, mode, align_corners=False, gy=None):
    """(y, gx) for images (..., H, W)."""
    rows, columns = (matrix(n, o, mode, align_corners) for n, o in zip(x.shape[-2:], size, strict=True))
    y = np.zeros((*x.shape[:-2], *size))
    gx = np.zeros(x.shape)
    for i in range(size[0]):
        for j in range(size[1]):
            for r in range(x.shape[-2]):
                for c in range(x.shape[-1]):
                    y[..., i, j] += rows[i, r] * columns[j, c] * x[..., r, c]
                    if gy is not None:
                        gx[..., r, c] += rows[i, r] * columns[j, c] * gy[..., i, j]
    return y, gx
