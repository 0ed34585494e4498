"""Windows copied out as columns, and BLAS: the convolution as a product of matrices (``kernels/im2col.cu``).

    forward       y = w @ columns             (O/G, K) @ (K, L) of each group, K = C/G KH KW
    input_grad    x' = col2im(w.T @ y')       (K, O/G) @ (O/G, L)
    weight_grad   w' = sum of y' @ columns.T  (O/G, L) @ (L, K)

The columns of a whole batch can be many times its size, so they are made chunk by chunk: as many images, or rows of
one image, as fit ``WORKSPACE``. Chunks come in order, so sums do too. Where maps are large, each image has columns of
its own, (K, P), so that y is written and y' read where they lie. Otherwise images share a product, and rows of columns
are padded with zeros to whole loads of 16 bytes. So they always do in the weight gradient, whose L is cut into equal
parts, a product each, where its result has few tiles.
"""

from collections.abc import Iterator
from typing import NamedTuple

from minicnn.backends.convolution import Problem
from minicnn.backends.cuda import seam
from minicnn.backends.cuda.convolution import thresholds
from minicnn.backends.cuda.convolution.finishing import finish, parts_of, sum_parts, up
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
    pitch: int  # from one row of columns to the next

    @property
    def sizes(self) -> tuple[int, int, int, int, int]:
        """As the kernels take them."""
        return (self.image, self.row, self.rows, self.length, self.pitch)


def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass; it can do all."""
    return None


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass: columns of a chunk, its outputs, and the weight gradient's parts."""
    parts = _parts(p, item) if which == "weight_grad" else 0
    first = next(_chunks(p, item, parts), None)
    if first and which != "weight_grad" and _apart(p, first):
        return first.length * item * p.groups * p.taps
    return (first.pitch * _bytes(p, item) if first else 0) + parts * _part_bytes(p, item)


def operations(which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add."""
    return 2 * p.images * p.out_channels * p.out_h * p.out_w * p.taps


def _bytes(p: Problem, item: int) -> int:
    """Bytes that one window takes."""
    return item * (p.groups * p.taps + p.out_channels)


def _part_bytes(p: Problem, item: int) -> int:
    """Bytes of one part of the weight gradient."""
    return max(4, item) * p.out_channels * p.taps


def _parts(p: Problem, item: int) -> int:
    """Parts of the weight gradient's sum over a chunk: none short, all of them in a quarter of the room."""
    windows = min(p.images * p.out_h * p.out_w, thresholds.WORKSPACE // max(1, _bytes(p, item)))
    most = min(windows // thresholds.SHORTEST_PRODUCT, thresholds.WORKSPACE // 4 // max(1, _part_bytes(p, item)))
    return parts_of(p.groups, p.out_channels // p.groups, p.taps, most)


def _chunks(p: Problem, item: int, parts: int = 0) -> Iterator[Chunk]:
    """The chunks, so that ``parts`` sums of their windows fit the workspace too."""
    room = thresholds.WORKSPACE - parts * _part_bytes(p, item)
    windows = max(1, room // max(1, _bytes(p, item)))
    images, rows = max(1, windows // max(1, p.out_h * p.out_w)), p.out_h
    if p.out_h * p.out_w > windows:
        rows = max(1, windows // p.out_w)
    whole = max(1, parts) * thresholds.ALIGNED // item
    for n in range(0, p.images, images):
        some = min(images, p.images - n)
        for r in range(0, p.out_h, rows):
            high = min(rows, p.out_h - r)
            length = some * high * p.out_w
            yield Chunk(n, some, r, high, length, up(length, whole))


def forward(x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y, positions = seam.empty(p.y_shape, x.dtype), p.out_h * p.out_w
    weights = w.reshape(p.groups, p.out_channels // p.groups, p.taps)
    for chunk in _chunks(p, x.itemsize):
        if _apart(p, chunk):
            columns = seam.empty((chunk.images, p.groups, p.taps, positions), x.dtype)
            sizes = (*chunk.sizes[:3], positions, positions, columns.size)
            seam.elementwise("im2col.im2col", columns.size, x, columns, *p, *sizes)
            some = y[chunk.image : chunk.image + chunk.images]
            seam.gemm(weights, columns, some.reshape(chunk.images, p.groups, p.out_channels // p.groups, positions))
            finish(some, bias, relu)
            continue
        flat = seam.gemm(weights, _columns(x, p, chunk))
        count = p.out_channels * chunk.length
        seam.elementwise("im2col.scatter_outputs", count, flat, bias, y, *p, *chunk.sizes, relu, count)
    return y


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx = seam.empty(p.x_shape, gy.dtype)
    weights = w.reshape(p.groups, p.out_channels // p.groups, p.taps).transpose(0, 2, 1)
    positions = p.out_h * p.out_w
    for chunk in _chunks(p, gy.itemsize):
        if _apart(p, chunk):
            some = gy[chunk.image : chunk.image + chunk.images]
            columns = seam.gemm(weights, some.reshape(chunk.images, p.groups, p.out_channels // p.groups, positions))
            steps = (positions, p.groups * p.taps * positions)
        else:
            columns = seam.gemm(weights, _outputs(gy, p, chunk))
            steps = (chunk.pitch, chunk.rows * p.out_w)
        count = chunk.images * p.in_channels * p.in_h * p.in_w
        sizes = (chunk.image, chunk.row, chunk.rows, *steps, chunk.row > 0, count)
        seam.elementwise("im2col.col2im", count, columns, gx, *p, *sizes)
    return gx


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    parts, outputs = _parts(p, gy.itemsize), p.out_channels // p.groups
    sums = seam.xp().zeros((parts, p.groups, outputs, p.taps), sum_type(gy.dtype))
    for chunk in _chunks(p, gy.itemsize, parts):
        left, right = (  # (parts, G, rows, L / parts)
            each.reshape(p.groups, rows, parts, chunk.pitch // parts).transpose(2, 0, 1, 3)
            for each, rows in ((_outputs(gy, p, chunk), outputs), (_columns(x, p, chunk), p.taps))
        )
        seam.gemm(left, right.swapaxes(-1, -2), sums, add=True)
    return sum_parts(sums, p.w_shape, gy.dtype)


def _apart(p: Problem, chunk: Chunk) -> bool:
    """Whether each image has columns of its own, (N, G, K, P), and not all of the chunk (G, K, L)."""
    return chunk.rows == p.out_h and p.out_h * p.out_w >= thresholds.FEW_POSITIONS


def _columns(x: Array, p: Problem, chunk: Chunk) -> Array:
    """The chunk's windows, (G, K, L)."""
    columns = seam.empty((p.groups, p.taps, chunk.pitch), x.dtype)
    seam.elementwise("im2col.im2col", columns.size, x, columns, *p, *chunk.sizes, columns.size)
    return columns


def _outputs(gy: Array, p: Problem, chunk: Chunk) -> Array:
    """The chunk's part of y', (G, O/G, L)."""
    flat = seam.empty((p.groups, p.out_channels // p.groups, chunk.pitch), gy.dtype)
    seam.elementwise("im2col.gather_outputs", flat.size, gy, flat, *p, *chunk.sizes, flat.size)
    return flat
