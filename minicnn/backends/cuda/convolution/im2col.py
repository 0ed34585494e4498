"""Windows copied out as columns, and BLAS: the convolution as a product of matrices (``kernels/im2col.cu``).

    forward       y = w @ columns             (O/G, K) @ (K, L) of each group, K = C/G KH KW
    input_grad    x' = col2im(w.T @ y')       (K, O/G) @ (O/G, L)
    weight_grad   w' = sum of y' @ columns.T  (O/G, L) @ (L, K)

The columns of a whole batch can be many times its size, so they are made chunk by chunk: as many images, or rows of
one image, as fit ``WORKSPACE``. Chunks come in order, so sums do too.
"""

from collections.abc import Iterator
from typing import NamedTuple

from minicnn.backends.convolution import Problem
from minicnn.backends.cuda import seam
from minicnn.backends.cuda.convolution import thresholds
from minicnn.backends.cuda.sources import sum_type
from minicnn.core.types import Array

ERROR = 5e-6  # max |y - y64| / max |y64| in float32


class Chunk(NamedTuple):
    """Some windows: whole images, or rows of one."""

    image: int  # the first
    images: int
    row: int  # the first
    rows: int
    length: int  # windows

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """As the kernels take them."""
        return (self.image, self.row, self.rows, self.length)


def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass; it can do all."""
    return None


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass: columns of a chunk, and its outputs."""
    first = next(_chunks(p, item), None)
    return first.length * _bytes(p, item) if first else 0


def operations(which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add."""
    return 2 * p.images * p.out_channels * p.out_h * p.out_w * p.taps


def _bytes(p: Problem, item: int) -> int:
    """Bytes that one window takes."""
    return item * (p.groups * p.taps + p.out_channels)


def _chunks(p: Problem, item: int) -> Iterator[Chunk]:
    windows = max(1, thresholds.WORKSPACE // _bytes(p, item))
    images, rows = max(1, windows // max(1, p.out_h * p.out_w)), p.out_h
    if p.out_h * p.out_w > windows:
        rows = max(1, windows // p.out_w)
    for n in range(0, p.images, images):
        some = min(images, p.images - n)
        for r in range(0, p.out_h, rows):
            high = min(rows, p.out_h - r)
            yield Chunk(n, some, r, high, some * high * p.out_w)


def forward(x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y = seam.empty(p.y_shape, x.dtype)
    weights = w.reshape(p.groups, p.out_channels // p.groups, p.taps)
    for chunk in _chunks(p, x.itemsize):
        columns = seam.empty((p.groups, p.taps, chunk.length), x.dtype)
        seam.elementwise("im2col.im2col", columns.size, x, columns, *p, *chunk.sizes, columns.size)
        flat = seam.gemm(weights, columns)
        seam.elementwise("im2col.scatter_outputs", flat.size, flat, bias, y, *p, *chunk.sizes, relu, flat.size)
    return y


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx = seam.empty(p.x_shape, gy.dtype)
    weights = w.reshape(p.groups, p.out_channels // p.groups, p.taps).transpose(0, 2, 1)
    for chunk in _chunks(p, gy.itemsize):
        columns = seam.gemm(weights, _outputs(gy, p, chunk))
        count = chunk.images * p.in_channels * p.in_h * p.in_w
        seam.elementwise("im2col.col2im", count, columns, gx, *p, *chunk.sizes, chunk.row > 0, count)
    return gx


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    gw = seam.xp().zeros((p.groups, p.out_channels // p.groups, p.taps), sum_type(gy.dtype))
    for chunk in _chunks(p, gy.itemsize):
        columns = seam.empty((p.groups, chunk.length, p.taps), x.dtype)
        seam.elementwise("im2col.im2col_by_window", columns.size, x, columns, *p, *chunk.sizes, columns.size)
        seam.gemm(_outputs(gy, p, chunk), columns, gw, add=True)
    return gw.reshape(p.w_shape).astype(gy.dtype, copy=False)


def _outputs(gy: Array, p: Problem, chunk: Chunk) -> Array:
    """The chunk's part of y', (G, O/G, L)."""
    flat = seam.empty((p.groups, p.out_channels // p.groups, chunk.length), gy.dtype)
    seam.elementwise("im2col.gather_outputs", flat.size, gy, flat, *p, *chunk.sizes, flat.size)
    return flat
