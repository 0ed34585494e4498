"""The array namespace that ops see on the CPU: NumPy's names, with big arrays computed on all cores.

NumPy's ufuncs and reductions run on one thread. Above ``PARALLEL`` elements ours run block by block on all of
them (NumPy releases the GIL). Blocks have a fixed size, so results do not depend on the number of threads.
Everything not defined here is NumPy's own.
"""

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.backends.cpu import memory, threads

PARALLEL = 1 << 17  # elements from which waking a second thread pays
PARALLEL_LIGHT = 1 << 19  # the same where little is computed: one core reads and writes that many in 50 us
PARALLEL_PRODUCT = 1 << 18  # multiplications up to which OpenBLAS too uses one thread
LONG_SUM = 256  # rows from which a float32 sum over them is accumulated in float64
ROW = 32  # numbers of a row, and rows, from which a loop over rows pays
BLOCK = 1 << 16  # elements of one block: inputs and output of a binary operation stay in a 1 MB cache

Raw = NDArray[Any]


def _elementwise(ufunc: np.ufunc, least: int = PARALLEL_LIGHT) -> Callable[..., Any]:
    def call(*args: Any, out: Raw | None = None) -> Any:
        for a in args:
            if isinstance(a, np.ndarray) and a.size >= least:
                return _in_blocks(ufunc, args, out)
        return ufunc(*args) if out is None else ufunc(*args, out=out)

    call.__name__, call.__doc__ = ufunc.__name__, f"numpy.{ufunc.__name__} on all cores."
    return call


def _rows(length: int, size: int) -> int:
    """How many of ``length`` equal slices of an array of ``size`` elements make one block."""
    return builtins.max(1, BLOCK * length // size)


def _weak(a: Any) -> Any:
    """What decides the result's dtype: an array's dtype, or a Python number's type."""
    return a.dtype if isinstance(a, np.ndarray | np.generic) else type(a)


def _in_blocks(ufunc: np.ufunc, args: tuple[Any, ...], out: Raw | None) -> Raw:
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    shape = np.broadcast_shapes(*[a.shape for a in arrays])
    if out is None:
        out = memory.empty(shape, ufunc.resolve_dtypes((*map(_weak, args), None))[-1])
    if not out.size:
        return out
    same = all(a.shape == shape and a.flags.c_contiguous for a in arrays) and out.flags.c_contiguous
    if same:
        flat = [a.reshape(-1) if isinstance(a, np.ndarray) else a for a in args]
        target = out.reshape(-1)
        step = BLOCK
    else:
        lead = next((i for i, n in enumerate(shape) if n > 1), 0)
        flat = [np.moveaxis(np.broadcast_to(a, shape), lead, 0) if isinstance(a, np.ndarray) else a for a in args]
        target = np.moveaxis(out, lead, 0)
        step = _rows(shape[lead], out.size)
    count = -(-target.shape[0] // step)

    def block(i: int) -> None:
        part = slice(i * step, (i + 1) * step)
        ufunc(*[a[part] if isinstance(a, np.ndarray) else a for a in flat], out=target[part])

    threads.run(block, count)
    return out


_add = _elementwise(np.add)


def add(a: Any, b: Any, out: Raw | None = None) -> Any:
    """numpy.add on all cores; big arrays of one layout, such as two gradients, by a compiled loop."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.size >= PARALLEL and _alike(a, b, out):
        from minicnn.backends.cpu import sums

        return sums.add(a, b, out)
    return _add(a, b, out=out)


def _alike(a: Raw, b: Raw, out: Raw | None) -> bool:
    """Whether all are contiguous and of one shape and compiled dtype."""
    same = a.shape == b.shape and a.dtype == b.dtype and a.dtype.char in "fd" and a.flags.c_contiguous
    fits = out is None or (out.shape == a.shape and out.dtype == a.dtype and out.flags.c_contiguous)
    return same and b.flags.c_contiguous and fits


subtract = _elementwise(np.subtract)
multiply = _elementwise(np.multiply)
divide = _elementwise(np.divide)
negative = _elementwise(np.negative)
power = _elementwise(np.power, PARALLEL)
square = _elementwise(np.square)
sqrt = _elementwise(np.sqrt, PARALLEL)
reciprocal = _elementwise(np.reciprocal)
exp = _elementwise(np.exp, PARALLEL)
expm1 = _elementwise(np.expm1, PARALLEL)
log = _elementwise(np.log, PARALLEL)
log1p = _elementwise(np.log1p, PARALLEL)
sin = _elementwise(np.sin, PARALLEL)
cos = _elementwise(np.cos, PARALLEL)
tanh = _elementwise(np.tanh, PARALLEL)
abs = _elementwise(np.absolute)
absolute = abs
sign = _elementwise(np.sign)
maximum = _elementwise(np.maximum, PARALLEL)
minimum = _elementwise(np.minimum, PARALLEL)
logaddexp = _elementwise(np.logaddexp, PARALLEL)
equal = _elementwise(np.equal)
not_equal = _elementwise(np.not_equal)
less = _elementwise(np.less)
less_equal = _elementwise(np.less_equal)
greater = _elementwise(np.greater)
greater_equal = _elementwise(np.greater_equal)
logical_and = _elementwise(np.logical_and)
logical_or = _elementwise(np.logical_or)
logical_not = _elementwise(np.logical_not)
isnan = _elementwise(np.isnan)
isfinite = _elementwise(np.isfinite)


def array(source: Any, dtype: Any = None, **options: Any) -> Raw:
    """numpy.array; the plain copy of a large row-major array is aligned."""
    large = type(source) is np.ndarray and source.nbytes >= memory.LARGE and source.flags.c_contiguous
    if options or not large:
        return np.array(source, dtype=dtype, **options)
    out: Raw = memory.empty(source.shape, dtype or source.dtype)
    np.copyto(out, source, casting="unsafe")
    return out


def where(condition: Any, x: Any, y: Any) -> Any:
    """numpy.where; big arrays on all cores."""
    if isinstance(condition, np.ndarray) and condition.size >= PARALLEL:
        from minicnn.backends.cpu import selection

        return selection.where(condition, x, y)
    return np.where(condition, x, y)


def _reduction(ufunc: np.ufunc, name: str) -> Callable[..., Any]:
    def call(a: Raw, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
        if dtype is None and ufunc is np.add and a.dtype.kind in "bi":
            dtype = np.int64
        if ufunc is np.add and isinstance(axis, tuple) and a.size and a.flags.c_contiguous:
            run = _trailing(a.ndim, axis)
            if 0 < run < len(axis) < a.ndim:  # such as (0, 2, 3): pairwise over each map first, then over what is left
                maps = call(a.reshape(*a.shape[: a.ndim - run], -1), -1, False, dtype)
                left = tuple(x for x in (x % a.ndim for x in axis) if x < a.ndim - run)
                total = call(maps, left, keepdims, dtype)
                return total.reshape(*total.shape, *(1,) * run) if keepdims else total
        if ufunc is np.add and dtype is None and a.size >= PARALLEL and axis in (-1, a.ndim - 1) and _has_rows(a):
            from minicnn.backends.cpu import sums

            rows = sums.row_sums(a)
            return rows[..., None] if keepdims else rows
        if dtype is None and ufunc is np.add and _adds_rows(a, axis):
            return call(a, axis, keepdims, np.float64).astype(a.dtype)
        if a.size < PARALLEL or a.ndim == 0:
            return ufunc.reduce(a, axis=axis, keepdims=keepdims, dtype=dtype)
        return _reduce_blocks(ufunc, a, axis, keepdims, dtype)

    call.__name__, call.__doc__ = name, f"numpy.{name} on all cores."
    return call


def _has_rows(a: Raw) -> bool:
    """Whether `a` is many long rows, contiguous and of a compiled dtype."""
    return a.flags.c_contiguous and a.dtype.char in "fd" and a.shape[-1] >= ROW and a.size >= ROW * a.shape[-1]


def _trailing(ndim: int, axes: tuple[int, ...]) -> int:
    """How many of the last axes are all among ``axes``."""
    among = {x % ndim for x in axes}
    return next((i for i in range(ndim) if ndim - 1 - i not in among), ndim)


def _adds_rows(a: Raw, axis: Any) -> bool:
    """Whether a float32 sum would add row after row: NumPy adds pairwise along the last axis only."""
    if axis is None or a.dtype != np.float32 or a.ndim < 2:
        return False
    axes = {x % a.ndim for x in (axis if isinstance(axis, tuple | list) else (axis,))}
    count = 1
    for x in axes - {a.ndim - 1}:
        count *= a.shape[x]
    return count >= LONG_SUM


def _reduce_blocks(ufunc: np.ufunc, a: Raw, axis: Any, keepdims: bool, dtype: Any) -> Any:
    """Split the first long axis: kept, its parts are independent; reduced, their results are reduced in order."""
    axes = tuple(range(a.ndim)) if axis is None else tuple(x % a.ndim for x in np.atleast_1d(axis))
    shaped, lead, inner = a, next(i for i, n in enumerate(a.shape) if n > 1), axes
    if len(axes) == a.ndim and a.flags.c_contiguous:
        shaped, lead, inner = a.reshape(-1), 0, (0,)
    step = _rows(shaped.shape[lead], shaped.size)
    count = -(-shaped.shape[lead] // step)
    parts: list[Any] = [None] * count
    front = (slice(None),) * lead

    def block(i: int) -> None:
        piece = shaped[(*front, slice(i * step, (i + 1) * step))]
        parts[i] = ufunc.reduce(piece, axis=inner, keepdims=True, dtype=dtype)

    threads.run(block, count)
    joined = np.concatenate(parts, axis=lead)
    if lead in inner:
        joined = ufunc.reduce(joined, axis=lead, keepdims=True)
    kept = tuple(1 if i in axes else n for i, n in enumerate(a.shape))
    joined = joined.reshape(kept)
    return joined if keepdims else joined.reshape(tuple(n for i, n in enumerate(a.shape) if i not in axes))


sum = _reduction(np.add, "sum")
max = _reduction(np.maximum, "max")
min = _reduction(np.minimum, "min")
prod = _reduction(np.multiply, "prod")


def concatenate(arrays: Any, axis: int = 0) -> Raw:
    """numpy.concatenate; big arrays of one dtype copied on all cores."""
    parts = [np.asarray(a) for a in arrays]
    plain = len({(a.ndim, a.dtype) for a in parts}) == 1 and parts[0].ndim > 0
    if not plain or builtins.sum(a.size for a in parts) < PARALLEL:
        return np.concatenate(parts, axis=axis)
    axis %= parts[0].ndim
    frames = {(*a.shape[:axis], *a.shape[axis + 1 :]) for a in parts}
    if len(frames) > 1:
        return np.concatenate(parts, axis=axis)  # which says what does not fit
    length = builtins.sum(a.shape[axis] for a in parts)
    out: Raw = memory.empty((*parts[0].shape[:axis], length, *parts[0].shape[axis + 1 :]), parts[0].dtype)
    copies, start = [], 0
    for part in parts:
        stop = start + part.shape[axis]
        target = out[(*(slice(None),) * axis, slice(start, stop))]
        start = stop
        lead = next((i for i, n in enumerate(part.shape) if n > 1), 0)
        step = _rows(part.shape[lead], part.size) if part.size else 1
        for first in range(0, part.shape[lead], step):
            cut = (*(slice(None),) * lead, slice(first, first + step))
            copies.append((target[cut], part[cut]))

    def copy(i: int) -> None:
        np.copyto(*copies[i])

    threads.run(copy, len(copies))
    return out


def matmul(a: Raw, b: Raw) -> Any:
    """numpy.matmul; a large product of two matrices runs on the threads of our kernels."""
    plain = a.ndim == b.ndim == 2 and a.dtype == b.dtype and a.dtype.char in "fd" and a.shape[1] == b.shape[0]
    if not plain or a.shape[0] * b.shape[0] * b.shape[1] <= PARALLEL_PRODUCT:
        return np.matmul(a, b)
    from minicnn.backends.cpu import matrix

    return matrix.matmul(a, b)


def __getattr__(name: str) -> Any:
    return getattr(np, name)
