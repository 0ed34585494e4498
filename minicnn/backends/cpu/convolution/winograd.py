"""Winograd's minimal filtering F(m x m, 3 x 3): tiles of outputs with fewer multiplications, for m = 4 and m = 2.

An m x m tile of outputs needs an input tile d of (m+2) x (m+2). With the matrices B, G, A below,

    forward       Y = A.T [ sum over channels (G w G.T) * (B.T d B) ] A
    input_grad    the same with y' for x, filters turned by 180 degrees, channels exchanged
    weight_grad   w' = G.T [ sum over tiles (B.T d B) * (A y' A.T) ] G      (the adjoint of the forward pass by w)

with * element by element. Taking one element xi of all tiles and channels, the sum over channels is a matrix product,
so there are (m+2)^2 products of (tiles x C) by (C x O): 36/16 = 2.25 multiplications for an output instead of 9 with
m = 4, and 4 with m = 2. The price is rounding: the entries of the matrices grow with m.

Pixels hold a vector of neighbouring channels while they are transformed, so any size of map keeps the vectors full.
Each core works on some rows of tiles at a time, small enough for its cache:

    strip of x (NCHW) -> strip[pixel, channel] -> V[xi, tile, channel]
    M[xi, tile, o] = V[xi] @ U[xi]             -> strip[pixel, o]      -> strip of y (NCHW)

Lavin, Gray, *Fast algorithms for convolutional neural networks*, CVPR 2016, sections 4 and 5.
"""

from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from minicnn.backends.convolution import Problem
from minicnn.backends.cpu import simd, simd_blocks, threads
from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.simd_blocks import TILE_ROWS, TOGETHER_ROWS, product_columns, product_rows, transpose
from minicnn.core.types import Array

# Each matrix is what stands on the left of a sandwich: B.T, G and A.T for the points 0, 1, -1, (2, -2,) infinity.
B4 = (
    (4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1),
)  # fmt: skip
G4 = (
    (1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1),
)  # fmt: skip
A4 = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
B2 = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
G2 = ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1))
A2 = ((1, 1, 1, 0), (0, 1, -1, -1))


def _transposed(matrix: simd_blocks.Matrix) -> simd_blocks.Matrix:
    return tuple(zip(*matrix, strict=True))


_INPUT4, _FILTER4, _OUTPUT4 = simd_blocks.sandwich(B4), simd_blocks.sandwich(G4), simd_blocks.sandwich(A4, finish=True)
_INPUT2, _FILTER2, _OUTPUT2 = simd_blocks.sandwich(B2), simd_blocks.sandwich(G2), simd_blocks.sandwich(A2, finish=True)
_GRAD4, _FILTER_GRAD4 = simd_blocks.sandwich(_transposed(A4)), simd_blocks.sandwich(_transposed(G4))
_GRAD2, _FILTER_GRAD2 = simd_blocks.sandwich(_transposed(A2)), simd_blocks.sandwich(_transposed(G2))

CACHE = 3 << 16  # transformed elements of one block of tiles that stay in a core's second-level cache
FEW = 4  # times as many output channels as tiles, from which transforming the filters costs more than the inputs
SHARED = 1 << 21  # transformed elements of one block of tiles that stay in the cache that all cores share
LEAST_TILES = 72  # tiles of a block, by which the reading of transformed filters is divided
GROUP = 256  # output channels that are multiplied before they are transformed back
CHUNK = 64  # input channels whose products are summed at a time
PRIVATE = 3 << 16  # sums of a weight gradient that each part of the batch may have to itself
PARTS = 16  # parts of the batch whose weight gradients are summed apart, then joined in order
LARGEST = 1 << 24  # transformed filters: 64 MiB of float32


class Plan(NamedTuple):
    """A 3x3 correlation with stride 1, and how it is cut."""

    images: int
    in_channels: int
    out_channels: int
    src_h: int
    src_w: int
    rows: int  # size of the result
    cols: int
    top: int
    left: int
    tile: int  # m
    tiles_h: int  # tiles of an image
    tiles_w: int
    block: int  # rows of tiles worked on at a time
    lanes: int
    panel: int  # columns of a product's register tile
    workers: int


def _plan(p: Problem, tile: int, item: int, turned: bool = False) -> Plan:
    """The plan of the forward pass, or of the input gradient (``turned``), but for the rows of tiles of a block."""
    sizes = (p.in_channels, p.out_channels, p.in_h, p.in_w, p.out_h, p.out_w, p.top, p.left)
    if turned:
        sizes = (p.out_channels, p.in_channels, p.out_h, p.out_w, p.in_h, p.in_w, 2 - p.top, 2 - p.left)
    lanes, rows, cols = simd.lanes(item), sizes[4], sizes[5]
    panel = simd_blocks.TILE_VECTORS * lanes
    return Plan(p.images, *sizes, tile, -(-rows // tile), -(-cols // tile), 0, lanes, panel, threads.get_num_threads())


def _blocked(plan: Plan, elements: int, channels: int) -> Plan:
    """The same with blocks of about so many transformed elements, at least LEAST_TILES tiles, at most all."""
    tiles = max(LEAST_TILES, elements // max(1, (plan.tile + 2) ** 2 * channels))
    return plan._replace(block=max(1, min(-(-tiles // max(1, plan.tiles_w)), plan.images * plan.tiles_h)))


def _few_tiles(plan: Plan) -> bool:
    """Whether the transformed filters are larger than the transformed inputs."""
    return FEW * plan.images * plan.tiles_h * plan.tiles_w <= plan.out_channels


def _cannot(tile: int, which: str, p: Problem) -> str | None:
    if (p.kernel_h, p.kernel_w) != (3, 3):
        return f"the kernel must be 3x3, got {p.kernel_h}x{p.kernel_w}"
    if (p.stride_h, p.stride_w, p.dilation_h, p.dilation_w) != (1, 1, 1, 1):
        return "stride and dilation must be 1"
    if p.groups > 1:
        return "groups must be 1"
    filters = (tile + 2) ** 2 * p.in_channels * _up(p.out_channels, 64)
    return f"transformed filters of {filters} numbers are more than {LARGEST}" if filters > LARGEST else None


def _workspace(tile: int, which: str, p: Problem, item: int) -> int:
    return 0


def _operations(tile: int, which: str, p: Problem) -> int:
    """Those of the products, which dominate; transforms are additions mostly."""
    h, w = (p.in_h, p.in_w) if which == "input_grad" else (p.out_h, p.out_w)
    tiles = p.images * -(-h // tile) * -(-w // tile)
    return 2 * (tile + 2) ** 2 * tiles * p.in_channels * p.out_channels


def _forward(tile: int, x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``."""
    y = np.empty(p.y_shape, x.dtype)
    taps = (9 * p.in_channels, 9, False)  # distance of filters and of channels; not turned
    _correlate(x, w, taps, bias, 0 if relu else -np.inf, y, _plan(p, tile, x.itemsize))
    return y


def _input_grad(tile: int, gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx = np.empty(p.x_shape, gy.dtype)
    _correlate(gy, w, (9, 9 * p.in_channels, True), None, -np.inf, gx, _plan(p, tile, gy.itemsize, turned=True))
    return gx


def _correlate(
    x: Array, w: Array, taps: tuple[int, int, bool], bias: Array | None, least: float, y: Array, plan: Plan
) -> None:
    constants = np.zeros(_up(plan.out_channels, plan.panel), x.dtype)
    if bias is not None:
        constants[: plan.out_channels] = bias
    given = (x.reshape(-1), w.reshape(-1), *taps, constants, x.dtype.type(least), y.reshape(-1))
    channels = _up(plan.in_channels, plan.lanes)
    if _few_tiles(plan):
        channels = _up(channels, CHUNK)
        plan = _blocked(plan, SHARED, channels)
        tiles = _up(plan.block * plan.tiles_w, TILE_ROWS)
        _by_channels(*given, np.zeros((tile_points(plan)) * tiles * channels, x.dtype), plan)
    else:
        plan = _blocked(plan, CACHE, channels + min(_up(plan.out_channels, plan.panel), GROUP))
        lines = plan.images * plan.tiles_h
        share = -(-lines // (2 * plan.workers))
        _by_tiles(*given, plan._replace(block=min(plan.block, max(share, 1))))


def tile_points(plan: Plan) -> int:
    return (plan.tile + 2) ** 2


def _weight_grad(tile: int, gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    gw = np.empty(p.w_shape, gy.dtype)
    plan = _plan(p, tile, gy.itemsize)
    rows, columns = _up(p.in_channels, plan.lanes), _up(p.out_channels, plan.panel)
    elements = tile_points(plan) * rows * columns
    if elements <= PRIVATE:
        plan = _blocked(plan, CACHE, rows + plan.panel)
        parts = max(1, min(PARTS, -(-plan.images * plan.tiles_h // plan.block)))
        sums = np.zeros((parts, elements), gy.dtype)
        _grad_by_tiles(x.reshape(-1), gy.reshape(-1), sums, plan)
    else:
        plan = _blocked(plan, SHARED, rows)
        sums = np.empty((1, elements), gy.dtype)
        v = np.empty(tile_points(plan) * plan.block * plan.tiles_w * rows, gy.dtype)
        _grad_by_channels(x.reshape(-1), gy.reshape(-1), v, sums, plan)
    _filter_grads(sums, gw.reshape(-1), plan)
    return gw


def _up(n: int, unit: int) -> int:
    return -(-n // unit) * unit


def of(tile: int, error: float) -> SimpleNamespace:
    """The algorithm with outputs in tiles of that size: what a module of this room offers."""
    return SimpleNamespace(
        __doc__=__doc__, ERROR=error, forward=partial(_forward, tile), input_grad=partial(_input_grad, tile),
        weight_grad=partial(_weight_grad, tile), cannot=partial(_cannot, tile), workspace=partial(_workspace, tile),
        operations=partial(_operations, tile),
    )  # fmt: skip


# -- kernels ----------------------------------------------------------------------------------------------------


@inline
def _load(x, n, first, channels, size_c, size_h, size_w, top, left, height, width, strip, lanes):  # type: ignore[no-untyped-def]
    """strip[(r*width + c)*lanes + k] = x[n, first + k, top + r, left + c]; outside the image is zero."""
    low, high = min(max(-left, 0), width), max(min(size_w - left, width), 0)
    for r in range(height):
        at = r * width * lanes
        row = top + r
        if row < 0 or row >= size_h or low >= high:
            for c in range(width * lanes):
                strip[at + c] = 0
            continue
        source = ((n * size_c + first) * size_h + row) * size_w + left
        for c in range(low * lanes):
            strip[at + c] = 0
        for c in range(low, high, lanes):
            some = min(lanes, high - c)
            transpose(x, source + c, size_h * size_w, channels, some, strip, at + c * lanes, lanes)
        for c in range(high * lanes, width * lanes):
            strip[at + c] = 0


@inline
def _inputs(x, line, strip, v, to, unit, tiles, p):  # type: ignore[no-untyped-def]
    """B.T d B of a row of tiles, to v[channel // unit, xi, tile, channel % unit] from tile ``to`` on."""
    lanes, width, across = p.lanes, p.tiles_w * p.tile + 2, tiles * unit
    n, i = divmod(line, p.tiles_h)
    for first in range(0, p.in_channels, lanes):
        base = first // unit * (p.tile + 2) ** 2 * across + first % unit + to * unit
        _load(
            x, n, first, min(lanes, p.in_channels - first), p.in_channels, p.src_h, p.src_w,
            i * p.tile - p.top, -p.left, p.tile + 2, width, strip, lanes,
        )  # fmt: skip
        for j in range(p.tiles_w):
            goal = base + j * unit
            if p.tile == 4:
                _INPUT4(strip, j * 4 * lanes, width * lanes, lanes, v, goal, 6 * across, across)
            else:
                _INPUT2(strip, j * 2 * lanes, width * lanes, lanes, v, goal, 4 * across, across)


@inline
def _filters(w, by_filter, by_channel, turned, first, start, stop, taps, u, across, p):  # type: ignore[no-untyped-def]
    """G w G.T of one panel of filters and channels start..stop: u[xi*across + (channel - start)*panel + column]."""
    lanes, panel = p.lanes, p.panel
    begin, step = (8 * lanes, -lanes) if turned else (0, lanes)
    for i in range(start, stop):
        for o in range(0, panel, lanes):
            some = max(min(lanes, p.out_channels - first - o), 0)
            source = (first + o) * by_filter + i * by_channel
            for k in range(0, 9, lanes):
                transpose(w, source + k, by_filter, some, min(lanes, 9 - k), taps, k * lanes, lanes)
            to = (i - start) * panel + o
            if p.tile == 4:
                _FILTER4(taps, begin, 3 * step, step, u, to, 6 * across, across)
            else:
                _FILTER2(taps, begin, 3 * step, step, u, to, 4 * across, across)


@inline
def _outputs(m, at, right, across, strip, bias, least, first, y, line, p):  # type: ignore[no-untyped-def]
    """A.T m A + bias of a row of tiles and one vector of channels, at least ``least``, written to y."""
    lanes, width = p.lanes, -(-p.tiles_w * p.tile // p.lanes) * p.lanes
    n, i = divmod(line, p.tiles_h)
    for j in range(p.tiles_w):
        to, down = j * p.tile * lanes, width * lanes
        if p.tile == 4:
            _OUTPUT4(m, at + j * right, 6 * across, across, strip, to, down, lanes, bias, first, least)
        else:
            _OUTPUT2(m, at + j * right, 4 * across, across, strip, to, down, lanes, bias, first, least)
    channels = min(lanes, p.out_channels - first)
    for r in range(min(p.tile, p.rows - i * p.tile)):
        target = ((n * p.out_channels + first) * p.rows + i * p.tile + r) * p.cols
        for c in range(0, p.cols, lanes):
            some = min(lanes, p.cols - c)
            transpose(strip, (r * width + c) * lanes, lanes, some, channels, y, target + c, p.rows * p.cols)


@kernel
def _by_tiles(x, w, by_filter, by_channel, turned, bias, least, y, p):  # type: ignore[no-untyped-def]
    """Each core takes rows of tiles; the filters are transformed once, for all."""
    lanes, panel, ci, points = p.lanes, p.panel, p.in_channels, (p.tile + 2) ** 2
    panels = -(-p.out_channels // panel)
    across = panels * ci * panel
    filters = np.empty(points * across, x.dtype)
    for one in prange(panels):
        taps = np.zeros(9 * lanes, x.dtype)
        u = filters[one * ci * panel :]
        _filters(w, by_filter, by_channel, turned, one * panel, 0, ci, taps, u, across, p)
    lines = p.images * p.tiles_h  # rows of tiles
    tiles = -(-p.block * p.tiles_w // TILE_ROWS) * TILE_ROWS
    pitch = -(-ci // lanes) * lanes
    together = min(panels, max(1, GROUP // panel))
    for worker in prange(p.workers):
        strip = np.zeros((p.tile + 2) * (p.tiles_w * p.tile + 2 + lanes) * lanes, x.dtype)
        v = np.zeros(points * tiles * pitch, x.dtype)
        m = np.empty(points * tiles * together * panel, x.dtype)
        for start in range(int(worker) * p.block, lines, p.workers * p.block):
            count = min(p.block, lines - start)
            for line in range(count):
                _inputs(x, start + line, strip, v, line * p.tiles_w, pitch, tiles, p)
            for group in range(0, panels, together):
                members = min(together, panels - group)
                m_pitch = members * panel
                for xi in range(points):
                    for one in range(members):
                        for i in range(0, ci, CHUNK):  # sums of more terms would round more
                            u = xi * across + ((group + one) * ci + i) * panel
                            for t in range(0, count * p.tiles_w, TILE_ROWS):
                                at, to = (xi * tiles + t) * pitch + i, (xi * tiles + t) * m_pitch + one * panel
                                some, add = min(CHUNK, ci - i), int(i > 0)
                                product_rows(v, at, pitch, filters, u, panel, some, m, to, m_pitch, add)
                base = group * panel
                for line in range(count):
                    for first in range(base, min(base + members * panel, p.out_channels), lanes):
                        at = line * p.tiles_w * m_pitch + first - base
                        _outputs(m, at, m_pitch, tiles * m_pitch, strip, bias, least, first, y, start + line, p)


@kernel
def _by_channels(x, w, by_filter, by_channel, turned, bias, least, y, v, p):  # type: ignore[no-untyped-def]
    """Each core takes panels of filters; the inputs are transformed once, for all. For few tiles and many filters."""
    lanes, panel, ci, points = p.lanes, p.panel, p.in_channels, (p.tile + 2) ** 2
    lines = p.images * p.tiles_h
    tiles = -(-p.block * p.tiles_w // TILE_ROWS) * TILE_ROWS
    for start in range(0, lines, p.block):
        count = min(p.block, lines - start)
        for line in prange(count):
            strip = np.zeros((p.tile + 2) * (p.tiles_w * p.tile + 2 + lanes) * lanes, x.dtype)
            _inputs(x, start + line, strip, v, line * p.tiles_w, CHUNK, tiles, p)
        for one in prange(-(-p.out_channels // panel)):
            taps = np.zeros(9 * lanes, x.dtype)
            strip = np.zeros((p.tile + 2) * (p.tiles_w * p.tile + 2 + lanes) * lanes, x.dtype)
            u = np.empty(points * CHUNK * panel, x.dtype)
            m = np.empty(points * tiles * panel, x.dtype)
            for i in range(0, ci, CHUNK):
                some = min(CHUNK, ci - i)
                _filters(w, by_filter, by_channel, turned, one * panel, i, i + some, taps, u, CHUNK * panel, p)
                for xi in range(points):
                    for t in range(0, count * p.tiles_w, TILE_ROWS):
                        at, to = ((i * points // CHUNK + xi) * tiles + t) * CHUNK, (xi * tiles + t) * panel
                        product_rows(v, at, CHUNK, u, xi * CHUNK * panel, panel, some, m, to, panel, int(i > 0))
            for line in range(count):
                for first in range(one * panel, min((one + 1) * panel, p.out_channels), lanes):
                    at = line * p.tiles_w * panel + first - one * panel
                    _outputs(m, at, panel, tiles * panel, strip, bias, least, first, y, start + line, p)


@inline
def _gradients(gy, line, first, strip, z, to, across, p):  # type: ignore[no-untyped-def]
    """A y' A.T of a row of tiles and a panel of channels: element xi of tile j at to + xi*across + j*panel."""
    lanes, width = p.lanes, p.tiles_w * p.tile
    n, i = divmod(line, p.tiles_h)
    for o in range(0, p.panel, lanes):
        some = min(lanes, p.out_channels - first - o)
        if some <= 0:
            for at in range((p.tile + 2) * (width + lanes) * lanes):
                strip[at] = 0
        else:
            _load(
                gy, n, first + o, some, p.out_channels, p.rows, p.cols, i * p.tile, 0, p.tile, width, strip, lanes
            )
        for j in range(p.tiles_w):
            goal = to + j * p.panel + o
            if p.tile == 4:
                _GRAD4(strip, j * 4 * lanes, width * lanes, lanes, z, goal, 6 * across, across)
            else:
                _GRAD2(strip, j * 2 * lanes, width * lanes, lanes, z, goal, 4 * across, across)


@inline
def _products(v, z, tiles, sums, to, rows, add, p):  # type: ignore[no-untyped-def]
    """sums[xi, channel, column] (+)= sum over tiles of v[block of channels, xi, tile] * z[xi, tile, column]."""
    lanes, panel, points = p.lanes, p.panel, (p.tile + 2) ** 2
    for xi in range(points):
        for i in range(0, p.in_channels, TOGETHER_ROWS):
            at = (i // lanes * points + xi) * tiles * lanes + i % lanes
            goal = to + (xi * rows + i) * panel
            product_columns(v, at, lanes, z, xi * tiles * panel, panel, tiles, sums, goal, panel, add)


@kernel
def _grad_by_tiles(x, gy, sums, p):  # type: ignore[no-untyped-def]
    """Each core takes rows of tiles, and sums apart: sums[part, panel, xi, channel, column]. For few channels."""
    lanes, panel, points = p.lanes, p.panel, (p.tile + 2) ** 2
    lines, rows = p.images * p.tiles_h, -(-p.in_channels // lanes) * lanes
    panels, parts = -(-p.out_channels // panel), sums.shape[0]
    for part in prange(parts):
        strip = np.zeros((p.tile + 2) * (p.tiles_w * p.tile + 2 + lanes) * lanes, x.dtype)
        total = sums[part]
        v = np.empty(points * p.block * p.tiles_w * rows, x.dtype)
        z = np.empty(points * p.block * p.tiles_w * panel, x.dtype)
        stop = (int(part) + 1) * lines // parts
        for start in range(int(part) * lines // parts, stop, p.block):
            count = min(p.block, stop - start)
            tiles = count * p.tiles_w
            for line in range(count):
                _inputs(x, start + line, strip, v, line * p.tiles_w, lanes, tiles, p)
            for one in range(panels):
                for line in range(count):
                    to = line * p.tiles_w * panel
                    _gradients(gy, start + line, one * panel, strip, z, to, tiles * panel, p)
                _products(v, z, tiles, total, one * points * rows * panel, rows, 1, p)


@kernel
def _grad_by_channels(x, gy, v, sums, p):  # type: ignore[no-untyped-def]
    """Each core takes panels of filters; the inputs are transformed once, for all. For many channels."""
    lanes, panel, points = p.lanes, p.panel, (p.tile + 2) ** 2
    lines, rows = p.images * p.tiles_h, -(-p.in_channels // lanes) * lanes
    total = sums[0]
    for start in range(0, lines, p.block):
        count = min(p.block, lines - start)
        tiles = count * p.tiles_w
        for line in prange(count):
            strip = np.zeros((p.tile + 2) * (p.tiles_w * p.tile + 2 + lanes) * lanes, x.dtype)
            _inputs(x, start + line, strip, v, line * p.tiles_w, lanes, tiles, p)
        for one in prange(-(-p.out_channels // panel)):
            strip = np.zeros((p.tile + 2) * (p.tiles_w * p.tile + 2 + lanes) * lanes, x.dtype)
            z = np.empty(points * tiles * panel, x.dtype)
            for line in range(count):
                to = line * p.tiles_w * panel
                _gradients(gy, start + line, one * panel, strip, z, to, tiles * panel, p)
            _products(v, z, tiles, total, one * points * rows * panel, rows, int(start > 0), p)


@kernel
def _filter_grads(sums, gw, p):  # type: ignore[no-untyped-def]
    """G.T sums G, all parts together: gw[o, channel, 3, 3]."""
    lanes, panel, points = p.lanes, p.panel, (p.tile + 2) ** 2
    ci, co = p.in_channels, p.out_channels
    rows = -(-ci // lanes) * lanes
    across, total = rows * panel, sums[0]
    for piece in prange(points * -(-co // panel)):
        for part in range(1, sums.shape[0]):
            for at in range(piece * across, (piece + 1) * across):
                total[at] += sums[part, at]
    for block in prange(-(-ci // lanes)):
        taps = np.zeros((9 + lanes) * lanes, sums.dtype)
        for i in range(block * lanes, min((block + 1) * lanes, ci)):
            for first in range(0, co, lanes):
                at = (first // panel * points * rows + i) * panel + first % panel
                if p.tile == 4:
                    _FILTER_GRAD4(total, at, 6 * across, across, taps, 0, 3 * lanes, lanes)
                else:
                    _FILTER_GRAD2(total, at, 4 * across, across, taps, 0, 3 * lanes, lanes)
                for k in range(0, 9, lanes):
                    some, target = min(lanes, co - first), (first * ci + i) * 9 + k
                    transpose(taps, k * lanes, lanes, min(lanes, 9 - k), some, gw, target, 9 * ci)
