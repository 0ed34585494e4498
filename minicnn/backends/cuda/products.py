"""Batches of matrix products in cuBLAS's terms: letters, leading dimensions, strides.

cuBLAS reads memory column by column. What a row-major C (m, n) fills is, so read, C.T (n, m), and C.T = B.T A.T: it is
given the operands exchanged. An operand that lies by rows is already B.T or A.T to it (letter N), one that lies by
columns must be transposed (letter T), so neither is copied. An operand that a batch shares has a stride of 0.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from minicnn.core.types import Array, Shape


class Matrices(NamedTuple):
    """Column-major matrices in the memory of an array; numbers count its elements."""

    array: Array
    transposed: bool
    leading: int  # from one column to the next
    offset: int = 0  # from the array's first element to the first matrix
    stride: int = 0  # from one matrix to the next


class Product(NamedTuple):
    """``c (m, n) = a (m, k) b (k, n)``, or ``c += a b``, for a batch, where a and b are transposed if they say so.

    ``exact``: factors of float32 are not rounded to TF32 though it be asked for.
    """

    m: int
    n: int
    k: int
    a: Matrices
    b: Matrices
    c: Matrices
    batch: int
    add: bool
    exact: bool


def products(left: Array, right: Array, out: Array, add: bool, exact: bool) -> Iterator[Product]:
    """The calls that make ``out (..., m, n)`` of ``left (..., m, k) @ right (..., k, n)``: one, where strides allow.

    ``out`` is contiguous; the leading axes of the others broadcast to its own.
    """
    sizes = out.shape[:-2]
    lefts, rights = _matrices(left), _matrices(right)
    steps = [_steps(x, sizes) for x in (rights.array, lefts.array, out)]
    axes = _joined(sizes, steps)
    most = max(range(len(axes)), key=lambda i: axes[i][0], default=-1)
    batch, strides = axes.pop(most) if axes else (1, (0, 0, 0))
    (m, n), k = out.shape[-2:], left.shape[-1]
    for index in product(*(range(size) for size, _ in axes)):
        offsets = [sum(i * step[x] for i, (_, step) in zip(index, axes, strict=True)) for x in range(3)]
        a, b, c = (
            each._replace(offset=offset, stride=stride)
            for each, offset, stride in zip((rights, lefts, Matrices(out, False, n)), offsets, strides, strict=True)
        )
        yield Product(n, m, k, a, b, c, batch, add, exact)


def _matrices(x: Array) -> Matrices:
    """The matrices of the last two axes, copied where they lie neither by rows nor by columns."""
    rows, columns = x.shape[-2:]
    down, across = (stride // x.itemsize for stride in x.strides[-2:])
    if min(x.strides[:-2], default=0) >= 0:
        if (columns == 1 or across == 1) and (rows == 1 or down >= columns):
            return Matrices(x, False, columns if rows == 1 else down)
        if (rows == 1 or down == 1) and (columns == 1 or across >= rows):
            return Matrices(x, True, rows if columns == 1 else across)
    return Matrices(x.copy(), False, columns)


def _steps(x: Array, sizes: Shape) -> list[int]:
    """Elements from a matrix to the next along each leading axis; 0 where it is shared."""
    missing = len(sizes) - (x.ndim - 2)
    own = [0 if n == 1 else step // x.itemsize for n, step in zip(x.shape[:-2], x.strides[:-2], strict=True)]
    return [0] * missing + own


def _joined(sizes: Shape, steps: Sequence[Sequence[int]]) -> list[tuple[int, tuple[int, ...]]]:
    """Leading axes as sizes and steps of each array; neighbours are one axis where a single step serves both."""
    axes: list[tuple[int, tuple[int, ...]]] = []
    for size, *each in zip(sizes, *steps, strict=True):
        if size == 1:
            continue
        if axes and all(outer == inner * size for outer, inner in zip(axes[-1][1], each, strict=True)):
            axes[-1] = axes[-1][0] * size, tuple(each)
        else:
            axes.append((size, tuple(each)))
    return axes
