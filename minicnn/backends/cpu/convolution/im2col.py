"""Lowering: copy the input under each tap into a row of a matrix, then multiply matrices.

For one group, with columns[(i, a, b), (n, r, c)] = x[n, i, r*stride + a*dilation - top, ...]:

- forward       y = w @ columns          (O, T) @ (T, P), T = C/G * KH * KW taps, P = N * OH * OW positions
- weight_grad   w' = y' @ columns^T
- input_grad    columns' = w^T @ y', then added back to where each entry came from (``col2im``)

The whole matrix would be KH*KW times the input. Here each core lowers one block of at most ``BLOCK`` elements, some
channels by some positions, and multiplies it while it lies in that core's cache. Positions are some rows of one image,
or, where maps are small, several whole images: BLAS reads all weights for every block, which pays from some hundred
columns on. Each channel is staged first (see ``planes``), so that a row of the matrix is copied without bounds.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minicnn.backends.convolution import Problem
from minicnn.backends.cpu import blas, simd_rows, threads
from minicnn.backends.cpu.convolution import planes as planes_of
from minicnn.backends.cpu.convolution.planes import stage, survey, tap_offsets, unstage
from minicnn.backends.cpu.convolution.scratch import too_large
from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.memory import empty
from minicnn.core.types import Array

ERROR = 5e-6  # max |y - y64| / max |y64| in float32
BLOCK = {"forward": 1 << 18, "input_grad": 1 << 19, "weight_grad": 1 << 19}  # elements of a lowered block: 1 or 2 MiB
POSITIONS = {"forward": 1024, "input_grad": 512, "weight_grad": 512}  # columns of a block that BLAS should see
MOST_POSITIONS = 2048
PRODUCT = 1 << 21  # elements of a product that is copied to its images afterwards
PARTS = 8  # parts of the positions whose weight gradients are summed apart, then joined in order
PARTIALS = 1 << 21  # elements that these partial sums may take


class Blocking(NamedTuple):
    """The sizes of one block, and of the scratch memory of one thread in elements."""

    images: int  # 1, or several whole images
    rows: int
    cols: int
    channels: int  # input channels of a group that are lowered together
    outputs: int  # output channels of a group that are multiplied together
    image_blocks: int
    row_blocks: int
    col_blocks: int
    planes: int
    columns: int
    side: int  # what the product of several images reads or writes


@lru_cache(maxsize=1024)
def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass: the staged plane of one channel takes too much memory."""
    return too_large(_memory(which, p, 4, 1), 4) or too_large(_memory(which, p, 8, 1), 8)


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass, for arrays of ``item`` bytes an element."""
    return _memory(which, p, item, threads.get_num_threads())


def _memory(which: str, p: Problem, item: int, workers: int) -> int:
    b = blocking(which, p)
    parts = _parts(p, b) if which == "weight_grad" else 1
    partial = parts * p.out_channels * p.taps if parts > 1 else 0  # a single part is the result
    return item * (workers * (b.planes + b.columns + b.side) + partial)


def operations(which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add; ``col2im`` adds each entry once."""
    lowered = p.images * p.out_h * p.out_w * p.in_channels * p.kernel_h * p.kernel_w
    return 2 * lowered * (p.out_channels // p.groups) + (lowered if which == "input_grad" else 0)


def forward(x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y = empty(p.y_shape, x.dtype)
    constants = np.zeros(p.out_channels, x.dtype) if bias is None else bias
    b = blocking("forward", p)
    with blas.single_threaded(x.dtype) as address:
        _forward(
            address, x.reshape(-1), w.reshape(-1), constants, y.reshape(-1), _scratch(b, x), p, planes_of.layout(p), b,
            relu, bias is not None or relu,
        )  # fmt: skip
    return y


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx = empty(p.x_shape, gy.dtype)
    b = blocking("input_grad", p)
    with blas.single_threaded(gy.dtype) as address:
        _input_grad(address, gy.reshape(-1), w.reshape(-1), gx.reshape(-1), _scratch(b, gy), p, planes_of.layout(p), b)
    return gx


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    b = blocking("weight_grad", p)
    parts = np.zeros((_parts(p, b), *p.w_shape), x.dtype)
    with blas.single_threaded(x.dtype) as address:
        _weight_grad(
            address, gy.reshape(-1), x.reshape(-1), parts.reshape(-1), _scratch(b, x), p, planes_of.layout(p), b
        )
    return join(parts)


def join(parts: Array) -> Array:
    """The sum of partial gradients along the first axis, in order and in float64."""
    if len(parts) == 1:
        return parts[0]
    total = np.empty(parts.shape[1:], parts.dtype)
    _join(parts.reshape(len(parts), -1), total.reshape(-1))
    return total


def even(total: int, most: int, tasks: int = 2) -> int:
    """Size of equal shares of at most ``most``; if they are several, or meet too few tasks, an even number of them."""
    count = max(1, -(-total // max(1, most)))
    if count > 1 or tasks < 2:
        count += count % 2
    return max(1, -(-total // count))


@lru_cache(maxsize=512)
def blocking(which: str, p: Problem) -> Blocking:
    """How that pass is divided: fixed by the problem alone, so that threads do not change the result."""
    ci, co = p.in_channels // p.groups, p.out_channels // p.groups
    taps, size = p.kernel_h * p.kernel_w, p.out_h * p.out_w
    block = BLOCK[which]
    wanted = min(max(block // max(1, ci * taps), POSITIONS[which]), MOST_POSITIONS, max(1, block // taps))
    if which != "forward":  # of several images, y' is gathered whole
        wanted = min(wanted, max(1, PRODUCT // max(1, co)))
    images = even(p.images, min(wanted // max(1, size), -(-p.images // 2)))
    rows, cols = p.out_h, p.out_w
    if size > wanted:
        cols = even(p.out_w, wanted)
        rows = even(p.out_h, wanted // cols) if cols == p.out_w else 1
    blocks = -(-p.images // images), -(-p.out_h // rows), -(-p.out_w // cols)
    tasks = blocks[0] * p.groups * (1 if which == "input_grad" else blocks[1] * blocks[2])
    length = images * rows * cols
    outputs = co
    if which == "forward":
        channels = even(ci, block // (taps * length))
        outputs = even(co, PRODUCT // length, tasks)
    else:
        channels = even(ci, block // (taps * length), tasks)
    side = outputs * length if images > 1 else 0
    staged = planes_of.size(planes_of.layout(p), rows, cols)
    return Blocking(images, rows, cols, channels, outputs, *blocks, staged, channels * taps * length, side)


def _parts(p: Problem, b: Blocking) -> int:
    """How many partial weight gradients."""
    units = b.image_blocks * b.row_blocks * b.col_blocks
    return max(1, min(units, PARTS, PARTIALS // max(1, p.out_channels * p.taps)))


def _scratch(b: Blocking, like: Array) -> Array:
    return empty((threads.get_num_threads(), b.planes + b.columns + b.side), like.dtype)


# -- one block --------------------------------------------------------------------------------------------------


@inline
def positions_of(block, p, b):  # type: ignore[no-untyped-def]
    """The images, rows and columns of a block of positions: first image, how many, and so on."""
    image, rest = divmod(block, b.row_blocks * b.col_blocks)
    row, col = divmod(rest, b.col_blocks)
    n, r, c = image * b.images, row * b.rows, col * b.cols
    images, rows, cols = min(b.images, p.images - n), min(b.rows, p.out_h - r), min(b.cols, p.out_w - c)
    return n, max(images, 0), r, max(rows, 0), c, max(cols, 0)


@inline
def _lower(x, first, channels, n, images, rows, cols, offsets, areas, planes, columns, p, plan):  # type: ignore[no-untyped-def]
    """columns[(i, a, b), (n, r, c)] of some channels, images, rows and columns."""
    height, width, piece, taps = rows + plan.reach_h, cols + plan.reach_w, rows * cols, offsets.shape[0]
    for i in range(channels):
        for m in range(images):
            stage(x, ((n + m) * p.in_channels + first + i) * p.in_h * p.in_w, areas, planes, height, width, p)
            for k in range(taps):
                at = ((i * taps + k) * images + m) * piece
                simd_rows.copy_rows(columns, at, cols, planes, offsets[k], width, rows, cols)


@inline
def _raise(gx, first, channels, n, images, rows, cols, offsets, areas, planes, columns, p, plan):  # type: ignore[no-untyped-def]
    """The adjoint of :func:`_lower` (``col2im``): add every entry to the pixel it came from."""
    height, width, piece, taps = rows + plan.reach_h, cols + plan.reach_w, rows * cols, offsets.shape[0]
    for i in range(channels):
        for m in range(images):
            simd_rows.fill(planes, 0, areas.shape[0] * height * width, planes.dtype.type(0))
            for k in range(taps):
                at = ((i * taps + k) * images + m) * piece
                simd_rows.add_rows(planes, offsets[k], width, columns, at, cols, rows, cols)
            unstage(planes, width, gx, ((n + m) * p.in_channels + first + i) * p.in_h * p.in_w, areas, p)


@inline
def gather_maps(gy, first, channels, n, images, piece, side, p):  # type: ignore[no-untyped-def]
    """side[o, (n, position)] of whole images."""
    for o in range(channels):
        source = (n * p.out_channels + first + o) * piece
        simd_rows.copy_rows(side, o * images * piece, piece, gy, source, p.out_channels * piece, images, piece)


# -- kernels ----------------------------------------------------------------------------------------------------


@kernel
def _forward(address, x, w, bias, y, scratch, p, plan, b, relu, finish):  # type: ignore[no-untyped-def]
    ci, co = p.in_channels // p.groups, p.out_channels // p.groups
    taps, size = p.kernel_h * p.kernel_w, p.out_h * p.out_w
    shares = -(-co // b.outputs)
    workers, zero, one = scratch.shape[0], scratch.dtype.type(0), scratch.dtype.type(1)
    tasks = b.image_blocks * b.row_blocks * b.col_blocks * p.groups * shares
    for worker in prange(workers):
        planes, areas = scratch[worker, : b.planes], np.empty((plan.phases_h * plan.phases_w, 4), np.int64)
        offsets = np.empty(taps, np.int64)
        columns, side = scratch[worker, b.planes : b.planes + b.columns], scratch[worker, b.planes + b.columns :]
        for task in range(int(worker), tasks, workers):
            block, rest = divmod(task, p.groups * shares)
            g, share = divmod(rest, shares)
            n, images, r, rows, c, cols = positions_of(block, p, b)
            survey(areas, r, c, rows + plan.reach_h, cols + plan.reach_w, p, plan)
            tap_offsets(offsets, rows + plan.reach_h, cols + plan.reach_w, p, plan)
            outputs, o0 = min(b.outputs, co - share * b.outputs), g * co + share * b.outputs
            length, out = images * rows * cols, (n * p.out_channels + o0) * size + r * p.out_w + c
            for i in range(0, ci, b.channels):  # each block of channels adds its share
                some, beta = min(b.channels, ci - i), one if i else zero
                _lower(x, g * ci + i, some, n, images, rows, cols, offsets, areas, planes, columns, p, plan)
                left, k = (o0 * ci + i) * taps, some * taps
                if b.images > 1:
                    blas.gemm(
                        address, 0, 0, outputs, length, k, w, left, ci * taps, columns, 0, length, beta, side, 0, length
                    )
                else:
                    blas.gemm(
                        address, 0, 0, outputs, length, k, w, left, ci * taps, columns, 0, length, beta, y, out, size
                    )
            for o in range(outputs):  # several images at once, or one in place
                to = out + o * size
                if b.images > 1:
                    simd_rows.finish_rows(
                        y, to, p.out_channels * size, side, o * length, size, images, size, bias[o0 + o], relu
                    )
                elif finish:
                    simd_rows.finish_rows(y, to, 0, y, to, 0, 1, length, bias[o0 + o], relu)


@kernel
def _input_grad(address, gy, w, gx, scratch, p, plan, b):  # type: ignore[no-untyped-def]
    ci, co = p.in_channels // p.groups, p.out_channels // p.groups
    taps, size = p.kernel_h * p.kernel_w, p.out_h * p.out_w
    blocks, tiles = -(-ci // b.channels), b.row_blocks * b.col_blocks
    workers, zero, pixels = scratch.shape[0], scratch.dtype.type(0), p.in_h * p.in_w
    tasks = b.image_blocks * p.groups * blocks
    for worker in prange(workers):
        planes, areas = scratch[worker, : b.planes], np.empty((plan.phases_h * plan.phases_w, 4), np.int64)
        offsets = np.empty(taps, np.int64)
        columns, side = scratch[worker, b.planes : b.planes + b.columns], scratch[worker, b.planes + b.columns :]
        held = -1  # the images and group that lie in ``side``
        for task in range(int(worker), tasks, workers):
            image, rest = divmod(task, p.groups * blocks)
            g, i = rest // blocks, rest % blocks * b.channels
            some = min(b.channels, ci - i)
            for m in range(image * b.images, min((image + 1) * b.images, p.images)):
                simd_rows.fill(gx, (m * p.in_channels + g * ci + i) * pixels, some * pixels, zero)
            for tile in range(tiles):  # in order: windows of neighbouring tiles overlap
                n, images, r, rows, c, cols = positions_of(image * tiles + tile, p, b)
                survey(areas, r, c, rows + plan.reach_h, cols + plan.reach_w, p, plan)
                tap_offsets(offsets, rows + plan.reach_h, cols + plan.reach_w, p, plan)
                left, k, length = (g * co * ci + i) * taps, some * taps, images * rows * cols
                if b.images > 1:
                    if held != task // blocks:
                        gather_maps(gy, g * co, co, n, images, size, side, p)
                        held = task // blocks
                    blas.gemm(
                        address, 1, 0, k, length, co, w, left, ci * taps, side, 0, length, zero, columns, 0, length
                    )
                else:
                    right = (n * p.out_channels + g * co) * size + r * p.out_w + c
                    blas.gemm(
                        address, 1, 0, k, length, co, w, left, ci * taps, gy, right, size, zero, columns, 0, length
                    )
                _raise(gx, g * ci + i, some, n, images, rows, cols, offsets, areas, planes, columns, p, plan)


@kernel
def _weight_grad(address, gy, x, gw, scratch, p, plan, b):  # type: ignore[no-untyped-def]
    ci, co = p.in_channels // p.groups, p.out_channels // p.groups
    taps, size = p.kernel_h * p.kernel_w, p.out_h * p.out_w
    blocks, units = -(-ci // b.channels), b.image_blocks * b.row_blocks * b.col_blocks
    total = p.out_channels * ci * taps
    parts = gw.size // max(total, 1)
    workers, one = scratch.shape[0], scratch.dtype.type(1)
    tasks = parts * p.groups * blocks
    for worker in prange(workers):
        planes, areas = scratch[worker, : b.planes], np.empty((plan.phases_h * plan.phases_w, 4), np.int64)
        offsets = np.empty(taps, np.int64)
        columns, side = scratch[worker, b.planes : b.planes + b.columns], scratch[worker, b.planes + b.columns :]
        for task in range(int(worker), tasks, workers):
            part, rest = divmod(task, p.groups * blocks)
            g, i = rest // blocks, rest % blocks * b.channels
            some = min(b.channels, ci - i)
            k, out = some * taps, part * total + (g * co * ci + i) * taps
            for unit in range(part * units // parts, (part + 1) * units // parts):
                n, images, r, rows, c, cols = positions_of(unit, p, b)
                survey(areas, r, c, rows + plan.reach_h, cols + plan.reach_w, p, plan)
                tap_offsets(offsets, rows + plan.reach_h, cols + plan.reach_w, p, plan)
                _lower(x, g * ci + i, some, n, images, rows, cols, offsets, areas, planes, columns, p, plan)
                length = images * rows * cols
                if b.images > 1:
                    gather_maps(gy, g * co, co, n, images, size, side, p)
                    blas.gemm(
                        address, 0, 1, co, k, length, side, 0, length, columns, 0, length, one, gw, out, ci * taps
                    )
                else:
                    left = (n * p.out_channels + g * co) * size + r * p.out_w + c
                    blas.gemm(address, 0, 1, co, k, length, gy, left, size, columns, 0, length, one, gw, out, ci * taps)


@kernel
def _join(parts, total):  # type: ignore[no-untyped-def]
    for j in prange(parts.shape[1]):
        value = np.float64(0)
        for part in range(parts.shape[0]):
            value += parts[part, j]
        total[j] = value
