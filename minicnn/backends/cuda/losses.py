"""Softmax cross-entropy with class labels on the GPU (``kernels/losses.cu``).

The sums over all rows come back to the host once for each forward pass, which waits for the device: the mean's weight
belongs to the graph, and a label out of range is an error at the call that got it, before it can spoil a weight.
PyTorch does not wait; there such a label ends the process's use of the GPU. Where kernels take longer than their
launches, the wait costs the latency of one launch a step: forward is done by then, and backward follows at once.
"""

import numpy as np

from minicnn.backends.cuda import seam
from minicnn.backends.cuda.softmax import row_threads
from minicnn.core.types import Array

_THREADS = 256  # ROW_THREADS of the kernels


def _mapping(classes: int, positions: int, rows: int) -> tuple[int, int]:
    """Threads for each row, and blocks."""
    width = row_threads(rows, classes, positions)
    return width, -(-rows * width // _THREADS)


def _weights(weight: Array | None) -> Array | None:
    """Class weights in float64, and behind them their sum."""
    if weight is None:
        return None
    xp, wide = seam.xp(), seam.contiguous(weight).astype(np.float64)
    return xp.concatenate([wide, xp.sum(wide, keepdims=True)])


def softmax_cross_entropy(
    z: Array, labels: Array, weight: Array | None, ignore_index: int, smoothing: float
) -> tuple[Array, Array, float, float, float, int]:
    """Per-row losses (N, S), probabilities (N, C, S), their sum, the sum of label weights, the mean, first bad row.

    The mean is NaN where the weights sum to 0. The first bad row is -1 if all labels are in range.
    """
    rows, classes, positions = labels.size, z.shape[1], z.shape[2]
    width, blocks = _mapping(classes, positions, rows)
    p, losses = seam.empty(z.shape, z.dtype), seam.empty(labels.shape, z.dtype)
    sums, bad, out = seam.empty((blocks, 2), np.float64), seam.empty(blocks, np.int64), seam.empty(4, np.float64)
    flat = seam.contiguous(labels).astype(np.int64, copy=False)
    seam.launch(
        "losses.softmax_cross_entropy", blocks, _THREADS, seam.contiguous(z), flat, _weights(weight), p, losses, sums,
        bad, rows, classes, positions, width, ignore_index, smoothing,
    )  # fmt: skip
    seam.launch("losses.add_blocks", 1, _THREADS, sums, bad, out, blocks, real=z.dtype)
    total, mass, mean, first = seam.runtime().to_host(out).tolist()
    return losses, p, total, mass, mean, int(first)


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
    rows, classes, positions = labels.size, p.shape[1], p.shape[2]
    width, blocks = _mapping(classes, positions, rows)
    gz, w = seam.empty(p.shape, p.dtype), _weights(weight)
    flat = seam.contiguous(labels).astype(np.int64, copy=False)
    upstream = seam.contiguous(gy).astype(p.dtype, copy=False)
    seam.launch(
        "losses.softmax_cross_entropy_grad", blocks, _THREADS, upstream, seam.contiguous(p), flat, w, gz,
        rows, classes, positions, width, gy.size, ignore_index, smoothing, scale,
    )  # fmt: skip
    return gz


def label_distribution(
    labels: Array, weight: Array | None, classes: int, ignore_index: int, smoothing: float, dtype: object
) -> Array:
    """q, (N, C, S): what the probabilities of each row are compared with (dense; for second derivatives)."""
    xp = seam.xp()
    one_hot = xp.equal(labels[:, None, :], xp.arange(classes).reshape(1, -1, 1))
    q = (1.0 - smoothing) * one_hot + smoothing / classes
    if weight is not None:
        q = q * weight.reshape(1, -1, 1)
    return (q * (labels != ignore_index)[:, None, :]).astype(dtype)
