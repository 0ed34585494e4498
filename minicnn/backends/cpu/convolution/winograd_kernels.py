"""The kernels of Winograd convolution: a row of tiles in, a row of tiles out, and who does which product.

Two ways to share the work, in the correlation and in the gradient of its filters alike:

    by tiles      each core takes rows of tiles; transformed filters (or their sums) are few enough to be at hand
    by channels   each core takes panels of filters; the transformed inputs are shared
"""

import numpy as np

from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.backends.cpu.simd_blocks import (
    TILE_ROWS,
    TOGETHER_ROWS,
    Matrix,
    product_columns,
    product_rows,
    sandwich,
    transpose,
)

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


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


MATRICES = {4: (B4, G4, A4), 2: (B2, G2, A2)}  # for the input, the filters, the output; and for the weight gradient
ADJOINTS = {tile: (b, _transposed(g), _transposed(a)) for tile, (b, g, a) in MATRICES.items()}

_INPUT4, _INPUT2 = sandwich("input4", B4), sandwich("input2", B2)
_FILTER4, _FILTER2 = sandwich("filter4", G4), sandwich("filter2", G2)
_OUTPUT4 = sandwich("output4", A4, finish=True)
_OUTPUT2 = sandwich("output2", A2, finish=True)
_GRAD4, _GRAD2 = sandwich("grad4", _transposed(A4)), sandwich("grad2", _transposed(A2))
_FILTER_GRAD4 = sandwich("filter_grad4", _transposed(G4))
_FILTER_GRAD2 = sandwich("filter_grad2", _transposed(G2))

GROUP = 256  # output channels that are multiplied before they are transformed back
CHUNK = 64  # input channels whose products are summed at a time


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
def correlate_by_tiles(x, w, by_filter, by_channel, turned, bias, least, y, filters, p):  # type: ignore[no-untyped-def]
    """Each core takes rows of tiles; the filters are transformed once, for all."""
    lanes, panel, ci, points = p.lanes, p.panel, p.in_channels, (p.tile + 2) ** 2
    panels = -(-p.out_channels // panel)
    across = panels * ci * panel
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
def correlate_by_channels(x, w, by_filter, by_channel, turned, bias, least, y, v, p):  # type: ignore[no-untyped-def]
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
def sum_by_tiles(x, gy, sums, p):  # type: ignore[no-untyped-def]
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
def sum_by_channels(x, gy, v, sums, p):  # type: ignore[no-untyped-def]
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
def filter_grads(sums, gw, p):  # type: ignore[no-untyped-def]
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
