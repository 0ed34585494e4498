"""Direct convolution on shifted flat images: no lowering, vectors along the positions.

Lay an image out as one flat buffer with W' elements a row. Tap (i, a, b) of the window is then a constant *offset*
into that buffer, and output position q = r*W' + c is

    acc[o, q] = bias[o] + sum over taps k of w[o, k] * x[q + offset[k]]

one loop of multiply-adds over neighbouring q, with a tile of outputs held in registers. The last KW-1 positions of
every row are computed too and dropped. Strides are undone while staging: plane (a % stride) of the buffer holds every
stride-th row, so that a tap is an offset again. The three passes are

- forward       stage x, run the tile over all taps
- input_grad    for each residue of the input's rows and columns modulo the stride, the taps that reach it form an
                ordinary correlation of y'
- weight_grad   dot products of y' (zero in the dropped positions) with x at each offset, several images at a time

It suits few channels, where lowering costs more than multiplying. Images are worked on in bands of rows, so the
workspace is a band per thread. A NaN or infinity in x may reach more elements of the weight gradient than it should
(zero times infinity in the dropped positions).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minicnn.backends.convolution import Problem
from minicnn.backends.cpu import simd, simd_rows, threads
from minicnn.backends.cpu.convolution.scratch import too_large, up
from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.memory import empty
from minicnn.core.types import Array

ERROR = 5e-6  # max |y - y64| / max |y64| in float32
BAND = 1 << 16  # elements of staged input that a band of rows may take: 256 KiB of float32
POSITIONS = 1 << 12  # positions that a dot product covers before its sum goes to float64
PARTS = 16  # parts of the batch whose weight gradients are summed apart, then joined in order
PARTIALS = 1 << 20  # elements that these partial sums may take
LARGEST = 1 << 22  # elements of staged input that one row may take: rows are not divided
LINES = 1 << 21  # elements of y' that a weight gradient lays out at a time
LONGEST = 2048  # products that are added one after the other: more of them round to more than ``ERROR``
MARGIN = 64  # elements that a tile may read or write past the end
ROWS, DOT_ROWS, COLUMNS, VECTORS = simd.ROWS, simd.DOT_ROWS, simd.COLUMNS, simd.VECTORS


class Plan(NamedTuple):
    """One correlation of staged planes: what is staged, and where the result goes."""

    images: int
    groups: int
    group_in: int  # staged channels of a group
    group_out: int  # result channels of a group
    src_h: int
    src_w: int
    top: int  # zeros before the first staged row; negative: rows left out
    left: int
    split_h: int  # rows are dealt out to that many planes
    split_w: int
    rows: int  # size of the result
    cols: int
    reach_h: int  # the farthest tap, in plane rows
    reach_w: int
    dst_top: int = 0  # result row r goes to row dst_top + r * dst_step_h
    dst_left: int = 0
    dst_step_h: int = 1
    dst_step_w: int = 1


class Sizes(NamedTuple):
    """What follows from a plan: the blocking, and the scratch memory of one thread in elements."""

    band: int  # result rows worked on at a time
    stage: int  # the staged planes of one band
    pitch: int  # one channel of results, rounded up to tiles


def _sizes(p: Plan, lines: int = 0) -> Sizes:
    """The blocking; ``lines``: channels of y' that are laid out beside the staged planes."""
    planes, width = p.group_in * p.split_h * p.split_w, p.cols + p.reach_w
    band = min(p.rows, BAND // max(1, planes * width) - p.reach_h)
    band = max(1, min(band, LINES // max(1, lines * width)) if lines else band)
    return Sizes(band, planes * (band + p.reach_h) * width + MARGIN, band * width + MARGIN)


@lru_cache(maxsize=1024)
def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass: sums are too long, or a band of one row takes too much memory."""
    if which == "input_grad":
        plans = [part[:3] for part in _input_plans(p)]
    else:
        plans = [_sum_plan(p) if which == "weight_grad" else _forward_plan(p)]
    stage = max((sizes.stage for _, _, sizes in plans), default=0)
    if stage > LARGEST:
        return f"one row of a window needs {stage} numbers of scratch memory, more than {LARGEST}"
    longest = 0 if which == "weight_grad" else max((len(offsets) for _, offsets, _ in plans), default=0)
    if longest > LONGEST:
        return f"sums of {longest} products one after the other round too much, {LONGEST} are allowed"
    return too_large(_memory(which, p, 4, 1), 4) or too_large(_memory(which, p, 8, 1), 8)


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass, for arrays of ``item`` bytes an element."""
    return _memory(which, p, item, threads.get_num_threads())


def _memory(which: str, p: Problem, item: int, workers: int) -> int:
    each: int
    if which == "weight_grad":
        plan, _, sizes = _sum_plan(p)
        each = _together(p, plan, sizes) * (sizes.stage + up(plan.group_out, DOT_ROWS) * sizes.pitch)
        partial = 8 * (_parts(p, plan, sizes) + 1) * p.out_channels * p.taps
    else:
        found = [_forward_plan(p)[2]] if which == "forward" else [part[2] for part in _input_plans(p)]
        each, partial = max(sizes.stage + ROWS * sizes.pitch for sizes in found), item * 2 * p.out_channels * p.taps
    return item * workers * each + partial


def operations(which: str, p: Problem) -> int:
    """Floating-point operations of that pass, with the dropped positions and the rows that fill up a tile."""
    if which == "weight_grad":
        plan, offsets, _ = _sum_plan(p)
        found = [(plan, up(plan.group_out, DOT_ROWS) * up(len(offsets), COLUMNS))]
    else:
        parts = [_forward_plan(p)] if which == "forward" else [part[:3] for part in _input_plans(p)]
        found = [(plan, up(plan.group_out, ROWS) * len(offsets)) for plan, offsets, _ in parts]
    return sum(2 * p.images * p.groups * each * plan.rows * (plan.cols + plan.reach_w) for plan, each in found)


def forward(x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y = empty(p.y_shape, x.dtype)
    plan, offsets, sizes = _forward_plan(p)
    _run(x, w.reshape(p.groups, plan.group_out, p.taps), bias, y, plan, offsets, sizes, relu)
    return y


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx = empty(p.x_shape, gy.dtype)
    swapped = w.reshape(p.groups, -1, *w.shape[1:]).swapaxes(1, 2)  # (G, C/G, O/G, KH, KW)
    for plan, offsets, sizes, rows, cols in _input_plans(p):
        taps = np.ascontiguousarray(swapped[..., rows, :][..., cols])
        _run(gy, taps.reshape(p.groups, plan.group_out, len(offsets)), None, gx, plan, offsets, sizes)
    return gx


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    plan, offsets, sizes = _sum_plan(p)
    parts = np.zeros((_parts(p, plan, sizes), p.out_channels, p.taps))
    images = _together(p, plan, sizes)
    _dot_products(x, gy, offsets, parts, plan, *sizes, images, simd.lanes(x.itemsize), threads.get_num_threads())
    return parts.sum(axis=0).astype(x.dtype).reshape(p.w_shape)


def _run(
    source: Array, w: Array, bias: Array | None, target: Array, plan: Plan, offsets: Array, sizes: Sizes,
    relu: bool = False,
) -> None:  # fmt: skip
    """Correlate with weights ``w`` (groups, result channels, taps) and write the results where the plan says."""
    if bias is None:
        bias = np.zeros(plan.groups * plan.group_out, source.dtype)
    lanes, workers = simd.lanes(source.itemsize), threads.get_num_threads()
    _correlate(source, w, offsets, bias, target, plan, *sizes, lanes, workers, relu)


# -- plans: which element of the staged planes each tap reads ---------------------------------------------------


def _sum_plan(p: Problem) -> tuple[Plan, Array, Sizes]:
    """The plan of the weight gradient, whose bands hold y' too."""
    return _forward_plan(p, up(p.out_channels // p.groups, DOT_ROWS))


@lru_cache(maxsize=512)
def _forward_plan(p: Problem, lines: int = 0) -> tuple[Plan, Array, Sizes]:
    """Stage x; tap (a, b) lies in plane (a*dilation % stride), shifted by a*dilation // stride rows."""
    ci, co = p.in_channels // p.groups, p.out_channels // p.groups
    reach_h, reach_w = (p.kernel_h - 1) * p.dilation_h // p.stride_h, (p.kernel_w - 1) * p.dilation_w // p.stride_w
    split = (p.stride_h, p.stride_w)
    plan = Plan(p.images, p.groups, ci, co, p.in_h, p.in_w, p.top, p.left, *split, p.out_h, p.out_w, reach_h, reach_w)
    i, a, b = np.ogrid[:ci, : p.kernel_h, : p.kernel_w]
    a, b = a * p.dilation_h, b * p.dilation_w
    plane = (i * p.stride_h + a % p.stride_h) * p.stride_w + b % p.stride_w
    sizes = _sizes(plan, lines)
    row = plane * (sizes.band + reach_h) + a // p.stride_h
    return plan, (row * (p.out_w + reach_w) + b // p.stride_w).reshape(-1).astype(np.int64), sizes


@lru_cache(maxsize=512)
def _input_plans(p: Problem) -> tuple[tuple[Plan, Array, Sizes, Array, Array], ...]:
    """Stage y'; one plan for each residue of (row + top, column + left) modulo the stride, with its taps."""
    ci, co = p.in_channels // p.groups, p.out_channels // p.groups
    plans = []
    for a in range(min(p.stride_h, p.in_h)):
        v = _residue((a + p.top) % p.stride_h, p.in_h, p.kernel_h, p.stride_h, p.top, p.dilation_h)
        for b in range(min(p.stride_w, p.in_w)):
            h = _residue((b + p.left) % p.stride_w, p.in_w, p.kernel_w, p.stride_w, p.left, p.dilation_w)
            shape = (ci, p.out_h, p.out_w, v.zeros, h.zeros, 1, 1, v.length, h.length, v.reach, h.reach)
            plan = Plan(p.images, p.groups, co, *shape, v.first, h.first, p.stride_h, p.stride_w)
            sizes = _sizes(plan)
            o, row, col = np.arange(co)[:, None, None], v.shifts[:, None], h.shifts
            offsets = (o * (sizes.band + v.reach) + row) * (h.length + h.reach) + col
            plans.append((plan, offsets.reshape(-1).astype(np.int64), sizes, v.taps, h.taps))
    return tuple(plans)


class _Axis(NamedTuple):
    first: int  # the first input index of this residue
    length: int  # how many there are
    zeros: int  # zeros before y' in the staged plane
    reach: int
    taps: Array  # the window's taps that reach these indices
    shifts: Array  # where each reads in the staged plane


def _residue(residue: int, size: int, kernel: int, stride: int, pad: int, dilation: int) -> _Axis:
    """Index i with i + pad = q*stride + residue gets y'[q - m] through tap k if k*dilation = m*stride + residue."""
    taps = np.array([k for k in range(kernel) if (k * dilation - residue) % stride == 0], np.int64)
    m = (taps * dilation - residue) // stride
    most, least = (int(m.max()), int(m.min())) if len(m) else (0, 0)
    q = -((residue - pad) // stride)
    first = q * stride + residue - pad
    return _Axis(first, -((first - size) // stride), most - q, most - least, taps, most - m)


def _together(p: Problem, plan: Plan, sizes: Sizes) -> int:
    """Images whose dot products are taken in one go: short ones leave too little to do between two additions."""
    if sizes.band < plan.rows:
        return 1
    most = LINES // max(1, sizes.stage + up(plan.group_out, DOT_ROWS) * sizes.pitch)
    return max(1, min(POSITIONS // max(1, plan.rows * (plan.cols + plan.reach_w)), p.images // 8, most))


def _parts(p: Problem, plan: Plan, sizes: Sizes) -> int:
    """How many partial weight gradients: fixed by the problem alone, so that threads do not change the result."""
    units = -(-p.images // _together(p, plan, sizes)) * -(-plan.rows // sizes.band)
    return max(1, min(units, PARTS, PARTIALS // max(1, p.out_channels * p.taps)))


# -- kernels ----------------------------------------------------------------------------------------------------


@inline
def _stage(x, n, first, start, planes, at, p, height):  # type: ignore[no-untyped-def]
    """Fill the planes with rows start, start + 1, ... of channels first.. of image n; outside the image is zero."""
    width = p.cols + p.reach_w
    for i in range(first, first + p.group_in):
        for a in range(p.split_h):
            for b in range(p.split_w):
                shift = b - p.left
                low = min(max((p.split_w - 1 - shift) // p.split_w, 0), width)
                high = max(min((p.src_w - 1 - shift) // p.split_w + 1, width), low)
                for r in range(start, start + height):
                    row = r * p.split_h + a - p.top
                    if row < 0 or row >= p.src_h:
                        for c in range(width):
                            planes[at + c] = 0
                    else:
                        source = x[n, i, row]
                        for c in range(low):
                            planes[at + c] = 0
                        if p.split_w == 1:
                            simd.copy(planes, at + low, source, low + shift, high - low)
                        else:
                            for c in range(low, high):
                                planes[at + c] = source[c * p.split_w + shift]
                        for c in range(high, width):
                            planes[at + c] = 0
                    at += width
    for c in range(MARGIN):
        planes[at + c] = 0


@inline
def _pack(w, bias, groups, group_out, taps):  # type: ignore[no-untyped-def]
    """Weights as (blocks of ROWS channels, taps, ROWS) and biases likewise, filled up with zeros."""
    blocks = -(-group_out // ROWS)
    tiles, constants = np.zeros(groups * blocks * taps * ROWS, w.dtype), np.zeros(groups * blocks * ROWS, w.dtype)
    for g in range(groups):
        for o in range(group_out):
            block, r = g * blocks + o // ROWS, o % ROWS
            constants[block * ROWS + r] = bias[g * group_out + o]
            for k in range(taps):
                tiles[(block * taps + k) * ROWS + r] = w[g, o, k]
    return tiles, constants


@kernel
def _correlate(x, weights, offsets, biases, y, p, band, size, pitch, lanes, workers, relu):  # type: ignore[no-untyped-def]
    taps, width = offsets.shape[0], p.cols + p.reach_w
    bands, blocks = -(-p.rows // band), -(-p.group_out // ROWS)
    tasks = p.images * p.groups * bands
    w, bias = _pack(weights, biases, p.groups, p.group_out, taps)
    for worker in prange(workers):
        planes, acc = np.empty(size, x.dtype), np.empty(ROWS * pitch, x.dtype)
        for task in range(int(worker), tasks, workers):
            n, rest = divmod(task, p.groups * bands)
            g, start = rest // bands, rest % bands * band
            rows = min(band, p.rows - start)
            _stage(x, n, g * p.group_in, start, planes, 0, p, band + p.reach_h)
            length = (rows - 1) * width + p.cols
            for block in range(blocks):
                channel = (g * blocks + block) * ROWS
                q = 0
                while q + VECTORS * lanes <= length:
                    simd.correlate_wide(planes, q, offsets, w, channel * taps, taps, bias, channel, acc, pitch)
                    q += VECTORS * lanes
                while q < length:
                    simd.correlate_one(planes, q, offsets, w, channel * taps, taps, bias, channel, acc, pitch)
                    q += lanes
                for o in range(min(ROWS, p.group_out - block * ROWS)):
                    for r in range(rows):
                        target = y[n, g * p.group_out + block * ROWS + o, p.dst_top + (start + r) * p.dst_step_h]
                        if relu:
                            at = o * pitch + r * width
                            simd_rows.finish_rows(target, 0, 0, acc, at, 0, 1, p.cols, acc.dtype.type(0), True)
                        elif p.dst_step_w == 1:
                            simd.copy(target, p.dst_left, acc, o * pitch + r * width, p.cols)
                        else:
                            for c in range(p.cols):
                                target[p.dst_left + c * p.dst_step_w] = acc[o * pitch + r * width + c]


@kernel
def _dot_products(x, gy, shifts, parts, p, band, size, pitch, images, lanes, workers):  # type: ignore[no-untyped-def]
    width, taps = p.cols + p.reach_w, shifts.shape[0]
    bands, channels = -(-p.rows // band), -(-p.group_out // DOT_ROWS) * DOT_ROWS
    units = -(-p.images // images) * bands  # a unit is one band of some images
    piece = POSITIONS // lanes
    offsets = np.zeros(-(-taps // COLUMNS) * COLUMNS, np.int64)
    offsets[:taps] = shifts
    for worker in prange(workers):
        planes, tile = np.empty(images * size, x.dtype), np.empty(DOT_ROWS * COLUMNS, x.dtype)
        lines = np.zeros(images * channels * pitch, x.dtype)  # rows without a channel stay zero
        for task in range(int(worker), parts.shape[0] * p.groups, workers):
            part, g = task // p.groups, task % p.groups
            for unit in range(part * units // parts.shape[0], (part + 1) * units // parts.shape[0]):
                first, start = unit // bands * images, unit % bands * band
                some, rows = min(images, p.images - first), min(band, p.rows - start)
                steps = -(-((rows - 1) * width + p.cols) // lanes)
                for n in range(some):
                    _stage(x, first + n, g * p.group_in, start, planes, n * size, p, band + p.reach_h)
                    for o in range(p.group_out):
                        at = (n * channels + o) * pitch
                        for r in range(rows):
                            source = gy[first + n, g * p.group_out + o, start + r]
                            simd.copy(lines, at, source, 0, p.cols)
                            for c in range(p.cols, width):
                                lines[at + c] = 0
                            at += width
                        for c in range(lanes):
                            lines[at + c] = 0
                for o in range(0, p.group_out, DOT_ROWS):
                    for k in range(0, taps, COLUMNS):
                        for s in range(0, steps, piece):
                            simd.dots(
                                lines, o * pitch + s * lanes, pitch, channels * pitch,
                                planes, s * lanes, size, offsets, k, min(piece, steps - s), some, tile,
                            )  # fmt: skip
                            for r in range(min(DOT_ROWS, p.group_out - o)):
                                for c in range(min(COLUMNS, taps - k)):
                                    parts[part, g * p.group_out + o + r, k + c] += tile[r * COLUMNS + c]
