"""Softmax cross-entropy with class labels: one pass that gives losses and probabilities, one for the gradient.

Logits are (N, C, S) with S positions per sample; a row is one (n, s). The weight of class c in the target of a
row with label y is q_c = (1 - smoothing) w_c [c = y] + smoothing / C w_c, and 0 where the label is ignored; the
loss of the row is sum_c q_c (log sum exp z - z_c). Rows are summed in float64 over blocks of fixed size.
"""

from functools import lru_cache

import numpy as np

from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.memory import empty, empty_like
from minicnn.backends.cpu.softmax import softmax_rows, softmax_strip
from minicnn.core.types import Array

_POSITIONS = 1024  # positions of one block: a strip of each class's plane, so that memory is read in order
_SAMPLES = 128  # samples of one block where each has a single position


@inline
def _log(x):  # type: ignore[no-untyped-def]
    """Natural logarithm of a finite float64 x >= 1, to one or two units in the last place; NaN stays.

    x = 2^k m with m in [1/√2, √2), log m = 2 artanh s with s = (m - 1) / (m + 1), |s| < 0.172, by its series.
    """
    bits = np.float64(x).view(np.int64)
    k = (bits - np.int64(0x3FE6A09E667F3BCD)) >> np.int64(52)
    m = np.int64(bits - (k << np.int64(52))).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    q = s * s
    t = 1.0 / 21.0
    t = t * q + 1.0 / 19.0
    t = t * q + 1.0 / 17.0
    t = t * q + 1.0 / 15.0
    t = t * q + 1.0 / 13.0
    t = t * q + 1.0 / 11.0
    t = t * q + 1.0 / 9.0
    t = t * q + 1.0 / 7.0
    t = t * q + 1.0 / 5.0
    t = t * q + 1.0 / 3.0
    y = np.float64(k) * 0.6931471805599453 + 2.0 * (s + s * q * t)
    return x if x != x else y  # noqa: PLR0124 - NaN


@inline
def _cut(block, samples, positions):  # type: ignore[no-untyped-def]
    """Samples and positions of a block."""
    if positions == 1:
        return block * _SAMPLES, min(samples, (block + 1) * _SAMPLES), 0, 1
    strips = (positions + _POSITIONS - 1) // _POSITIONS
    n, s = block // strips, block % strips * _POSITIONS
    return n, n + 1, s, min(positions, s + _POSITIONS)


@inline
def _count(samples, positions):  # type: ignore[no-untyped-def]
    if positions == 1:
        return (samples + _SAMPLES - 1) // _SAMPLES
    return samples * ((positions + _POSITIONS - 1) // _POSITIONS)


@lru_cache(maxsize=8)
def _ones(classes: int) -> Array:
    return np.ones(classes)


def _weights(weight: Array | None, classes: int) -> Array:
    """Class weights in float64, ones where there are none; for reading."""
    return _ones(classes) if weight is None else np.ascontiguousarray(weight, dtype=np.float64)


@inline
def _spread(z, w, top, log_norm, n0, s0, spread):  # type: ignore[no-untyped-def]
    """sum_c w_c (log_norm - z_c) of each row: what smoothing adds to the loss."""
    for i in range(spread.size):
        n, s = (n0 + i, 0) if z.shape[2] == 1 else (n0, s0 + i)
        for c in range(z.shape[1]):
            spread[i] += w[c] * (log_norm[i] - (z[n, c, s] - top[i]))


@inline
def _forward_block(  # type: ignore[no-untyped-def]
    z, labels, w, p, losses, sums, block, ignore, smoothing
):
    """One block's losses and probabilities; its total loss, total weight and first bad row go to `sums`."""
    classes, positions = z.shape[1], z.shape[2]
    n0, n1, s0, s1 = _cut(block, z.shape[0], positions)
    count = (n1 - n0) * (s1 - s0)  # several samples, or several positions of one
    top, norm = np.empty(count, z.dtype), np.empty(count, np.float64)
    if positions == 1:
        softmax_rows(z[n0:n1].reshape(-1), p[n0:n1].reshape(-1), top, norm)
    else:
        softmax_strip(z[n0], p[n0], top, norm, s0, s1)
    for i in range(count):
        norm[i] = _log(norm[i])
    share, spread = smoothing / classes, np.zeros(count if smoothing > 0 else 0)
    if smoothing > 0:
        _spread(z, w, top, norm, n0, s0, spread)
    total, mass, bad = 0.0, 0.0, -1
    first, flat = n0 * positions + s0, z.reshape(-1)
    start, step = n0 * classes * positions + s0, classes if positions == 1 else 1
    for i in range(count):
        y = labels[first + i]
        loss = 0.0
        if y != ignore:
            if 0 <= y < classes:
                chosen = flat[start + i * step + y * positions]
                loss = (1.0 - smoothing) * w[y] * (norm[i] - (chosen - top[i]))
                if smoothing > 0:
                    loss += share * spread[i]
                mass += w[y]
            elif bad < 0:
                bad = first + i
        losses[first + i] = loss
        total += loss
    sums[0], sums[1], sums[2] = total, mass, bad


@kernel
def _forward(z, labels, w, p, losses, ignore, smoothing):  # type: ignore[no-untyped-def]
    blocks = _count(z.shape[0], z.shape[2])
    sums = np.empty((blocks, 3))  # np.zeros would be a parallel loop of its own
    if blocks == 1:
        _forward_block(z, labels, w, p, losses, sums[0], 0, ignore, smoothing)
    else:
        for b in prange(blocks):
            _forward_block(z, labels, w, p, losses, sums[b], b, ignore, smoothing)
    total, mass, bad = 0.0, 0.0, -1
    for b in range(blocks):
        total += sums[b, 0]
        mass += sums[b, 1]
        if bad < 0:
            bad = int(sums[b, 2])
    return total, mass, total / mass, bad


def softmax_cross_entropy(
    z: Array, labels: Array, weight: Array | None, ignore_index: int, smoothing: float
) -> tuple[Array, Array, float, float, float, int]:
    """Per-row losses (N, S), probabilities (N, C, S), their sum, the sum of label weights, the mean, first bad row.

    The mean is NaN where the weights sum to 0. The first bad row is -1 if all labels are in range.
    """
    z = np.ascontiguousarray(z)
    flat = np.ascontiguousarray(labels, dtype=np.int64).reshape(-1)
    w = _weights(weight, z.shape[1])
    p, losses = empty_like(z), empty(labels.shape, z.dtype)
    rows = losses.reshape(-1)
    total, mass, mean, bad = _forward(z, flat, w, p, rows, ignore_index, float(smoothing))
    return losses, p, total, mass, mean, bad


@inline
def _gradient_block(  # type: ignore[no-untyped-def]
    gy, p, labels, w, gx, block, ignore, smoothing, scale, weight_sum
):
    classes, positions = p.shape[1], p.shape[2]
    n0, n1, s0, s1 = _cut(block, p.shape[0], positions)
    count, first = (n1 - n0) * (s1 - s0), n0 * positions + s0
    share = smoothing / classes
    g, mass = np.empty(count), np.empty(count)
    for i in range(count):
        y = labels[first + i]
        g[i] = 0.0 if y == ignore else scale * gy[first + i if gy.size > 1 else 0]
        mass[i] = 0.0 if y == ignore else g[i] * ((1.0 - smoothing) * w[y] + share * weight_sum)
    if positions == 1:
        for i in range(count):
            source, target = p[n0 + i].reshape(-1), gx[n0 + i].reshape(-1)
            for c in range(classes):
                target[c] = mass[i] * source[c] - g[i] * share * w[c]
    else:
        for c in range(classes):
            strip, out = p[n0][c][s0:s1], gx[n0][c][s0:s1]
            part = share * w[c]
            for i in range(out.size):
                out[i] = mass[i] * strip[i] - g[i] * part
    for i in range(count):
        y = labels[first + i]
        if y != ignore:
            n, s = (n0 + i, 0) if positions == 1 else (n0, s0 + i)
            gx[n, y, s] -= g[i] * (1.0 - smoothing) * w[y]


@kernel
def _gradient(gy, p, labels, w, gx, ignore, smoothing, scale, weight_sum):  # type: ignore[no-untyped-def]
    blocks = _count(p.shape[0], p.shape[2])
    if blocks == 1:
        _gradient_block(gy, p, labels, w, gx, 0, ignore, smoothing, scale, weight_sum)
    else:
        for b in prange(blocks):
            _gradient_block(gy, p, labels, w, gx, b, ignore, smoothing, scale, weight_sum)


def softmax_cross_entropy_grad(
    gy: Array,
    p: Array,
    labels: Array,
    weight: Array | None,
    ignore_index: int,
    smoothing: float,
    scale: float,
) -> Array:
    """The gradient scale gy (p sum_c q_c - q), (N, C, S); `gy` holds one number, or one for each row."""
    p = np.ascontiguousarray(p)
    flat = np.ascontiguousarray(labels, dtype=np.int64).reshape(-1)
    w = _weights(weight, p.shape[1])
    gx = empty_like(p)
    g = np.ascontiguousarray(gy, dtype=p.dtype).reshape(-1)
    _gradient(g, p, flat, w, gx, ignore_index, float(smoothing), float(scale), float(w.sum()))
    return gx


def label_distribution(
    labels: Array, weight: Array | None, classes: int, ignore_index: int, smoothing: float, dtype: object
) -> Array:
    """q, (N, C, S): what the probabilities of each row are compared with (dense; for second derivatives)."""
    one_hot = np.equal(labels[:, None, :], np.arange(classes).reshape(1, -1, 1))
    q = (1.0 - smoothing) * one_hot + smoothing / classes
    if weight is not None:
        q = q * weight.reshape(1, -1, 1)
    return (q * (labels != ignore_index)[:, None, :]).astype(dtype)
