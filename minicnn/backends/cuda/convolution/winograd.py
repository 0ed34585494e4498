"""Winograd's minimal filtering F(m x m, 3 x 3) for m = 4 and m = 2 (``kernels/winograd.cu`` has the transforms).

    forward       U = filters, V = input tiles        M[e] = U[e] @ V[e]       y = output tiles of M
    input_grad    the same with y' for x, filters turned by 180 degrees, channels exchanged
    weight_grad   D = gradient tiles, V               S[e] += D[e] @ V[e].T    w' = filter gradients of S

e counts the (m+2)^2 elements of a transformed tile: for each a matrix product over channels (or tiles), which cuBLAS
does in one batched call. Transformed tiles take (m+2)^2 / m^2 times the memory of their maps, so they are made chunk by
chunk, in the same memory: as many as the L2 cache keeps from one step to the next (``CACHE``), so that only maps come
from memory and go there; more only if U or S, which each chunk reads, are larger. Where few channels give the weight
gradient few blocks, the tiles of a chunk are cut into parts, with sums of their own. Chunks and parts come in order, so
sums do too. Transformed elements of the half types are float32.

Where TF32 is asked for, F(2x2, 3x3) multiplies so. F(4x4, 3x3) does not: its transforms make an error of 1e-2 of what
rounding to 10 bits makes 3e-4 of in a plain sum (32 to 256 channels, factors rounded on the host).

Lavin, Gray, *Fast algorithms for convolutional neural networks*, CVPR 2016, sections 4 and 5.
"""

from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

from minicnn.backends.convolution import Problem
from minicnn.backends.cuda import seam
from minicnn.backends.cuda.convolution import thresholds
from minicnn.backends.cuda.convolution.finishing import parts_of, up
from minicnn.backends.cuda.sources import sum_type
from minicnn.core.types import Array


class Cut(NamedTuple):
    """How the tiles of one pass are divided."""

    down: int  # tiles of one map of the result (of the weight gradient: of y)
    across: int
    total: int  # of all images
    length: int  # of a part
    parts: int = 1  # of a chunk, beyond whose last tile there may be some that do not exist

    @property
    def firsts(self) -> range:
        """The first tile of each chunk."""
        return range(0, self.total, self.parts * self.length)

    def sizes(self, tile: int, first: int, count: int) -> tuple[int, ...]:
        """As the kernels take a chunk."""
        return tile, first, self.total, self.length, count


def cannot(tile: int, which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass, or None."""
    if (p.kernel_h, p.kernel_w) != (3, 3):
        return f"the kernel is {p.kernel_h}x{p.kernel_w}, not 3x3"
    if (p.stride_h, p.stride_w, p.dilation_h, p.dilation_w) != (1, 1, 1, 1):
        return "stride and dilation must be 1"
    return None


def workspace(tile: int, which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass: transformed filters, and tiles of a chunk before and after the product."""
    cut, filters = _cut(tile, which, p, item), p.out_channels * (p.in_channels // p.groups)
    return (tile + 2) ** 2 * max(4, item) * cut.parts * (filters + (p.in_channels + p.out_channels) * cut.length)


def operations(tile: int, which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add; transforms are left out."""
    return 2 * (tile + 2) ** 2 * _cut(tile, which, p, 4).total * p.out_channels * (p.in_channels // p.groups)


def forward(tile: int, x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y, cut = seam.empty(p.y_shape, x.dtype), _cut(tile, "forward", p, x.itemsize)
    return _correlate(tile, x, _filters(tile, w, p, False), bias, y, cut, (p.top, p.left), relu)


def input_grad(tile: int, gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx, cut = seam.empty(p.x_shape, gy.dtype), _cut(tile, "input_grad", p, gy.itemsize)
    return _correlate(tile, gy, _filters(tile, w, p, True), None, gx, cut, (2 - p.top, 2 - p.left), False)


def weight_grad(tile: int, gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    cut = _cut(tile, "weight_grad", p, gy.itemsize)
    inputs, outputs = p.in_channels // p.groups, p.out_channels // p.groups
    batch, dtype = ((tile + 2) ** 2, cut.parts, p.groups), sum_type(gy.dtype)
    d, v = seam.empty((*batch, outputs, cut.length), dtype), seam.empty((*batch, inputs, cut.length), dtype)
    sums, gw = seam.empty((*batch, outputs, inputs), dtype), seam.empty(p.w_shape, gy.dtype)
    for first in cut.firsts:
        count = p.out_channels * cut.parts * cut.length
        sizes = (*gy.shape[1:], cut.down, cut.across, *cut.sizes(tile, first, count))
        seam.elementwise("winograd.grad_tiles", count, gy, d, *sizes)
        _input_tiles(tile, x, v, cut, (p.top, p.left), first)
        seam.gemm(d, v.swapaxes(-1, -2), sums, add=first > 0, exact=tile > 2)
    if not cut.total:
        sums[...] = 0
    count = gw.size // 9
    seam.elementwise("winograd.filter_grads", count, sums, gw, cut.parts, tile, count)
    return gw


def _cut(tile: int, which: str, p: Problem, item: int) -> Cut:
    """Chunks as even as may be; a part's rows begin where whole loads do."""
    rows, cols = (p.in_h, p.in_w) if which == "input_grad" else (p.out_h, p.out_w)
    down, across = -(-rows // tile), -(-cols // tile)
    inputs, outputs = p.in_channels // p.groups, p.out_channels // p.groups
    total, element = p.images * down * across, (tile + 2) ** 2 * max(4, item)
    room = min(max(thresholds.CACHE, element * p.out_channels * inputs), thresholds.WORKSPACE)
    turns = max(1, -(-total // max(1, room // max(1, element * (p.in_channels + p.out_channels)))))
    many, parts = -(-total // turns), 1
    if which == "weight_grad":
        parts = parts_of((tile + 2) ** 2 * p.groups, outputs, inputs, many // thresholds.SHORTEST_PRODUCT)
    return Cut(down, across, total, max(1, up(-(-many // parts), thresholds.ALIGNED // max(4, item))), parts)


def _filters(tile: int, w: Array, p: Problem, turned: bool) -> Array:
    """(E^2, 1, G, O/G, C/G), or (E^2, 1, G, C/G, O/G) where they are turned."""
    sizes = (p.out_channels // p.groups, p.in_channels // p.groups)
    u = seam.empty(((tile + 2) ** 2, 1, p.groups, *(reversed(sizes) if turned else sizes)), sum_type(w.dtype))
    count = w.size // 9
    seam.elementwise("winograd.filters", count, w, u, *sizes, turned, tile, count)
    return u


def _correlate(
    tile: int, x: Array, u: Array, bias: Array | None, y: Array, cut: Cut, padding: tuple[int, int], relu: bool
) -> Array:
    """Tiles of x times U, and back."""
    elements, _, groups, outputs, inputs = u.shape
    v, m = (seam.empty((elements, 1, groups, channels, cut.length), u.dtype) for channels in (inputs, outputs))
    for first in cut.firsts:
        _input_tiles(tile, x, v, cut, padding, first)
        seam.gemm(u, v, m, exact=tile > 2)
        count = y.shape[1] * cut.length
        sizes = (*y.shape[1:], cut.down, cut.across, relu, *cut.sizes(tile, first, count))
        seam.elementwise("winograd.output_tiles", count, m, bias, y, *sizes)
    return y


def _input_tiles(tile: int, x: Array, v: Array, cut: Cut, padding: tuple[int, int], first: int) -> None:
    """Into V (E^2, parts, G, C/G, length)."""
    count = x.shape[1] * cut.parts * cut.length
    sizes = (*x.shape[1:], cut.down, cut.across, *padding, *cut.sizes(tile, first, count))
    seam.elementwise("winograd.input_tiles", count, x, v, *sizes)


def of(tile: int, error: float) -> SimpleNamespace:
    """The algorithm with outputs in tiles of that size: what a module of this room offers."""
    passes = {f.__name__: partial(f, tile) for f in (forward, input_grad, weight_grad, cannot, workspace, operations)}
    return SimpleNamespace(ERROR=error, __doc__=__doc__, **passes)
