"""Staging: a piece of one channel, padded with zeros and with its stride undone.

Phase (a, b) of a plane holds every stride-th row and column of the padded channel, from row a and column b on:

    planes[(a, b), r, c] = x[(first row + r) * stride + a - top, (first column + c) * stride + b - left]

What tap (a, b) of the window reads is then a rectangle of one phase, with neighbouring columns side by side whatever
the stride, and no bounds left to check. ``unstage`` is the adjoint.
"""

from typing import NamedTuple

from minicnn.backends.convolution import Problem
from minicnn.backends.cpu import simd_rows
from minicnn.backends.cpu.jit import inline


class Layout(NamedTuple):
    """How the planes of one piece are laid out, for ``rows`` by ``cols`` windows."""

    phases_h: int  # phases that a tap reads; a stride longer than the window leaves some out
    phases_w: int
    reach_h: int  # the farthest tap, in rows of a phase
    reach_w: int


def layout(p: Problem) -> Layout:
    """The layout of that problem's planes."""
    far_h, far_w = (p.kernel_h - 1) * p.dilation_h, (p.kernel_w - 1) * p.dilation_w
    return Layout(min(p.stride_h, far_h + 1), min(p.stride_w, far_w + 1), far_h // p.stride_h, far_w // p.stride_w)


def size(a: Layout, rows: int, cols: int) -> int:
    """Elements of the planes for ``rows`` by ``cols`` windows."""
    return a.phases_h * a.phases_w * (rows + a.reach_h) * (cols + a.reach_w)


@inline
def inside(shift, stride, size, count):  # type: ignore[no-untyped-def]
    """The indices 0 <= low..high <= count whose place i * stride + shift lies in 0..size."""
    low = min(max((stride - 1 - shift) // stride, 0), count)
    return low, max(min((size - 1 - shift) // stride + 1, count), low)


@inline
def tap_offsets(offsets, height, width, p, plan):  # type: ignore[no-untyped-def]
    """Where each tap starts in planes of that height and width."""
    for a in range(p.kernel_h):
        for b in range(p.kernel_w):
            down, right = a * p.dilation_h, b * p.dilation_w
            phase = down % p.stride_h * plan.phases_w + right % p.stride_w
            offsets[a * p.kernel_w + b] = (phase * height + down // p.stride_h) * width + right // p.stride_w


@inline
def survey(areas, row, col, height, width, p, plan):  # type: ignore[no-untyped-def]
    """What every channel has in common: for each phase, the part of it that lies in the image.

    A phase's line is its place in the planes, its place in the channel, rows and columns. Divisions are slow.
    """
    for a in range(plan.phases_h):
        down = row * p.stride_h + a - p.top
        top, bottom = inside(down, p.stride_h, p.in_h, height)
        for b in range(plan.phases_w):
            right = col * p.stride_w + b - p.left
            low, high = inside(right, p.stride_w, p.in_w, width)
            area = areas[a * plan.phases_w + b]
            area[0] = ((a * plan.phases_w + b) * height + top) * width + low
            area[1] = (down + top * p.stride_h) * p.in_w + right + low * p.stride_w
            area[2], area[3] = bottom - top, high - low


@inline
def stage(x, channel, areas, planes, height, width, p):  # type: ignore[no-untyped-def]
    """Fill planes of that height and width from the channel that starts at that element."""
    pitch, step = p.stride_h * p.in_w, p.stride_w
    for k in range(areas.shape[0]):
        area = areas[k]
        if area[2] * area[3] < height * width:
            simd_rows.fill(planes, k * height * width, height * width, planes.dtype.type(0))
        if step == 1:
            simd_rows.copy_rows(planes, area[0], width, x, channel + area[1], pitch, area[2], area[3])
        else:
            simd_rows.copy_strided(planes, area[0], width, 1, x, channel + area[1], pitch, step, area[2], area[3])


@inline
def unstage(planes, width, gx, channel, areas, p):  # type: ignore[no-untyped-def]
    """The adjoint of :func:`stage`: add the planes to the pixels they were staged from."""
    pitch, step = p.stride_h * p.in_w, p.stride_w
    for k in range(areas.shape[0]):
        area = areas[k]
        if step == 1:
            simd_rows.add_rows(gx, channel + area[1], pitch, planes, area[0], width, area[2], area[3])
        else:
            simd_rows.add_strided(gx, channel + area[1], pitch, step, planes, area[0], width, 1, area[2], area[3])
