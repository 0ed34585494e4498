"""Which inputs each output of a resized axis reads, and with what weights; every backend's ``resample`` applies them.

Resizing is linear and separable: along each axis it is a sparse matrix, made here on the host from two sizes and the
options, and its adjoint is the same matrix transposed.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from minicnn.core.types import Array


class Taps(NamedTuple):
    """A sparse matrix by rows: output ``o`` reads ``index[first[o] : first[o + 1]]`` with those weights."""

    first: Any
    index: Any
    weight: Any
    each: int  # taps per output where all have the same number, else 0


def _step(n: int, out: int, align_corners: bool, scale: float | None) -> float:
    """Input pixels per output pixel."""
    if align_corners:
        return (n - 1) / (out - 1) if out > 1 else 0.0
    return 1.0 / scale if scale else n / out


def _nearest(n: int, out: int, shift: float, scale: float | None) -> tuple[Array, Array]:
    if shift == 0 and out in (n, 2 * n):  # as PyTorch: plain copies, whatever factor led to these sizes
        return (np.arange(out) // (out // n))[:, None], np.ones((out, 1))
    # in float32 whatever the dtype, because PyTorch rounds so on images
    at = (np.arange(out, dtype=np.float32) + np.float32(shift)) * np.float32(_step(n, out, False, scale))
    index = np.minimum(np.floor(at).astype(np.int64), n - 1)
    return index[:, None], np.ones((out, 1))


def _cubic(t: Array, a: float) -> Array:
    """Keys' kernel: |t| below 2, slope ``a`` at 1."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((t - 5) * t + 8) * t * a - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def _interpolating(n: int, out: int, cubic: bool, align_corners: bool, scale: float | None) -> tuple[Array, Array]:
    o, step = np.arange(out), _step(n, out, align_corners, scale)
    at = o * step if align_corners else (o + 0.5) * step - 0.5
    if cubic:
        base = np.floor(at)
        reach = np.arange(-1, 3)
        weight = _cubic((at - base)[:, None] - reach, -0.75)
        return np.clip(base[:, None].astype(np.int64) + reach, 0, n - 1), weight
    at = np.maximum(at, 0.0) if out != n else o.astype(np.float64)  # equal sizes are copied, as in PyTorch
    low = np.minimum(at.astype(np.int64), n - 1)
    part = np.clip(at - low, 0.0, 1.0)
    return np.stack([low, np.minimum(low + 1, n - 1)], 1), np.stack([1 - part, part], 1)


def _antialiased(n: int, out: int, cubic: bool, align_corners: bool, scale: float | None) -> tuple[Array, Array]:
    """The kernel widened by the step when shrinking, cut at the border and normalised."""
    step = _step(n, out, align_corners, scale)
    width = max(step, 1.0)
    reach = (2.0 if cubic else 1.0) * width
    centre = (np.arange(out) + 0.5) * step
    low = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    high = np.minimum((centre + reach + 0.5).astype(np.int64), n)
    index = low[:, None] + np.arange(int((high - low).max()))
    t = (index - centre[:, None] + 0.5) / width
    weight = _cubic(t, -0.5) if cubic else np.maximum(1 - np.abs(t), 0.0)
    weight = np.where(index < high[:, None], weight, 0.0)
    return np.minimum(index, n - 1), weight / weight.sum(1, keepdims=True)


@lru_cache(maxsize=256)
def taps(
    n: int, out: int, mode: str, align_corners: bool, scale: float | None, antialias: bool, transposed: bool, dtype: str
) -> Taps:
    """The taps that lead from ``n`` pixels to ``out``, or their transpose."""
    if mode.startswith("nearest"):
        index, weight = _nearest(n, out, 0.5 if mode == "nearest-exact" else 0.0, scale)
    else:
        build = _antialiased if antialias else _interpolating
        index, weight = build(n, out, mode == "bicubic", align_corners, scale)
    reads, counts = index.reshape(-1), np.full(out, index.shape[1])
    writes, weights = np.repeat(np.arange(out), counts), weight.reshape(-1)
    if transposed:
        order = np.argsort(reads, kind="stable")
        reads, writes, weights = writes[order], reads[order], weights[order]
        counts = np.bincount(writes, minlength=n)
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    each = int(counts[0]) if (counts == counts[0]).all() else 0
    return Taps(first, np.ascontiguousarray(reads), np.ascontiguousarray(weights, dtype=dtype), each)
