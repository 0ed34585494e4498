"""Implicit GEMM: a product of matrices whose right factor is gathered from the image tile by tile, in shared memory.

No columns go through memory; ``kernels/convolution_gemm.cu`` has the three products and their tiles. All options of all
passes are one kernel each. Sums are cut into parts, by sizes alone, and joined in order: the weight gradient's because
they are long, the others' where the result has fewer tiles than a GPU has multiprocessors.
``_1`` is the literal variant of each kernel, which is there to be read; nothing but tests and sanitizers calls it.

``implicit_gemm_tf32`` is the same on tensor cores: factors are rounded to 10 bits of mantissa, sums stay float32. It is
never chosen by rule, and refuses float64. float16 loses nothing by it, so ``implicit_gemm`` is that for float16, but on
devices before sm_80: there the fragments are multiplied by a loop, and the kernels of plain tiles are faster.
"""

import math
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from minicnn.backends.convolution import Problem
from minicnn.backends.cuda import seam
from minicnn.backends.cuda.convolution import thresholds
from minicnn.backends.cuda.convolution.finishing import sum_parts, up
from minicnn.backends.cuda.sources import sum_type
from minicnn.core.types import Array, Shape

THREADS = 256

MOST = 1 << 30  # terms, windows and inputs that the kernels count in int


class Tile(NamedTuple):
    """One variant of the kernels."""

    rows: int
    columns: int
    work: int  # of a block for each term: multiply-adds, and the loads that smaller tiles share among fewer of them


TILES = {
    "": Tile(128, 128, 8), "_small": Tile(64, 64, 3), "_narrow": Tile(16, 256, 4),
    "_1": Tile(16, 16, 1), "_tf32": Tile(128, 128, 3),
}  # fmt: skip
PLAIN = ("_small", "_narrow", "")  # among which sizes choose
MOST_PARTS = 16  # of a forward pass or input gradient


class Cut(NamedTuple):
    """How one pass is cut into blocks."""

    kernel: str
    rows: int  # tiles of the result
    columns: int
    times: int  # groups, phases and parts
    parts: int = 1
    length: int = MOST  # terms of a part

    @property
    def grid(self) -> tuple[int, int]:
        """Blocks."""
        return (self.columns * self.times, self.rows)


def cannot(suffix: str, which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass, or None."""
    sizes = (p.images * max(p.out_h * p.out_w, p.in_h * p.in_w), max(p.out_channels, p.in_channels) * p.taps)
    if max(sizes) > MOST:
        return f"there are {max(sizes)} windows, inputs or terms, more than {MOST}"
    cut = _cut(suffix, which, p)
    blocks = cut.columns * cut.times
    return None if blocks < 1 << 31 and cut.rows < 1 << 16 else f"{blocks} x {cut.rows} blocks are too many"


def workspace(suffix: str, which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass: partial sums; of halves, whichever kernels the device takes."""
    parts = max(_cut(kernels, which, p).parts for kernels in ((suffix, "_tf32") if item == 2 else (suffix,)))
    return parts * max(4, item) * _results(which, p) if which == "weight_grad" or parts > 1 else 0


def operations(suffix: str, which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add."""
    return 2 * p.images * p.out_channels * p.out_h * p.out_w * p.taps


def forward(suffix: str, x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    cut = _cut(_kernels(suffix, x), "forward", p)
    y, parts = _room(cut, p.y_shape, x)
    seam.launch(cut.kernel, cut.grid, THREADS, x, w, bias, y, parts, *p, cut.columns, cut.length, relu)
    return y if parts is None else sum_parts(parts, p.y_shape, x.dtype, bias, relu)


def input_grad(suffix: str, gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    cut = _cut(_kernels(suffix, gy), "input_grad", p)
    gx, parts = _room(cut, p.x_shape, gy)
    seam.launch(cut.kernel, cut.grid, THREADS, gy, w, gx, parts, *p, cut.columns, cut.length)
    return gx if parts is None else sum_parts(parts, p.x_shape, gy.dtype)


def weight_grad(suffix: str, gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    cut = _cut(_kernels(suffix, gy), "weight_grad", p)
    parts = seam.empty((cut.parts, *p.w_shape), sum_type(gy.dtype))
    seam.launch(cut.kernel, cut.grid, THREADS, gy, x, parts, *p, cut.columns, cut.length)
    return sum_parts(parts, p.w_shape, gy.dtype)


def _room(cut: Cut, shape: Shape, like: Array) -> tuple[Array | None, Array | None]:
    """Memory for the result, or for its parts."""
    if cut.parts == 1:
        return seam.empty(shape, like.dtype), None
    return None, seam.empty((cut.parts, *shape), sum_type(like.dtype))


def _kernels(suffix: str, x: Array) -> str:
    if suffix == "_tf32" and x.dtype == np.float64:
        raise TypeError("conv_algorithm: 'implicit_gemm_tf32' rounds to 10 bits; it takes no float64, got float64")
    return suffix or ("_tf32" if x.itemsize == 2 and seam.runtime().has_tf32 else "")


class Products(NamedTuple):
    """One pass as products of matrices."""

    rows: int
    columns: int
    times: int  # products: groups, and phases of an input gradient
    terms: int  # of the longest sum
    mean: int  # of all sums


def _products(which: str, p: Problem) -> Products:
    rows, columns, terms = p.out_channels // p.groups, p.images * p.out_h * p.out_w, p.taps
    if which == "weight_grad":
        return Products(rows, terms, p.groups, columns, columns)
    if which == "forward":
        return Products(rows, columns, p.groups, terms, terms)
    outputs, phases = rows, p.stride_h * p.stride_w  # each phase has at most so many inputs, and taps
    columns = p.images * -(-p.in_h // p.stride_h) * -(-p.in_w // p.stride_w)
    most = _met(p.kernel_h, p.stride_h, p.dilation_h) * _met(p.kernel_w, p.stride_w, p.dilation_w)
    mean = -(-outputs * p.kernel_h * p.kernel_w // phases)
    return Products(p.in_channels // p.groups, columns, p.groups * phases, outputs * most, mean)


def _met(kernel: int, stride: int, dilation: int) -> int:
    """The most taps of one axis that meet inputs of the same phase."""
    return -(-kernel // (stride // math.gcd(stride, dilation)))


def _results(which: str, p: Problem) -> int:
    """Elements of the result."""
    return math.prod({"forward": p.y_shape, "input_grad": p.x_shape, "weight_grad": p.w_shape}[which])


@lru_cache(maxsize=4096)
def _cut(suffix: str, which: str, p: Problem) -> Cut:
    """The tile and parts with which the busiest multiprocessor has least to do; tensor cores have one kind of tile."""
    of = _products(which, p)
    if which == "weight_grad":
        ways = [_parts(p, -(-of.rows // 128) * -(-of.columns // 128) * of.times)]
    else:
        room = thresholds.CACHE // max(1, 4 * _results(which, p))  # parts that are joined before they leave the cache
        most = max(1, min(room, of.terms // thresholds.SHORTEST_PRODUCT, MOST_PARTS))
        ways = [(parts, up(-(-of.terms // parts), 4)) for parts in range(1, most + 1)]
    cuts: list[tuple[float, int, Cut]] = []
    for name in (suffix,) if suffix else PLAIN:
        tile = TILES[name]
        down, across = -(-of.rows // tile.rows), -(-of.columns // tile.columns)
        for parts, length in ways:
            cut = Cut(f"convolution_gemm.{which}{name}", down, across, of.times * parts, parts, max(4, length))
            cuts.append((_cost(tile, cut, of, which != "weight_grad"), len(cuts), cut))
    return min(cuts)[2]


def _cost(tile: Tile, cut: Cut, of: Products, joined: bool) -> float:
    """What the busiest multiprocessor does, in eighths of a term of a tile of 128 x 128."""
    blocks = cut.rows * cut.columns * cut.times
    turns = max(-(-blocks // thresholds.MULTIPROCESSORS), thresholds.ALONE)
    work = tile.work * max(turns * of.mean / cut.parts, cut.length)
    if cut.parts == 1 or not joined:
        return work
    return work + turns * thresholds.JOIN * tile.rows * tile.columns / 128**2 + thresholds.LAUNCH


def _parts(p: Problem, blocks: int) -> tuple[int, int]:
    """Parts of the sum over windows, and their length: enough blocks, no sum too long or too short, bounded memory.

    The length is a multiple of 4, so that parts begin where loads of four neighbours do.
    """
    terms = p.images * p.out_h * p.out_w
    length = max(thresholds.SHORTEST_SUM, -(-terms * blocks // thresholds.BLOCKS))
    length = min(length, thresholds.LONGEST_SUM)
    length = max(length, -(-terms * p.out_channels * p.taps * 8 // thresholds.WORKSPACE))
    length = up(length, 4)
    return max(1, -(-terms // length)), length


def of(suffix: str, error: float) -> SimpleNamespace:
    """The algorithm by kernels of that suffix: what a module of this room offers."""
    passes = {f.__name__: partial(f, suffix) for f in (forward, input_grad, weight_grad, cannot, workspace, operations)}
    return SimpleNamespace(ERROR=error, __doc__=__doc__, **passes)
