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

from functools import lru_cache, partial
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from minicnn.backends.convolution import Problem
from minicnn.backends.cpu import simd, simd_blocks, threads
from minicnn.backends.cpu.convolution import winograd_kernels as kernels
from minicnn.backends.cpu.convolution.scratch import too_large, up
from minicnn.backends.cpu.convolution.winograd_kernels import CHUNK, GROUP
from minicnn.backends.cpu.memory import empty
from minicnn.backends.cpu.simd_blocks import TILE_ROWS
from minicnn.core.types import Array

CACHE = 3 << 16  # transformed elements of one block of tiles that stay in a core's second-level cache
SHARED = 1 << 21  # transformed elements of one block of tiles that stay in the cache that all cores share
LEAST_TILES = 72  # tiles of a block, by which the reading of transformed filters is divided
FEW = 4  # times as many output channels as tiles, from which transforming the filters costs more than the inputs
PRIVATE = 3 << 16  # sums of a weight gradient that each part of the batch may have to itself
PARTS = 16  # parts of the batch whose weight gradients are summed apart, then joined in order
LARGEST = 3 << 22  # transformed filters that are kept: 48 MiB of float32


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
    tiles = max(LEAST_TILES, elements // max(1, _points(plan) * channels))
    return plan._replace(block=max(1, min(-(-tiles // max(1, plan.tiles_w)), plan.images * plan.tiles_h)))


def _correlation(plan: Plan) -> tuple[Plan, bool, int, int]:
    """Blocks, whether by channels, and the elements of shared scratch memory and of each core's."""
    ci, co, points = up(plan.in_channels, plan.lanes), up(plan.out_channels, plan.panel), _points(plan)
    filters, lines = points * plan.in_channels * co, plan.images * plan.tiles_h
    by_channels = FEW * lines * plan.tiles_w <= plan.out_channels or filters > LARGEST
    if by_channels:
        ci = up(plan.in_channels, CHUNK)
        plan = _blocked(plan, SHARED, ci)
        tiles = up(plan.block * plan.tiles_w, TILE_ROWS)
        return plan, True, points * tiles * ci, points * plan.panel * (tiles + CHUNK)
    plan = _blocked(plan, CACHE, ci + min(co, GROUP))
    plan = plan._replace(block=max(1, min(plan.block, -(-lines // (2 * plan.workers)))))
    tiles = up(plan.block * plan.tiles_w, TILE_ROWS)
    return plan, False, filters, points * tiles * (ci + min(co, GROUP))


def _sums(plan: Plan) -> tuple[Plan, int, int, int, int]:
    """Blocks, parts (0: by channels), the sums of one part, and the elements of scratch memory as above."""
    rows, co, points = up(plan.in_channels, plan.lanes), up(plan.out_channels, plan.panel), _points(plan)
    elements = points * rows * co
    if elements <= PRIVATE:
        plan = _blocked(plan, CACHE, rows + plan.panel)
        parts = max(1, min(PARTS, -(-plan.images * plan.tiles_h // plan.block)))
        return plan, parts, elements, 0, points * plan.block * plan.tiles_w * (rows + plan.panel)
    plan = _blocked(plan, SHARED, rows)
    tiles = plan.block * plan.tiles_w
    return plan, 0, elements, points * tiles * rows, points * tiles * plan.panel


@lru_cache(maxsize=1024)
def cannot(tile: int, which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass, or None."""
    if (p.kernel_h, p.kernel_w) != (3, 3):
        return f"the kernel must be 3x3, got {p.kernel_h}x{p.kernel_w}"
    if (p.stride_h, p.stride_w, p.dilation_h, p.dilation_w) != (1, 1, 1, 1):
        return "stride and dilation must be 1"
    if p.groups > 1:
        return f"groups must be 1, got {p.groups}"
    return too_large(_memory(tile, which, p, 4, 1), 4) or too_large(_memory(tile, which, p, 8, 1), 8)


def workspace(tile: int, which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass, for arrays of ``item`` bytes an element."""
    return _memory(tile, which, p, item, threads.get_num_threads())


def _memory(tile: int, which: str, p: Problem, item: int, workers: int) -> int:
    plan = _plan(p, tile, item, which == "input_grad")._replace(workers=workers)
    strip = (tile + 2) * (plan.tiles_w * tile + 2 + 2 * plan.lanes) * plan.lanes
    if which == "weight_grad":
        _, parts, sums, shared, each = _sums(plan)
        return item * (plan.workers * (each + strip) + shared + max(1, parts) * sums)
    _, _, shared, each = _correlation(plan)
    return item * (plan.workers * (each + strip) + shared)


def operations(tile: int, which: str, p: Problem) -> int:
    """Floating-point operations of that pass: two for a multiply-add of the products, and the transforms'."""
    h, w = (p.in_h, p.in_w) if which == "input_grad" else (p.out_h, p.out_w)
    tiles, pairs = p.images * -(-h // tile) * -(-w // tile), p.in_channels * p.out_channels
    read, other = (p.out_channels, p.in_channels) if which == "input_grad" else (p.in_channels, p.out_channels)
    b, g, a = kernels.MATRICES[tile] if which != "weight_grad" else kernels.ADJOINTS[tile]
    transforms = tiles * (_effort(b) * read + _effort(a) * other) + _effort(g) * pairs
    return 2 * (tile + 2) ** 2 * tiles * pairs + transforms


def _effort(matrix: simd_blocks.Matrix) -> int:
    """Additions and multiplications of ``matrix @ d @ matrix.T``."""
    entries = [value for row in matrix for value in row if value]
    each = len(entries) - len(matrix) + sum(abs(value) != 1 for value in entries)
    return each * (len(matrix) + len(matrix[0]))


def forward(tile: int, x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y = empty(p.y_shape, x.dtype)
    taps = (9 * p.in_channels, 9, False)  # distance of filters and of channels; not turned
    _correlate(x, w, taps, bias, 0 if relu else -np.inf, y, _plan(p, tile, x.itemsize))
    return y


def input_grad(tile: int, gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx = empty(p.x_shape, gy.dtype)
    _correlate(gy, w, (9, 9 * p.in_channels, True), None, -np.inf, gx, _plan(p, tile, gy.itemsize, turned=True))
    return gx


def _correlate(
    x: Array, w: Array, taps: tuple[int, int, bool], bias: Array | None, least: float, y: Array, plan: Plan
) -> None:
    constants = np.zeros(up(plan.out_channels, plan.panel), x.dtype)
    if bias is not None:
        constants[: plan.out_channels] = bias
    given = (x.reshape(-1), w.reshape(-1), *taps, constants, x.dtype.type(least), y.reshape(-1))
    plan, by_channels, shared, _ = _correlation(plan)
    if by_channels:
        kernels.correlate_by_channels(*given, np.zeros(shared, x.dtype), plan)
    else:
        kernels.correlate_by_tiles(*given, empty((shared,), x.dtype), plan)


def weight_grad(tile: int, gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    gw = empty(p.w_shape, gy.dtype)
    plan, parts, elements, shared, _ = _sums(_plan(p, tile, gy.itemsize))
    if parts:
        sums = np.zeros((parts, elements), gy.dtype)
        kernels.sum_by_tiles(x.reshape(-1), gy.reshape(-1), sums, plan)
    else:
        sums = (empty if p.images else np.zeros)((1, elements), gy.dtype)
        kernels.sum_by_channels(x.reshape(-1), gy.reshape(-1), empty((shared,), gy.dtype), sums, plan)
    kernels.filter_grads(sums, gw.reshape(-1), plan)
    return gw


def _points(plan: Plan) -> int:
    return (plan.tile + 2) ** 2


def of(tile: int, error: float) -> SimpleNamespace:
    """The algorithm with outputs in tiles of that size: what a module of this room offers."""
    passes = {f.__name__: partial(f, tile) for f in (forward, input_grad, weight_grad, cannot, workspace, operations)}
    return SimpleNamespace(ERROR=error, __doc__=__doc__, **passes)
