"""Local response normalisation, its gradient, and sums over windows of channels."""

import numpy as np

from minicnn.backends.cpu.jit import kernel, prange
from minicnn.backends.cpu.memory import empty_like
from minicnn.core.types import Array


@kernel
def _channel_window_sum(x, y, before, after):  # type: ignore[no-untyped-def]
    batch, channels, length = x.shape
    for task in prange(batch * channels):
        n, c = np.int64(task) // channels, np.int64(task) % channels
        target = y[n, c]
        target[:] = 0
        for k in range(max(c - before, 0), min(c + after + 1, channels)):
            source = x[n, k]
            for i in range(length):
                target[i] += source[i]


@kernel(fastmath={"contract"})
def _local_response_norm(x, y, scale, before, after, share, beta, k):  # type: ignore[no-untyped-def]
    batch, channels, length = x.shape
    real = x.dtype.type
    power, factor, base = real(-beta), real(share), real(k)
    for task in prange(batch * channels):
        n, c = np.int64(task) // channels, np.int64(task) % channels
        source, target, s = x[n, c], y[n, c], scale[n, c]
        s[:] = 0
        for j in range(max(c - before, 0), min(c + after + 1, channels)):
            other = x[n, j]
            for i in range(length):
                s[i] += other[i] * other[i]
        for i in range(length):
            s[i] = base + factor * s[i]
            target[i] = source[i] * s[i] ** power


@kernel(fastmath={"contract"})
def _local_response_norm_terms(gy, x, scale, gx, terms, beta):  # type: ignore[no-untyped-def]
    batch, channels, length = x.shape
    power = x.dtype.type(-beta)
    for task in prange(batch * channels):
        n, c = np.int64(task) // channels, np.int64(task) % channels
        up, source, s, target, term = gy[n, c], x[n, c], scale[n, c], gx[n, c], terms[n, c]
        for i in range(length):
            target[i] = up[i] * s[i] ** power
            term[i] = target[i] * source[i] / s[i]


@kernel(fastmath={"contract"})
def _subtract_windows(x, terms, gx, before, after, factor):  # type: ignore[no-untyped-def]
    batch, channels, length = x.shape
    slope = x.dtype.type(factor)
    for task in prange(batch * channels):
        n, c = np.int64(task) // channels, np.int64(task) % channels
        source, target = x[n, c], gx[n, c]
        for j in range(max(c - before, 0), min(c + after + 1, channels)):
            term = terms[n, j]
            for i in range(length):
                target[i] -= slope * source[i] * term[i]


def _planes(x: Array) -> Array:
    """``x`` (N, C, ...) as (N, C, length), contiguous."""
    return np.ascontiguousarray(x).reshape(*x.shape[:2], -1)


def local_response_norm(
    x: Array, before: int, after: int, share: float, beta: float, k: float
) -> tuple[Array, Array]:
    """``x * s**-beta`` of ``x`` (N, C, ...), and s: k plus share times the sum of x^2 over c - before .. c + after."""
    if not x.size:
        return empty_like(x), empty_like(x)
    planes = _planes(x)
    y, scale = empty_like(planes), empty_like(planes)
    _local_response_norm(planes, y, scale, before, after, float(share), float(beta), float(k))
    return y.reshape(x.shape), scale.reshape(x.shape)


def local_response_norm_grad(
    gy: Array, x: Array, scale: Array, before: int, after: int, share: float, beta: float
) -> Array:
    """The gradient of ``sum(gy * y)`` for x, which ``scale`` depends on as well."""
    if not x.size:
        return empty_like(x)
    planes = _planes(x)
    gx, terms = empty_like(planes), empty_like(planes)
    _local_response_norm_terms(_planes(gy), planes, _planes(scale), gx, terms, float(beta))
    _subtract_windows(planes, terms, gx, after, before, 2.0 * share * beta)  # the window mirrored
    return gx.reshape(x.shape)


def channel_window_sum(x: Array, before: int, after: int) -> Array:
    """Sums over the channels ``c - before .. c + after`` of ``x`` (N, C, ...); channels outside count as zero."""
    if not x.size:
        return empty_like(x)
    planes = _planes(x)
    y = empty_like(planes)
    _channel_window_sum(planes, y, before, after)
    return y.reshape(x.shape)
