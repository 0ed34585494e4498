"""Normalisation by statistics over axes, its gradient, and scaling by statistics that are given.

Every norm is one computation on a view of five axes, ``(outer, repeats, groups, parts, run)``: statistics belong to
(repeats, groups), affine parameters to (groups, parts). The kernels (``kernels/normalization.cu``) see it as
``(outer, rows, length)`` with ``repeats * groups`` rows and ``parts * run`` elements.
"""

from typing import Any, NamedTuple

import numpy as np

from minicnn.backends.cuda import seam
from minicnn.core.types import Array, Shape

TINY = 16  # lengths below this leave a warp's reads scattered, and are brought together by a copy
SLICE = 1 << 13  # elements of a row from which it may be cut, if there are too few rows to fill a device
ENOUGH = 512  # blocks that fill one
SLOTS = 64  # parts of the rows, at most, for the gradients of many weights
THREADS = 256


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

    @property
    def threads(self) -> int:
        """Of a block: enough for a slice."""
        return max(32, min(THREADS, _power(self.elements // self.slices)))

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
    y, slices, last = seam.empty(x.shape, x.dtype), seen.slices, (seen.groups, seen.run, eps)
    grid = seen.rows, slices
    if slices == 1:
        seam.launch(
            "normalization.normalize", grid, seen.threads, source, scale, shift, y, mean, var, *seen.sizes, *last
        )
    else:
        found = seam.empty((slices, seen.rows, 3), np.float64)
        seam.launch("normalization.row_statistics", grid, seen.threads, source, found, *seen.sizes, slices)
        arrays = source, scale, shift, found, y, mean, var
        seam.launch("normalization.row_normalize", grid, seen.threads, *arrays, *seen.sizes, slices, *last)
    return _back(y, view, seen, x.shape), mean, var


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
    sums, grid = seam.empty((slices, seen.rows, 2), np.float64), (seen.rows, slices)
    if slices == 1:
        seam.launch("normalization.normalize_grad", grid, seen.threads, *inputs, *given, gx, sums, *seen.sizes, *last)
    else:
        arrays, sizes = (*inputs, *given, sums), (*seen.sizes, slices, *last)
        seam.launch("normalization.gradient_sums", grid, seen.threads, *arrays, *sizes)
        seam.launch("normalization.gradient_apply", grid, seen.threads, *arrays, gx, *sizes)
    if view[0] * view[3] * view[4] == 1:  # a number that is its own mean has no gradient, and rounding gives it none
        gx *= 0
    slots = slices * view[1]  # rows of one group follow each other with all groups between them
    if view[3] > 1:
        sums, slots = _parameter_sums(inputs[0], inputs[1], given, view, eps)
    gweight, gbias = seam.empty(view[2:4], x.dtype), seam.empty(view[2:4], x.dtype)
    seam.elementwise("normalization.add_slots", gweight.size, sums, gweight, gbias, slots, gweight.size)
    return _back(gx, view, seen, x.shape), gweight, gbias


def _parameter_sums(gy: Array, x: Array, given: tuple[Array, Array], view: Shape, eps: float) -> tuple[Array, int]:
    """Sums of gy and gy x^ for each of several weights in a row, in how many parts."""
    _, repeats, groups, parts, run = view
    if run > 1:
        sums = seam.empty((groups, parts, 2), np.float64)
        threads = max(32, min(THREADS, _power(run)))
        sizes = repeats, groups, parts, run, eps
        seam.launch("normalization.parameter_sums", groups * parts, threads, gy, x, *given, sums, *sizes)
        return sums, 1
    blocks = -(-groups * parts // THREADS)
    slots = max(1, min(SLOTS, repeats // 16, -(-ENOUGH // blocks)))
    sums = seam.empty((slots, groups, parts, 2), np.float64)
    grid = blocks, slots
    seam.launch("normalization.column_sums", grid, THREADS, gy, x, *given, sums, repeats, groups, parts, eps)
    return sums, slots


def scale_shift(x: Array, scale: Array, shift: Array, view: Shape) -> Array:
    """``x * scale + shift`` with one pair per row: normalisation by statistics that are given."""
    outer, repeats, groups, parts, run = view
    y = seam.empty(x.shape, x.dtype)
    lines, rows, length = outer * repeats * groups, repeats * groups, parts * run
    if x.size:
        across = min(THREADS, _power(length))
        grid = -(-lines * across // THREADS), min(-(-length // (16 * across)), 65535)
        arrays = seam.contiguous(x), seam.contiguous(scale), seam.contiguous(shift), y
        seam.launch("normalization.scale_shift", grid, (across, THREADS // across), *arrays, lines, rows, length)
    return y
