"""Lowering: copy the input under each tap into a row of a matrix, then multiply matrices.

For one image and one group, with columns[(i, a, b), (r, c)] = x[i, r*stride + a*dilation - top, ...]:

- forward       y = w @ columns          (O, T) @ (T, P), T = C/G * KH * KW taps, P = OH * OW positions
- weight_grad   w' = sum over n of y' @ columns^T
- input_grad    columns' = w^T @ y', then added back to where each entry came from (``col2im``)

The whole matrix would be KH*KW times the input. Here each core lowers one block of at most ``BLOCK`` elements, some
channels by some positions, and multiplies it while it lies in that core's cache: the workspace is one block a thread.
"""

import numpy as np

from minicnn.backends.convolution import Problem
from minicnn.backends.cpu import blas, simd, threads
from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.core.types import Array

BLOCK = 1 << 18  # elements of one lowered block: 1 MiB of float32, about a second-level cache
POSITIONS = 2048  # columns of a block: enough for BLAS to run at full speed
PARTS = 8  # parts of the batch whose weight gradients are summed apart, then joined in order
PARTIALS = 1 << 21  # elements that these partial sums may take


def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass; it can do all."""
    return None


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass, for arrays of ``item`` bytes an element."""
    positions, channels = _blocking(p)
    taps = p.kernel_h * p.kernel_w
    partial = _parts(p) * p.out_channels * p.taps if which == "weight_grad" else 0
    return item * (threads.get_num_threads() * channels * taps * positions + partial)


def forward(x: Array, w: Array, bias: Array | None, p: Problem) -> Array:
    """``y = conv(x, w) + bias``."""
    y = np.empty(p.y_shape, x.dtype)
    y[...] = 0 if bias is None else bias[:, None, None]
    positions, channels = _blocking(p)
    with blas.single_threaded(x.dtype) as address:
        _forward(address, x.reshape(-1), w.reshape(-1), y.reshape(-1), _scratch(p, x), p, positions, channels)
    return y


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx = np.zeros(p.x_shape, gy.dtype)
    positions, channels = _blocking(p)
    with blas.single_threaded(gy.dtype) as address:
        _input_grad(address, gy.reshape(-1), w.reshape(-1), gx.reshape(-1), _scratch(p, gy), p, positions, channels)
    return gx


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    parts = np.zeros((_parts(p), *p.w_shape), x.dtype)
    positions, channels = _blocking(p)
    with blas.single_threaded(x.dtype) as address:
        _weight_grad(address, gy.reshape(-1), x.reshape(-1), parts.reshape(-1), _scratch(p, x), p, positions, channels)
    return parts[0] if len(parts) == 1 else parts.sum(axis=0, dtype=np.float64).astype(x.dtype)


def _blocking(p: Problem) -> tuple[int, int]:
    """Positions and channels of one block."""
    taps = p.kernel_h * p.kernel_w
    positions = max(1, min(p.out_h * p.out_w, POSITIONS, BLOCK // taps))
    return positions, max(1, min(p.in_channels // p.groups, BLOCK // (taps * positions)))


def _parts(p: Problem) -> int:
    """How many partial weight gradients: fixed by the problem alone, so that threads do not change the result."""
    return max(1, min(p.images, PARTS, PARTIALS // max(1, p.out_channels * p.taps)))


def _scratch(p: Problem, like: Array) -> Array:
    positions, channels = _blocking(p)
    return np.empty((threads.get_num_threads(), channels * p.kernel_h * p.kernel_w * positions), like.dtype)


@inline
def _inside(shift, stride, size, c0, c1):  # type: ignore[no-untyped-def]
    """The columns c0 <= low..high <= c1 whose pixel c * stride + shift lies in a row of that size."""
    low = min(max((stride - 1 - shift) // stride, c0), c1)
    return low, max(min((size - 1 - shift) // stride + 1, c1), low)


@inline
def _lower(x, n, first, channels, start, stop, columns, p):  # type: ignore[no-untyped-def]
    """columns[(i, a, b), start..stop] from channels first..first+channels of image n; outside the image is zero."""
    at, top_row, bottom_row = 0, start // p.out_w, (stop - 1) // p.out_w
    for i in range(first, first + channels):
        for a in range(p.kernel_h):
            for b in range(p.kernel_w):
                shift = b * p.dilation_w - p.left
                for r in range(top_row, bottom_row + 1):  # one output row, or what of it lies in the block, at a time
                    c0, c1 = max(start - r * p.out_w, 0), min(stop - r * p.out_w, p.out_w)
                    row = r * p.stride_h + a * p.dilation_h - p.top
                    low, high = c1, c1
                    if 0 <= row < p.in_h:
                        low, high = _inside(shift, p.stride_w, p.in_w, c0, c1)
                    for c in range(at, at + low - c0):
                        columns[c] = 0
                    at += low - c0
                    if high > low:
                        source = ((n * p.in_channels + i) * p.in_h + row) * p.in_w + low * p.stride_w + shift
                        if p.stride_w == 1:
                            simd.copy(columns, at, x, source, high - low)
                        else:
                            for c in range(high - low):
                                columns[at + c] = x[source + c * p.stride_w]
                    at += high - low
                    for c in range(at, at + c1 - high):
                        columns[c] = 0
                    at += c1 - high


@inline
def _raise(gx, n, first, channels, start, stop, columns, p):  # type: ignore[no-untyped-def]
    """The adjoint of :func:`_lower` (``col2im``): add every entry to the pixel it came from."""
    at, top_row, bottom_row = 0, start // p.out_w, (stop - 1) // p.out_w
    for i in range(first, first + channels):
        for a in range(p.kernel_h):
            for b in range(p.kernel_w):
                shift = b * p.dilation_w - p.left
                for r in range(top_row, bottom_row + 1):
                    c0, c1 = max(start - r * p.out_w, 0), min(stop - r * p.out_w, p.out_w)
                    row = r * p.stride_h + a * p.dilation_h - p.top
                    if 0 <= row < p.in_h:
                        low, high = _inside(shift, p.stride_w, p.in_w, c0, c1)
                        target = ((n * p.in_channels + i) * p.in_h + row) * p.in_w + low * p.stride_w + shift
                        if p.stride_w == 1:
                            for c in range(high - low):
                                gx[target + c] += columns[at + low - c0 + c]
                        else:
                            for c in range(high - low):
                                gx[target + c * p.stride_w] += columns[at + low - c0 + c]
                    at += c1 - c0


@kernel
def _forward(address, x, w, y, scratch, p, positions, channels):  # type: ignore[no-untyped-def]
    ci, co, taps = p.in_channels // p.groups, p.out_channels // p.groups, p.kernel_h * p.kernel_w
    size = p.out_h * p.out_w
    chunks = -(-size // positions)
    workers, one = scratch.shape[0], scratch.dtype.type(1)
    tasks = p.images * p.groups * chunks
    for worker in prange(workers):
        columns = scratch[worker]
        for task in range(int(worker), tasks, workers):
            n, rest = divmod(task, p.groups * chunks)
            g, chunk = divmod(rest, chunks)
            start = chunk * positions
            length = min(positions, size - start)
            out = (n * p.out_channels + g * co) * size + start
            for i in range(0, ci, channels):  # the bias is in y already; each block of channels adds its share
                some = min(channels, ci - i)
                _lower(x, n, g * ci + i, some, start, start + length, columns, p)
                k = some * taps
                left = (g * co * ci + i) * taps
                blas.gemm(address, 0, 0, co, length, k, w, left, ci * taps, columns, 0, length, one, y, out, size)


@kernel
def _input_grad(address, gy, w, gx, scratch, p, positions, channels):  # type: ignore[no-untyped-def]
    ci, co, taps = p.in_channels // p.groups, p.out_channels // p.groups, p.kernel_h * p.kernel_w
    size = p.out_h * p.out_w
    blocks = -(-ci // channels)
    workers, zero = scratch.shape[0], scratch.dtype.type(0)
    tasks = p.images * p.groups * blocks
    for worker in prange(workers):
        columns = scratch[worker]
        for task in range(int(worker), tasks, workers):
            n, rest = divmod(task, p.groups * blocks)
            g, block = divmod(rest, blocks)
            i = block * channels
            some = min(channels, ci - i)
            left = (g * co * ci + i) * taps
            for start in range(0, size, positions):  # in order: windows of neighbouring blocks overlap
                length = min(positions, size - start)
                right = (n * p.out_channels + g * co) * size + start
                k = some * taps
                blas.gemm(address, 1, 0, k, length, co, w, left, ci * taps, gy, right, size, zero, columns, 0, length)
                _raise(gx, n, g * ci + i, some, start, start + length, columns, p)


@kernel
def _weight_grad(address, gy, x, gw, scratch, p, positions, channels):  # type: ignore[no-untyped-def]
    ci, co, taps = p.in_channels // p.groups, p.out_channels // p.groups, p.kernel_h * p.kernel_w
    size = p.out_h * p.out_w
    blocks = -(-ci // channels)
    total = p.out_channels * ci * taps
    parts = gw.size // max(total, 1)
    workers, one = scratch.shape[0], scratch.dtype.type(1)
    tasks = parts * p.groups * blocks
    for worker in prange(workers):
        columns = scratch[worker]
        for task in range(int(worker), tasks, workers):
            part, rest = divmod(task, p.groups * blocks)
            g, block = divmod(rest, blocks)
            i = block * channels
            some = min(channels, ci - i)
            k = some * taps
            out = part * total + (g * co * ci + i) * taps
            for n in range(part * p.images // parts, (part + 1) * p.images // parts):
                for start in range(0, size, positions):
                    length = min(positions, size - start)
                    _lower(x, n, g * ci + i, some, start, start + length, columns, p)
                    left = (n * p.out_channels + g * co) * size + start
                    blas.gemm(address, 0, 1, co, k, length, gy, left, size, columns, 0, length, one, gw, out, ci * taps)
