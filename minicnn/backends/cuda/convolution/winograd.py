"""Winograd's minimal filtering F(m x m, 3 x 3) for m = 4 and m = 2 (``kernels/winograd.cu`` has the transforms).

    forward       U = filters, V = input tiles        M[e] = U[e] @ V[e]       y = output tiles of M
    input_grad    the same with y' for x, filters turned by 180 degrees, channels exchanged
    weight_grad   D = gradient tiles, V as V[e].T     S[e] += D[e] @ V[e].T    w' = filter gradients of S

e counts the (m+2)^2 elements of a transformed tile: for each a matrix product over channels (or tiles), which cuBLAS
does in one batched call. Transformed tiles take (m+2)^2 / m^2 times the memory of their maps, so they are made chunk by
chunk within ``WORKSPACE``; chunks come in order, so sums do too. Of float16 arrays they are float32.

Where TF32 is asked for, F(2x2, 3x3) multiplies so. F(4x4, 3x3) does not: its transforms make an error of 1e-2 of what
rounding to 10 bits makes 3e-4 of in a plain sum (32 to 256 channels, factors rounded on the host).

Lavin, Gray, *Fast algorithms for convolutional neural networks*, CVPR 2016, sections 4 and 5.
"""

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace

from minicnn.backends.convolution import Problem
from minicnn.backends.cuda import seam
from minicnn.backends.cuda.convolution import thresholds
from minicnn.backends.cuda.sources import sum_type
from minicnn.core.types import Array


def cannot(tile: int, which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass, or None."""
    if (p.kernel_h, p.kernel_w) != (3, 3):
        return f"the kernel is {p.kernel_h}x{p.kernel_w}, not 3x3"
    if (p.stride_h, p.stride_w, p.dilation_h, p.dilation_w) != (1, 1, 1, 1):
        return "stride and dilation must be 1"
    return None


def workspace(tile: int, which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass: transformed filters, and tiles of a chunk before and after the product."""
    first = next(_chunks(tile, which, p, item), (0, 0))
    filters = p.out_channels * (p.in_channels // p.groups) * (2 if which == "weight_grad" else 1)
    return (tile + 2) ** 2 * max(4, item) * (filters + (p.in_channels + p.out_channels) * first[1])


def operations(tile: int, which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add; transforms are left out."""
    tiles = _tiles(tile, which, p)
    return 2 * (tile + 2) ** 2 * p.images * tiles[0] * tiles[1] * p.out_channels * (p.in_channels // p.groups)


def forward(tile: int, x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y = seam.empty(p.y_shape, x.dtype)
    tiles, sizes = _tiles(tile, "forward", p), (p.in_channels // p.groups, p.out_channels // p.groups)
    u = _filters(tile, w, p, False)
    for first, many in _chunks(tile, "forward", p, x.itemsize):
        v = _input_tiles(tile, x, tiles, (p.top, p.left), first, many).reshape(-1, p.groups, sizes[0], many)
        _output_tiles(tile, seam.gemm(u, v, exact=tile > 2), bias, y, tiles, relu, first, many)
    return y


def input_grad(tile: int, gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx = seam.empty(p.x_shape, gy.dtype)
    tiles, outputs = _tiles(tile, "input_grad", p), p.out_channels // p.groups
    u = _filters(tile, w, p, True)
    for first, many in _chunks(tile, "input_grad", p, gy.itemsize):
        v = _input_tiles(tile, gy, tiles, (2 - p.top, 2 - p.left), first, many).reshape(-1, p.groups, outputs, many)
        _output_tiles(tile, seam.gemm(u, v, exact=tile > 2), None, gx, tiles, False, first, many)
    return gx


def weight_grad(tile: int, gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    tiles, elements = _tiles(tile, "weight_grad", p), (tile + 2) ** 2
    inputs, outputs = p.in_channels // p.groups, p.out_channels // p.groups
    sums = seam.xp().zeros((elements, p.groups, outputs, inputs), sum_type(gy.dtype))
    for first, many in _chunks(tile, "weight_grad", p, gy.itemsize):
        d = seam.empty((elements, p.groups, outputs, many), sums.dtype)
        count = p.out_channels * many
        seam.elementwise("winograd.grad_tiles", count, gy, d, *gy.shape[1:], *tiles, tile, first, many, count)
        v = _input_tiles(tile, x, tiles, (p.top, p.left), first, many, together=inputs)
        seam.gemm(d, v.reshape(elements, p.groups, many, inputs), sums, add=True, exact=tile > 2)
    gw = seam.empty(p.w_shape, gy.dtype)
    count = gw.size // 9
    seam.elementwise("winograd.filter_grads", count, sums, gw, tile, count)
    return gw


def _tiles(tile: int, which: str, p: Problem) -> tuple[int, int]:
    """Tiles of one map of the result (of the weight gradient: of y)."""
    rows, cols = (p.in_h, p.in_w) if which == "input_grad" else (p.out_h, p.out_w)
    return -(-rows // tile), -(-cols // tile)


def _chunks(tile: int, which: str, p: Problem, item: int) -> Iterator[tuple[int, int]]:
    """First tile and number of tiles of each chunk."""
    down, across = _tiles(tile, which, p)
    total = p.images * down * across
    many = max(1, thresholds.WORKSPACE // (max(4, item) * (tile + 2) ** 2 * (p.in_channels + p.out_channels)))
    return ((first, min(many, total - first)) for first in range(0, total, many))


def _filters(tile: int, w: Array, p: Problem, turned: bool) -> Array:
    """(E^2, G, O/G, C/G), or (E^2, G, C/G, O/G) where they are turned."""
    sizes = (p.out_channels // p.groups, p.in_channels // p.groups)
    u = seam.empty(((tile + 2) ** 2, p.groups, *(reversed(sizes) if turned else sizes)), sum_type(w.dtype))
    count = w.size // 9
    seam.elementwise("winograd.filters", count, w, u, *sizes, turned, tile, count)
    return u


def _input_tiles(
    tile: int, x: Array, tiles: tuple[int, int], padding: tuple[int, int], first: int, many: int, together: int = 0
) -> Array:
    """(E^2, channels * many): channel by channel, or with that many channels beside each other."""
    count = x.shape[1] * many
    v = seam.empty(((tile + 2) ** 2, count), sum_type(x.dtype))
    sizes = (*x.shape[1:], *tiles, *padding, together, tile, first, many, count)
    seam.elementwise("winograd.input_tiles", count, x, v, *sizes)
    return v


def _output_tiles(
    tile: int, products: Array, bias: Array | None, y: Array, tiles: tuple[int, int], relu: bool, first: int, many: int
) -> None:
    count = y.shape[1] * many
    sizes = (*y.shape[1:], *tiles, relu, tile, first, many, count)
    seam.elementwise("winograd.output_tiles", count, products, bias, y, *sizes)


def of(tile: int, error: float) -> SimpleNamespace:
    """The algorithm with outputs in tiles of that size: what a module of this room offers."""
    passes = {f.__name__: partial(f, tile) for f in (forward, input_grad, weight_grad, cannot, workspace, operations)}
    return SimpleNamespace(ERROR=error, __doc__=__doc__, **passes)
