"""Adding at indices, where one place may be named many times. Deterministic: the order of addition is fixed."""

from math import prod
from typing import Any

import numpy as np

from minicnn.core.types import Array, Shape


def add_flat(values: Array, index: Array, size: int) -> Array:
    """(size,) zeros with each value added at its index; floats add up in float64."""
    if values.dtype.kind == "f":
        return np.bincount(index.reshape(-1), values.reshape(-1), size).astype(values.dtype, copy=False)
    out = np.zeros(size, values.dtype)
    np.add.at(out, index.reshape(-1), values.reshape(-1))
    return out


def add_rows(rows: Array, index: Array, size: int) -> Array:
    """(size, d) zeros with rows (m, d) added at index (m,): sorted, then summed run by run."""
    if rows.shape[1] == 1:
        return add_flat(rows, index, size).reshape(size, 1)
    out = np.zeros((size, rows.shape[1]), rows.dtype)
    if len(index):
        order = np.argsort(index, kind="stable")
        sorted_index = index[order]
        starts = np.flatnonzero(np.r_[True, sorted_index[1:] != sorted_index[:-1]])
        out[sorted_index[starts]] = np.add.reduceat(rows[order], starts, axis=0, dtype=rows.dtype)
    return out


def add_slices(x: Array, index: Array, axis: int, size: int) -> Array:
    """Zeros of length ``size`` on ``axis``, with the slices of ``x`` added at their index."""
    front = np.moveaxis(x, axis, 0)
    rest = front.shape[1:]
    out = add_rows(front.reshape(len(index), prod(rest)), index, size)
    return np.ascontiguousarray(np.moveaxis(out.reshape(size, *rest), 0, axis))


def add_along(x: Array, index: Array, axis: int, shape: Shape) -> Array:
    """Zeros of a shape, with ``x`` added at ``index`` along ``axis`` (NumPy's ``put_along_axis``, but adding)."""
    flat: Any = 0
    stride = 1
    for dim in reversed(range(len(shape))):
        place = index if dim == axis else np.arange(index.shape[dim]).reshape((-1,) + (1,) * (index.ndim - dim - 1))
        flat = flat + place * stride
        stride *= shape[dim]
    return add_flat(x, np.broadcast_to(flat, index.shape), prod(shape)).reshape(shape)


def add_at(out: Array, index: Any, values: Array) -> None:
    """``out[index] += values``, in place, repeated places included."""
    parts = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(p, np.ndarray) and p.dtype.kind != "b" for p in parts):
        np.add.at(out, index, values)
        return
    lead = out.shape[: len(parts)]
    place: Any = 0
    for p, n in zip(parts, lead, strict=True):
        place = place * n + np.where(p < 0, p + n, p)
    width = prod(out.shape[len(parts) :])
    rows = values.reshape(place.size, width)
    out += add_rows(rows, place.reshape(-1), prod(lead)).reshape(out.shape)
