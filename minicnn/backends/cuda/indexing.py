"""Adding at indices, where one place may be named many times (``kernels/indexing.cu``).

Deterministic: floats are sorted by place and summed run by run in ``acc``. ``add_rows_atomic`` is the faster variant
that is not. The cost of the deterministic one is that of the sort: 16 bytes of index and order for each row.
"""

from math import prod
from typing import Any

import numpy as np

from minicnn.backends.cuda import seam
from minicnn.core.dtypes import is_float
from minicnn.core.types import Array, Shape

_THREADS = 256
_COLUMNS = 32  # neighbours that read neighbours
_RUN = 16  # rows of a run that one thread may add alone


def add_flat(values: Array, index: Array, size: int) -> Array:
    """(size,) zeros with each value added at its index."""
    if is_float(values.dtype):
        return add_rows(values.reshape(-1, 1), index.reshape(-1), size).reshape(size)
    out = seam.xp().zeros(size, np.int64)
    args = (*(seam.contiguous(a).astype(np.int64, copy=False) for a in (values, index)), out, values.size)
    seam.elementwise("indexing.add_integers", values.size, *args)
    return out.astype(values.dtype)


def add_rows_atomic(rows: Array, index: Array, size: int) -> Array:
    """:func:`add_rows` for floats without the sort, in an order that changes from run to run."""
    out = seam.xp().zeros((size, rows.shape[1]), rows.dtype)
    places = seam.contiguous(index).astype(np.int64, copy=False)
    args = seam.contiguous(rows), places, out, rows.shape[1], rows.size
    seam.elementwise("indexing.add_rows_atomic", rows.size, *args)
    return out


@seam.or_atomic(add_rows_atomic)
def add_rows(rows: Array, index: Array, size: int) -> Array:
    """(size, d) zeros with rows (m, d) added at index (m,): sorted, then summed run by run; negative ones dropped."""
    width = rows.shape[1]
    if not is_float(rows.dtype):
        flat = index[:, None].astype(np.int64) * width + seam.xp().arange(width)
        return add_flat(rows, flat, size * width).reshape(size, width)
    out = seam.empty((size, width), rows.dtype)
    if out.size:
        order, first, stop = runs(index, size)
        columns = min(_COLUMNS, _power_of_two(width))
        lanes = min(_THREADS // columns, _power_of_two(-(-len(index) // size // _RUN)))
        grid = -(-size * columns * lanes // _THREADS) * -(-width // columns)
        args = seam.contiguous(rows), order, first, stop, out, columns, lanes, width, size
        seam.launch("indexing.add_runs", grid, _THREADS, *args)
    return out


def runs(index: Array, size: int) -> tuple[Array, Array, Array]:
    """An order in which equal indices stand together, and where in it the run of each of ``size`` places lies."""
    xp = seam.xp()
    index = index.astype(np.int64, copy=False)
    order = xp.argsort(index, kind="stable") if index.size else index
    first, stop = xp.zeros(size, np.int64), xp.zeros(size, np.int64)
    seam.elementwise("indexing.runs", index.size, seam.contiguous(index[order]), first, stop, index.size)
    return order, first, stop


def _power_of_two(n: int) -> int:
    """The least one that is not below ``n``."""
    return 1 << max(n - 1, 0).bit_length()


def add_slices(x: Array, index: Array, axis: int, size: int) -> Array:
    """Zeros of length ``size`` on ``axis``, with the slices of ``x`` added at their index."""
    front = seam.xp().moveaxis(x, axis, 0)
    rest = front.shape[1:]
    out = add_rows(front.reshape(len(index), prod(rest)), index, size)
    return seam.contiguous(seam.xp().moveaxis(out.reshape(size, *rest), 0, axis))


def add_along(x: Array, index: Array, axis: int, shape: Shape) -> Array:
    """Zeros of a shape, with ``x`` added at ``index`` along ``axis`` (NumPy's ``put_along_axis``, but adding)."""
    xp = seam.xp()
    flat, stride = xp.zeros(index.shape, np.int64), 1
    for dim in reversed(range(len(shape))):
        place = index if dim == axis else xp.arange(index.shape[dim]).reshape((-1,) + (1,) * (index.ndim - dim - 1))
        flat = flat + place * stride
        stride *= shape[dim]
    return add_flat(x, flat, prod(shape)).reshape(shape)


def add_at(out: Array, index: Any, values: Array) -> None:
    """``out[index] += values``, in place, repeated places included."""
    xp = seam.xp()
    parts = index if isinstance(index, tuple) else (index,)
    if not all(hasattr(p, "dtype") and p.dtype.kind != "b" for p in parts):  # slices between: ask where each value goes
        places = xp.arange(out.size).reshape(out.shape)[index]
        out += add_flat(values, places, out.size).reshape(out.shape)
        return
    lead = out.shape[: len(parts)]
    place: Any = 0
    for p, n in zip(parts, lead, strict=True):
        place = place * n + xp.where(p < 0, p + n, p)
    width = prod(out.shape[len(parts) :])
    rows = values.reshape(place.size, width)
    out += add_rows(rows, place.reshape(-1), prod(lead)).reshape(out.shape)
