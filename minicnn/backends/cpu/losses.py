"""Softmax cross-entropy with class labels: one pass that gives losses and probabilities, one for the gradient.

Logits are (N, C, S) with S positions per sample; a row is one (n, s). The weight of class c in the target of a
row with label y is q_c = (1 - smoothing) w_c [c = y] + smoothing / C w_c, and 0 where the label is ignored; the
loss of the row is sum_c q_c (log sum exp z - z_c). Rows are summed in float64 over blocks of fixed size.
"""

import math

import numpy as np

from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.core.types import Array

_POSITIONS = 256  # positions of one block: a strip of each class's plane, so that memory is read in order
_SAMPLES = 128  # samples of one block where each has a single position


@inline
def _exp(x):  # type: ignore[no-untyped-def]
    """exp(x) for x <= 0 in float64, to one unit in the last place: 2^k by its bits, the rest by Taylor's series.

    numba calls the C library once per element for math.exp; this is vectorised and six times as fast.
    """
    x = np.float64(x)
    t = max(x, -708.0)
    k = math.floor(t * 1.4426950408889634 + 0.5)
    r = t - k * 6.93145751953125e-1 - k * 1.42860682030941723212e-6  # x - k ln 2, with ln 2 in two parts
    e = 1.0 / 6227020800.0
    e = e * r + 1.0 / 479001600.0
    e = e * r + 1.0 / 39916800.0
    e = e * r + 1.0 / 3628800.0
    e = e * r + 1.0 / 362880.0
    e = e * r + 1.0 / 40320.0
    e = e * r + 1.0 / 5040.0
    e = e * r + 1.0 / 720.0
    e = e * r + 1.0 / 120.0
    e = e * r + 1.0 / 24.0
    e = e * r + 1.0 / 6.0
    e = e * r + 0.5
    e = e * r + 1.0
    e = e * r + 1.0
    power = np.int64((np.int64(k) + np.int64(1023)) << np.int64(52)).view(np.float64)
    return e * power if x >= -708.0 else (0.0 if x < -708.0 else x)  # the last is NaN


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


def _weights(weight: Array | None, classes: int) -> Array:
    """Class weights in float64, ones where there are none."""
    return np.ones(classes) if weight is None else np.ascontiguousarray(weight, dtype=np.float64)


@inline
def _softmax_rows(z, p, top, norm):  # type: ignore[no-untyped-def]
    """Probabilities of each row; maxima and sums of exponentials. One loop of exponentials over all rows."""
    for n in range(z.shape[0]):
        best = z[n, 0]
        for c in range(1, z.shape[1]):
            if z[n, c] > best or z[n, c] != z[n, c]:
                best = z[n, c]
        top[n] = best
        for c in range(z.shape[1]):
            p[n, c] = z[n, c] - best
    flat = p.reshape(-1)
    for i in range(flat.size):
        flat[i] = _exp(flat[i])
    for n in range(z.shape[0]):
        total = 0.0
        for c in range(z.shape[1]):
            total += p[n, c]
        norm[n] = total
        for c in range(z.shape[1]):
            p[n, c] /= total


@inline
def _softmax_strip(z, p, top, norm, s0, s1):  # type: ignore[no-untyped-def]
    """Probabilities over the first axis at positions s0..s1-1; maxima and sums of exponentials there.

    Rows are cut as z[c][s0:s1], which numba knows to be contiguous (z[:, s0:s1][c] would not be vectorised).
    """
    for i in range(top.size):  # (a slice assignment would compile NumPy's broadcasting and its error messages)
        top[i], norm[i] = z[0, s0 + i], 0.0
    for c in range(1, z.shape[0]):
        x = z[c][s0:s1]
        for i in range(x.size):
            if x[i] > top[i] or x[i] != x[i]:
                top[i] = x[i]
    for c in range(z.shape[0]):
        x, y = z[c][s0:s1], p[c][s0:s1]
        for i in range(x.size):
            y[i] = _exp(x[i] - top[i])
        for i in range(x.size):
            norm[i] += y[i]
    for c in range(z.shape[0]):
        y = p[c][s0:s1]
        for i in range(y.size):
            y[i] /= norm[i]


@inline
def _row_loss(z, w, n, y, s, top, norm, smoothing, weight_sum):  # type: ignore[no-untyped-def]
    log_norm = math.log(norm)
    loss = w[y] * (log_norm - (z[n, y, s] - top))
    if smoothing > 0:
        spread = log_norm * weight_sum
        for c in range(z.shape[1]):
            spread -= w[c] * (z[n, c, s] - top)
        loss = (1.0 - smoothing) * loss + smoothing / z.shape[1] * spread
    return loss


@inline
def _forward_block(  # type: ignore[no-untyped-def]
    z, labels, w, p, losses, sums, block, ignore, smoothing, weight_sum
):
    """One block's losses and probabilities; its total loss, total weight and first bad row go to `sums`."""
    classes, positions = z.shape[1], z.shape[2]
    n0, n1, s0, s1 = _cut(block, z.shape[0], positions)
    count = (n1 - n0) * (s1 - s0)  # several samples, or several positions of one
    top, norm = np.empty(count, z.dtype), np.empty(count, np.float64)
    if positions == 1:
        _softmax_rows(z[n0:n1].reshape(count, classes), p[n0:n1].reshape(count, classes), top, norm)
    else:
        _softmax_strip(z[n0], p[n0], top, norm, s0, s1)
    total, mass, bad = 0.0, 0.0, -1
    first = n0 * positions + s0
    for i in range(count):
        row = first + i
        y = labels[row]
        loss = 0.0
        if y != ignore:
            if 0 <= y < classes:
                n, s = row // positions, row % positions
                loss = _row_loss(z, w, n, y, s, top[i], norm[i], smoothing, weight_sum)
                mass += w[y]
            elif bad < 0:
                bad = row
        losses[row] = loss
        total += loss
    sums[0], sums[1], sums[2] = total, mass, bad


@kernel
def _forward(z, labels, w, p, losses, ignore, smoothing, weight_sum):  # type: ignore[no-untyped-def]
    blocks = _count(z.shape[0], z.shape[2])
    sums = np.empty((blocks, 3))  # np.zeros would be a parallel loop of its own
    if blocks == 1:
        _forward_block(z, labels, w, p, losses, sums[0], 0, ignore, smoothing, weight_sum)
    else:
        for b in prange(blocks):
            _forward_block(z, labels, w, p, losses, sums[b], b, ignore, smoothing, weight_sum)
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
    p, losses = np.empty_like(z), np.empty(labels.shape, z.dtype)
    rows = losses.reshape(-1)
    total, mass, mean, bad = _forward(z, flat, w, p, rows, ignore_index, float(smoothing), float(w.sum()))
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
            for i in range(count):
                out[i] = mass[i] * strip[i] - g[i] * share * w[c]
    for i in range(count):
        y = labels[first + i]
        if y != ignore:
            gx[(first + i) // positions, y, (first + i) % positions] -= g[i] * (1.0 - smoothing) * w[y]


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
    gx = np.empty_like(p)
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
