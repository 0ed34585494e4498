"""Depthwise convolution: every channel has its own window, so nothing is summed over channels and memory sets the pace.

Each (image, channel) plane is staged once, padded and with its stride undone (see ``planes``), and stays in the cache
of one core. Laid out flat with W' elements a row, tap k of the window is then a constant offset, and the three passes
are three loops over the flat plane; y' is zero in the last W' - OW places of a row, which belong to no window:

- forward       y[q] = sum over k of w[k] * x[q + offset[k]]
- input_grad    x'[q + offset[k]] += w[k] * y'[q]
- weight_grad   w'[k] = sum over q of y'[q] * x[q + offset[k]]

A channel may have several outputs (the channel multiplier). A NaN or infinity among the factors may reach more
elements of the gradients than it should (zero times infinity in the places that belong to no window).
"""

from functools import lru_cache

import numpy as np

from minicnn.backends.convolution import Problem
from minicnn.backends.cpu import simd, simd_rows, threads
from minicnn.backends.cpu.convolution import planes as planes_of
from minicnn.backends.cpu.convolution.planes import stage, survey, tap_offsets, unstage
from minicnn.backends.cpu.convolution.scratch import too_large
from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.memory import empty
from minicnn.core.types import Array

ERROR = 5e-6  # max |y - y64| / max |y64| in float32
BAND = 1 << 14  # elements of a staged band of rows: 64 KiB of float32
LARGEST = 1 << 22  # elements that the band of a single row may take


@lru_cache(maxsize=1024)
def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass: every input channel must be a group."""
    if p.groups != p.in_channels:
        return f"there are {p.groups} groups for {p.in_channels} input channels, not one for each"
    stage = planes_of.size(planes_of.layout(p), 1, p.out_w)
    if stage > LARGEST:
        return f"one row of a window needs {stage} numbers of scratch memory, more than {LARGEST}"
    return too_large(_memory(which, p, 4, 1), 4) or too_large(_memory(which, p, 8, 1), 8)


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass, for arrays of ``item`` bytes an element."""
    return _memory(which, p, item, threads.get_num_threads())


def _memory(which: str, p: Problem, item: int, workers: int) -> int:
    partial = 8 * p.out_channels * p.taps if which == "weight_grad" else 0
    return item * workers * (sum(_sizes(p, _band(p), item)) + p.taps) + partial


def operations(which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add, with the places that belong to no window."""
    width = p.out_w + planes_of.layout(p).reach_w
    return 2 * p.images * p.out_channels * p.out_h * width * p.taps


def forward(x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y = empty(p.y_shape, x.dtype)
    constants = np.zeros(p.out_channels, x.dtype) if bias is None else bias
    _forward(x.reshape(-1), w.reshape(-1), constants, y.reshape(-1), *_scratch(p, x), p, planes_of.layout(p), relu)
    return y


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx = empty(p.x_shape, gy.dtype)
    _input_grad(gy.reshape(-1), w.reshape(-1), gx.reshape(-1), *_scratch(p, gy), p, planes_of.layout(p))
    return gx


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    gw = np.zeros((p.out_channels, p.taps))
    _weight_grad(gy.reshape(-1), x.reshape(-1), gw, *_scratch(p, x), p, planes_of.layout(p))
    return gw.astype(x.dtype).reshape(p.w_shape)


def _band(p: Problem) -> int:
    """Rows of y that are worked on at a time."""
    plan = planes_of.layout(p)
    each = plan.phases_h * plan.phases_w * (p.out_w + plan.reach_w)
    return max(1, min(p.out_h, BAND // max(1, each) - plan.reach_h))


def _sizes(p: Problem, band: int, item: int) -> tuple[int, int]:
    """Elements of the staged planes and of the flat rows of y, with the margin that whole runs need."""
    plan, margin = planes_of.layout(p), simd_rows.WAYS * simd.lanes(item)
    return planes_of.size(plan, band, p.out_w) + margin, band * (p.out_w + plan.reach_w) + margin


def _scratch(p: Problem, like: Array) -> tuple[Array, Array, int]:
    band, count = _band(p), threads.get_num_threads()
    planes, flat = _sizes(p, band, like.itemsize)
    return empty((count, planes), like.dtype), empty((count, flat), like.dtype), band


@inline
def _surveys(band, height, width, p, plan):  # type: ignore[no-untyped-def]
    """Where each tap starts, and for each band of rows what lies in the image."""
    offsets = np.empty(p.kernel_h * p.kernel_w, np.int64)
    tap_offsets(offsets, height, width, p, plan)
    bands = np.empty((-(-p.out_h // band), plan.phases_h * plan.phases_w, 4), np.int64)
    for k in range(bands.shape[0]):
        survey(bands[k], k * band, 0, height, width, p, plan)
    return offsets, bands


@inline
def _flatten(gy, at, rows, width, p, flat):  # type: ignore[no-untyped-def]
    """Rows of y' that are ``width`` apart, zero between them."""
    simd_rows.fill(flat, 0, rows * width, flat.dtype.type(0))
    simd_rows.copy_rows(flat, 0, width, gy, at, p.out_w, rows, p.out_w)


@kernel
def _forward(x, w, bias, y, scratch, flats, band, p, plan, relu):  # type: ignore[no-untyped-def]
    multiple, taps, size = p.out_channels // max(p.groups, 1), p.kernel_h * p.kernel_w, p.out_h * p.out_w
    height, width, workers = band + plan.reach_h, p.out_w + plan.reach_w, scratch.shape[0]
    offsets, bands = _surveys(band, height, width, p, plan)
    for worker in prange(workers):
        planes, flat = scratch[worker], flats[worker]
        for task in range(int(worker), p.images * p.groups, workers):
            n, i = divmod(task, p.groups)
            for k in range(bands.shape[0]):
                r, areas = k * band, bands[k]
                rows = min(band, p.out_h - r)
                stage(x, task * p.in_h * p.in_w, areas, planes, height, width, p)
                for o in range(i * multiple, (i + 1) * multiple):
                    length = (rows - 1) * width + p.out_w
                    simd_rows.weighted_shifts(flat, 0, planes, 0, offsets, w, o * taps, taps, length)
                    at = (n * p.out_channels + o) * size + r * p.out_w
                    simd_rows.finish_rows(y, at, p.out_w, flat, 0, width, rows, p.out_w, bias[o], relu)


@kernel
def _input_grad(gy, w, gx, scratch, flats, band, p, plan):  # type: ignore[no-untyped-def]
    multiple, taps, size = p.out_channels // max(p.groups, 1), p.kernel_h * p.kernel_w, p.out_h * p.out_w
    height, width, pixels = band + plan.reach_h, p.out_w + plan.reach_w, p.in_h * p.in_w
    workers, zero = scratch.shape[0], scratch.dtype.type(0)
    offsets, bands = _surveys(band, height, width, p, plan)
    for worker in prange(workers):
        planes, flat = scratch[worker], flats[worker]
        for task in range(int(worker), p.images * p.groups, workers):
            n, i = divmod(task, p.groups)
            simd_rows.fill(gx, task * pixels, pixels, zero)
            for k in range(bands.shape[0]):
                r, areas = k * band, bands[k]
                rows = min(band, p.out_h - r)
                simd_rows.fill(planes, 0, plan.phases_h * plan.phases_w * height * width, zero)
                for o in range(i * multiple, (i + 1) * multiple):
                    _flatten(gy, (n * p.out_channels + o) * size + r * p.out_w, rows, width, p, flat)
                    for tap in range(taps):
                        length = (rows - 1) * width + p.out_w
                        simd_rows.add_multiple(planes, offsets[tap], flat, 0, w[o * taps + tap], length)
                unstage(planes, width, gx, task * pixels, areas, p)


@kernel
def _weight_grad(gy, x, gw, scratch, flats, band, p, plan):  # type: ignore[no-untyped-def]
    multiple, taps, size = p.out_channels // max(p.groups, 1), p.kernel_h * p.kernel_w, p.out_h * p.out_w
    height, width, workers = band + plan.reach_h, p.out_w + plan.reach_w, scratch.shape[0]
    offsets, bands = _surveys(band, height, width, p, plan)
    for worker in prange(workers):
        planes, flat = scratch[worker], flats[worker]
        for i in range(int(worker), p.groups, workers):
            for n in range(p.images):
                for k in range(bands.shape[0]):
                    r, areas = k * band, bands[k]
                    rows = min(band, p.out_h - r)
                    stage(x, (n * p.in_channels + i) * p.in_h * p.in_w, areas, planes, height, width, p)
                    for o in range(i * multiple, (i + 1) * multiple):
                        _flatten(gy, (n * p.out_channels + o) * size + r * p.out_w, rows, width, p, flat)
                        for tap in range(taps):
                            length = (rows - 1) * width + p.out_w
                            gw[o, tap] += simd_rows.dot(flat, 0, planes, offsets[tap], length)
