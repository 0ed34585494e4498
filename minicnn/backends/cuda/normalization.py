"""Normalisation by statistics over axes, its gradient, and scaling by statistics that are given.

Every norm is one computation on a view of five axes, ``(outer, repeats, groups, parts, run)``: statistics belong to
(repeats, groups), affine parameters to (groups, parts). The kernels (``kernels/normalization*.cu``) see it as
``(outer, rows, length)`` with ``repeats * groups`` rows and ``parts * run`` elements.
"""

from typing import Any, NamedTuple

import numpy as np

from minicnn.backends.cuda import seam
from minicnn.core.types import Array, Shape

TINY = 16  # lengths below this leave a warp's reads scattered, and are brought together by a copy
SLICE = 1 << 13  # elements of a row from which it may be cut, if there are too few rows to fill a device
ENOUGH = 512  # blocks that fill one
SLOTS = 128  # parts of the rows, at most, for the gradients of many weights
THREADS = 256
PACK = 16  # bytes that are read together where rows allow it
DEEP, DEEP_SINGLE = 4, 8  # packs, or single elements, that a thread has under way: DEEP of normalization.cuh


class _Rows(NamedTuple):
    """The view of one call."""

    rows: int
    outer: int
    length: int
    groups: int
    run: int
    moved: bool  # outer and length were joined by a transposed copy

    @property
    def elements(self) -> int:
        return self.outer * self.length

    @property
    def slices(self) -> int:
        """Into how many blocks' work a row is cut; by sizes alone, so that a result depends on nothing else."""
        return max(1, min(-(-ENOUGH // self.rows), self.elements // SLICE))

    def lanes(self, item: int) -> int:
        """Elements of so many bytes that are read together, as ``in_packs`` of the kernels has it."""
        most = PACK // item
        return most if self.length % most == 0 and (self.run == 1 or self.run % most == 0) else 1

    def launch(self, item: int) -> tuple[bool, int]:
        """Whether a block holds a row of such elements in registers, and the threads of a block."""
        lanes = self.lanes(item)
        packs, deep = self.elements // lanes, DEEP if lanes > 1 else DEEP_SINGLE
        held = packs <= THREADS * deep
        each = deep if held and self.rows >= ENOUGH else 1  # few rows: as many threads as there are packs
        return held, max(32, min(THREADS, _power(-(-packs // (self.slices * each)))))

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.rows, self.outer, self.length


def _power(n: int) -> int:
    """The least power of two that is not below n."""
    return 1 << max(n - 1, 0).bit_length()


def _rows(view: Shape) -> _Rows:
    outer, repeats, groups, parts, run = view
    if outer > 1 and parts * run < TINY:
        return _Rows(repeats * groups, 1, outer * run, groups, outer * run, True)
    return _Rows(repeats * groups, outer, parts * run, groups, run, False)


def _laid(x: Array, view: Shape, seen: _Rows) -> Array:
    """``x`` contiguous, as the kernels see it."""
    if not seen.moved:
        return seam.contiguous(x)
    return seam.contiguous(x.reshape(view[0], seen.rows, view[4]).transpose(1, 0, 2))


def _back(y: Array, view: Shape, seen: _Rows, shape: Shape) -> Array:
    """Undo :func:`_laid`."""
    if seen.moved:
        y = seam.contiguous(y.reshape(seen.rows, view[0], view[4]).transpose(1, 0, 2))
    return y.reshape(shape)


def _parameter(value: Array | None, dtype: Any) -> Array | None:
    return None if value is None else seam.contiguous(value).astype(dtype, copy=False)


def normalize(
    x: Array, weight: Array | None, bias: Array | None, view: Shape, eps: float
) -> tuple[Array, Array, Array]:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` with its mean and biased variance, one per row."""
    xp, seen = seam.xp(), _rows(view)
    if not x.size:
        return xp.empty_like(x), xp.zeros(seen.rows, x.dtype), xp.ones(seen.rows, x.dtype)
    mean, var = seam.empty(seen.rows, x.dtype), seam.empty(seen.rows, x.dtype)
    source, scale, shift = _laid(x, view, seen), _parameter(weight, x.dtype), _parameter(bias, x.dtype)
    y, slices = seam.empty(x.shape, x.dtype), seen.slices
    (held, threads), grid = seen.launch(x.dtype.itemsize), (seen.rows, slices)
    if slices == 1:
        name = "normalization.normalize_held" if held else "normalization.normalize"
        seam.launch(name, grid, threads, source, scale, shift, y, mean, var, *seen.sizes, seen.groups, seen.run, eps)
    else:
        found = seam.empty((slices, seen.rows, 3), np.float64)
        seam.launch("normalization.row_statistics", grid, threads, source, found, *seen.sizes, seen.run, slices)
        arrays, last = (source, scale, shift, found, y, mean, var), (slices, seen.groups, seen.run, eps)
        seam.launch("normalization.row_normalize", grid, threads, *arrays, *seen.sizes, *last)
    return _back(y, view, seen, x.shape), mean, var


def normalize_1(
    x: Array, weight: Array | None, bias: Array | None, view: Shape, eps: float
) -> tuple[Array, Array, Array]:
    """:func:`normalize` one element at a time, one block for each row."""
    outer, repeats, groups, parts, run = view
    rows, parameters = repeats * groups, (_parameter(weight, x.dtype), _parameter(bias, x.dtype))
    y, mean, var = seam.empty(x.shape, x.dtype), seam.empty(rows, x.dtype), seam.empty(rows, x.dtype)
    arrays, sizes = (seam.contiguous(x), *parameters, y, mean, var), (rows, outer, parts * run, groups, run, eps)
    seam.launch("normalization.normalize_1", rows if x.size else 0, THREADS, *arrays, *sizes)
    return y, mean, var


def normalize_grad(
    gy: Array, x: Array, weight: Array | None, mean: Array, var: Array, view: Shape, eps: float
) -> tuple[Array, Array, Array]:
    """Gradients for x (mean and variance depend on it), weight and bias; the last two as (groups, parts)."""
    xp, seen = seam.xp(), _rows(view)
    if not x.size:
        return xp.empty_like(x), xp.zeros(view[2:4], x.dtype), xp.zeros(view[2:4], x.dtype)
    gx, slices, last = seam.empty(x.shape, x.dtype), seen.slices, (seen.groups, seen.run, eps)
    inputs = _laid(gy, view, seen), _laid(x, view, seen), _parameter(weight, x.dtype)
    given = seam.contiguous(mean), seam.contiguous(var)
    sums, scales = seam.empty((slices, seen.rows, 2), np.float64), seam.empty(seen.rows, np.float64)
    (held, threads), grid = seen.launch(x.dtype.itemsize), (seen.rows, slices)
    if slices == 1:
        name = "normalization_grad.normalize_grad_held" if held else "normalization_grad.normalize_grad"
        seam.launch(name, grid, threads, *inputs, *given, gx, sums, scales, *seen.sizes, *last)
    else:
        arrays, sizes = (*inputs, *given, sums), (*seen.sizes, slices, *last)
        seam.launch("normalization_grad.gradient_sums", grid, threads, *arrays, scales, *sizes)
        seam.launch("normalization_grad.gradient_apply", grid, threads, *arrays, gx, *sizes)
    if view[0] * view[3] * view[4] == 1:  # a number that is its own mean has no gradient, and rounding gives it none
        gx *= 0
    slots = slices * view[1]  # rows of one group follow each other with all groups between them
    if view[3] > 1:
        sums, slots = _parameter_sums(inputs[0], inputs[1], given[0], scales, view)
    gweight, gbias = seam.empty(view[2:4], x.dtype), seam.empty(view[2:4], x.dtype)
    seam.elementwise("normalization_grad.add_slots", gweight.size, sums, gweight, gbias, slots, gweight.size)
    return _back(gx, view, seen, x.shape), gweight, gbias


def normalize_grad_1(
    gy: Array, x: Array, weight: Array | None, mean: Array, var: Array, view: Shape, eps: float
) -> Array:
    """The first of what :func:`normalize_grad` gives, one element at a time, one block for each row."""
    outer, repeats, groups, parts, run = view
    rows, gx = repeats * groups, seam.empty(x.shape, x.dtype)
    inputs = (seam.contiguous(a) for a in (gy, x)), (seam.contiguous(a) for a in (mean, var))
    scratch = seam.empty((rows, 2), np.float64), seam.empty(rows, np.float64)
    arrays = *inputs[0], _parameter(weight, x.dtype), *inputs[1], gx, *scratch
    sizes = rows, outer, parts * run, groups, run, eps
    seam.launch("normalization_grad.normalize_grad_1", rows if x.size else 0, THREADS, *arrays, *sizes)
    return gx


def _parameter_sums(gy: Array, x: Array, mean: Array, scales: Array, view: Shape) -> tuple[Array, int]:
    """Sums of gy and gy x^ for each of several weights in a row, in how many parts."""
    _, repeats, groups, parts, run = view
    blocks = groups * parts if run > 1 else -(-groups * parts // THREADS)
    slots = max(1, min(SLOTS, repeats if run > 1 else repeats // 16, -(-ENOUGH // blocks)))
    sums, arrays = seam.empty((slots, groups, parts, 2), np.float64), (gy, x, mean, scales)
    if run > 1:
        threads = max(32, min(THREADS, _power(run * x.dtype.itemsize // PACK)))
        grid, sizes = (blocks, slots), (repeats, groups, parts, run)
        seam.launch("normalization_grad.parameter_sums", grid, threads, *arrays, sums, *sizes)
    else:
        seam.launch("normalization_grad.column_sums", (blocks, slots), THREADS, *arrays, sums, repeats, groups, parts)
    return sums, slots


def scale_shift(x: Array, scale: Array, shift: Array, view: Shape) -> Array:
    """``x * scale + shift`` with one pair per row: normalisation by statistics that are given."""
    outer, repeats, groups, parts, run = view
    y = seam.empty(x.shape, x.dtype)
    lines, rows, length = outer * repeats * groups, repeats * groups, parts * run
    if x.size:
        most = PACK // x.dtype.itemsize
        packs = length // most if length % most == 0 else length
        across = min(THREADS, _power(packs))
        grid = -(-lines * across // THREADS), min(-(-packs // (DEEP * across)), 65535)
        arrays = seam.contiguous(x), seam.contiguous(scale), seam.contiguous(shift), y
        seam.launch("normalization.scale_shift", grid, (across, THREADS // across), *arrays, lines, rows, length)
    return y
