"""1x1 convolution: every pixel is multiplied by the weight matrix, so each pass is one matrix product.

    forward       y = w @ x          (O, C) @ (C, P) for an image of P positions
    input_grad    x' = w^T @ y'
    weight_grad   w' = sum over images of y' @ x^T

Without stride and padding the factors lie in memory as BLAS wants them, and nothing is copied: a core multiplies a
run of positions at a time, so that the product is finished (bias, ReLU) while it lies in its cache. Where maps are
small, several images are gathered into one product; with a stride or padding, so are the pixels that windows meet.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minicnn.backends.convolution import Problem
from minicnn.backends.cpu import blas, simd_rows, threads
from minicnn.backends.cpu.convolution import planes as planes_of
from minicnn.backends.cpu.convolution.im2col import even, gather_maps, join, positions_of
from minicnn.backends.cpu.convolution.planes import stage, survey, unstage
from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.memory import empty
from minicnn.core.types import Array

ERROR = 5e-6  # max |y - y64| / max |y64| in float32
BLOCK = 1 << 17  # elements of the larger factor of one product: half a second-level cache
POSITIONS = (512, 2048)  # columns of a product
ENOUGH = 128  # positions of one image from which gathering several costs more than it saves
SCRATCH = 1 << 22  # elements that gathered factors may take
PARTS = 8  # parts of the positions whose weight gradients are summed apart, then joined in order
PARTIALS = 1 << 19  # elements that these partial sums may take
TASKS = 4  # products below which the rows of the result are divided too


class Blocking(NamedTuple):
    """The sizes of one product."""

    images: int  # 1, or several whole images
    rows: int
    cols: int
    image_blocks: int
    row_blocks: int
    col_blocks: int
    outputs: int  # rows of the result
    parts: int
    source: bool  # the right factor is gathered
    target: bool  # the result (of weight_grad: the left factor) is not multiplied in place


def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass: the kernel must be 1x1."""
    return None if p.kernel_h == p.kernel_w == 1 else f"the kernel is {p.kernel_h}x{p.kernel_w}, not 1x1"


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass, for arrays of ``item`` bytes an element."""
    b = blocking(which, p)
    partial = b.parts * p.out_channels * p.taps if which == "weight_grad" and b.parts > 1 else 0
    return item * (threads.get_num_threads() * sum(_sizes(which, p, b)) + partial)


def operations(which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add."""
    return 2 * p.images * p.out_channels * p.out_h * p.out_w * p.taps


def forward(x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y, b = empty(p.y_shape, x.dtype), blocking("forward", p)
    constants = np.zeros(p.out_channels, x.dtype) if bias is None else bias
    with blas.single_threaded(x.dtype) as address:
        _forward(
            address, x.reshape(-1), w.reshape(-1), constants, y.reshape(-1), *_scratch("forward", p, b, x), p,
            planes_of.layout(p), b, relu, relu or bias is not None,
        )  # fmt: skip
    return y


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx, b = empty(p.x_shape, gy.dtype), blocking("input_grad", p)
    scratch = _scratch("input_grad", p, b, gy)
    with blas.single_threaded(gy.dtype) as address:
        _input_grad(address, gy.reshape(-1), w.reshape(-1), gx.reshape(-1), *scratch, p, planes_of.layout(p), b)
    return gx


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    b = blocking("weight_grad", p)
    parts = np.zeros((b.parts, *p.w_shape), x.dtype)
    scratch = _scratch("weight_grad", p, b, x)
    with blas.single_threaded(x.dtype) as address:
        _weight_grad(address, gy.reshape(-1), x.reshape(-1), parts.reshape(-1), *scratch, p, planes_of.layout(p), b)
    return join(parts)


@lru_cache(maxsize=512)
def blocking(which: str, p: Problem) -> Blocking:
    """How that pass is divided: fixed by the problem alone, so that threads do not change the result."""
    ci, co, size = p.in_channels // p.groups, p.out_channels // p.groups, p.out_h * p.out_w
    wanted = min(max(BLOCK // max(ci, co, 1), POSITIONS[0]), POSITIONS[1], max(1, SCRATCH // max(1, ci + co)))
    in_place = (p.in_h, p.in_w, p.top, p.left, p.stride_h, p.stride_w) == (p.out_h, p.out_w, 0, 0, 1, 1)
    together = 1 if in_place and size > ENOUGH else wanted // max(1, size)
    images, rows, cols = even(p.images, min(together, -(-p.images // 2))), p.out_h, p.out_w
    if size > wanted:
        cols = even(p.out_w, wanted)
        rows = even(p.out_h, wanted // cols) if cols == p.out_w else 1
    blocks = -(-p.images // images), -(-p.out_h // rows), -(-p.out_w // cols)
    parts, tasks = 1, blocks[0] * p.groups
    if which == "weight_grad":
        parts = max(1, min(PARTS, blocks[0] * blocks[1] * blocks[2], PARTIALS // max(1, p.out_channels * p.taps)))
        tasks = parts * p.groups
    elif which == "forward" or in_place:
        tasks *= blocks[1] * blocks[2]
    channels = ci if which == "input_grad" else co
    outputs = even(channels, -(-channels * min(tasks, TASKS) // TASKS))
    one = images == 1
    source, target = (one, one and in_place) if which == "input_grad" else (one and in_place, one)
    return Blocking(images, rows, cols, *blocks, outputs, parts, not source, not target)


def _sizes(which: str, p: Problem, b: Blocking) -> tuple[int, int]:
    """Scratch elements of one thread: of the gathered right factor, and of what ``target`` says."""
    ci, co, length = p.in_channels // p.groups, p.out_channels // p.groups, b.images * b.rows * b.cols
    return (co if which == "input_grad" else ci) * length * b.source, b.outputs * length * b.target


def _scratch(which: str, p: Problem, b: Blocking, like: Array) -> tuple[Array, Array]:
    count = threads.get_num_threads()
    source, target = _sizes(which, p, b)
    return empty((count, source), like.dtype), empty((count, target), like.dtype)


@inline
def _gather_pixels(x, first, channels, n, images, rows, cols, areas, into, p):  # type: ignore[no-untyped-def]
    """into[i, (n, r, c)]: the pixels that the windows of these positions meet."""
    piece = rows * cols
    for i in range(channels):
        for m in range(images):
            channel = ((n + m) * p.in_channels + first + i) * p.in_h * p.in_w
            stage(x, channel, areas, into[(i * images + m) * piece :], rows, cols, p)


@kernel
def _forward(address, x, w, bias, y, sources, targets, p, plan, b, relu, finish):  # type: ignore[no-untyped-def]
    ci, co, size = p.in_channels // p.groups, p.out_channels // p.groups, p.out_h * p.out_w
    shares = -(-co // b.outputs)
    workers, zero = sources.shape[0], sources.dtype.type(0)
    blocks = b.image_blocks * b.row_blocks * b.col_blocks * p.groups
    for worker in prange(workers):
        source, target, areas = sources[worker], targets[worker], np.empty((1, 4), np.int64)
        held = -1  # the block of positions and group that lie in ``source``
        for task in range(int(worker), blocks * shares, workers):
            share, rest = divmod(task, blocks)
            block, g = divmod(rest, p.groups)
            n, images, r, rows, c, cols = positions_of(block, p, b)
            survey(areas, r, c, rows, cols, p, plan)
            m, o0 = min(b.outputs, co - share * b.outputs), g * co + share * b.outputs
            length, start = images * rows * cols, r * p.out_w + c
            out = (n * p.out_channels + o0) * size + start
            right, at, pitch = x, (n * p.in_channels + g * ci) * size + start, size
            if b.source:
                if held != rest:
                    _gather_pixels(x, g * ci, ci, n, images, rows, cols, areas, source, p)
                    held = rest
                right, at, pitch = source, 0, length
            if b.target:
                blas.gemm(address, 0, 0, m, length, ci, w, o0 * ci, ci, right, at, pitch, zero, target, 0, length)
            else:
                blas.gemm(address, 0, 0, m, length, ci, w, o0 * ci, ci, right, at, pitch, zero, y, out, size)
            for o in range(m):
                to = out + o * size
                if b.target:
                    simd_rows.finish_rows(
                        y, to, p.out_channels * size, target, o * length, size, images, size, bias[o0 + o], relu
                    )
                elif finish:
                    simd_rows.finish_rows(y, to, 0, y, to, 0, 1, length, bias[o0 + o], relu)


@kernel
def _input_grad(address, gy, w, gx, sources, targets, p, plan, b):  # type: ignore[no-untyped-def]
    ci, co, size, pixels = p.in_channels // p.groups, p.out_channels // p.groups, p.out_h * p.out_w, p.in_h * p.in_w
    shares, tiles = -(-ci // b.outputs), b.row_blocks * b.col_blocks
    outer = 1 if b.target else tiles  # tiles that are tasks of their own; others share a map that is set to zero
    workers, zero = sources.shape[0], sources.dtype.type(0)
    blocks = b.image_blocks * outer * p.groups
    for worker in prange(workers):
        source, target, areas = sources[worker], targets[worker], np.empty((1, 4), np.int64)
        held = -1  # the block of positions and group that lie in ``source``
        for task in range(int(worker), blocks * shares, workers):
            share, rest = divmod(task, blocks)
            block, g = divmod(rest, p.groups)
            some, i0 = min(b.outputs, ci - share * b.outputs), g * ci + share * b.outputs
            first, last = block * (tiles // outer), (block + 1) * (tiles // outer)
            if b.target:
                for m in range(first // tiles * b.images, min((first // tiles + 1) * b.images, p.images)):
                    simd_rows.fill(gx, (m * p.in_channels + i0) * pixels, some * pixels, zero)
            for tile in range(first, last):
                n, images, r, rows, c, cols = positions_of(tile, p, b)
                survey(areas, r, c, rows, cols, p, plan)
                length, start = images * rows * cols, r * p.out_w + c
                left = g * co * ci + i0 - g * ci
                right, at, pitch = gy, (n * p.out_channels + g * co) * size + start, size
                if b.source:
                    if held != rest:
                        gather_maps(gy, g * co, co, n, images, size, source, p)
                        held = rest
                    right, at, pitch = source, 0, length
                if not b.target:
                    out = (n * p.in_channels + i0) * size + start
                    blas.gemm(address, 1, 0, some, length, co, w, left, ci, right, at, pitch, zero, gx, out, size)
                    continue
                blas.gemm(address, 1, 0, some, length, co, w, left, ci, right, at, pitch, zero, target, 0, length)
                for i in range(some):
                    for m in range(images):
                        channel = ((n + m) * p.in_channels + i0 + i) * pixels
                        unstage(target[(i * images + m) * rows * cols :], cols, gx, channel, areas, p)


@kernel
def _weight_grad(address, gy, x, gw, sources, targets, p, plan, b):  # type: ignore[no-untyped-def]
    ci, co, size = p.in_channels // p.groups, p.out_channels // p.groups, p.out_h * p.out_w
    shares, units = -(-co // b.outputs), b.image_blocks * b.row_blocks * b.col_blocks
    workers, one = sources.shape[0], sources.dtype.type(1)
    tasks = b.parts * p.groups * shares
    for worker in prange(workers):
        source, target, areas = sources[worker], targets[worker], np.empty((1, 4), np.int64)
        for task in range(int(worker), tasks, workers):
            part, rest = divmod(task, p.groups * shares)
            g, share = divmod(rest, shares)
            m, o0 = min(b.outputs, co - share * b.outputs), g * co + share * b.outputs
            out = (part * p.out_channels + o0) * ci
            for unit in range(part * units // b.parts, (part + 1) * units // b.parts):
                n, images, r, rows, c, cols = positions_of(unit, p, b)
                survey(areas, r, c, rows, cols, p, plan)
                length, start = images * rows * cols, r * p.out_w + c
                left, left_at, left_pitch = gy, (n * p.out_channels + o0) * size + start, size
                right, right_at, right_pitch = x, (n * p.in_channels + g * ci) * size + start, size
                if b.target:
                    gather_maps(gy, o0, m, n, images, size, target, p)
                    left, left_at, left_pitch = target, 0, length
                if b.source:
                    _gather_pixels(x, g * ci, ci, n, images, rows, cols, areas, source, p)
                    right, right_at, right_pitch = source, 0, length
                blas.gemm(
                    address, 0, 1, m, ci, length, left, left_at, left_pitch, right, right_at, right_pitch, one,
                    gw, out, ci,
                )  # fmt: skip
