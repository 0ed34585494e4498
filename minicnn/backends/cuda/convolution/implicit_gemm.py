"""Implicit GEMM: a product of matrices whose right factor is gathered from the image tile by tile, in shared memory.

No columns go through memory; ``kernels/convolution_gemm.cu`` has the three products and their tiles. All options of all
passes are one kernel each. The weight gradient's long sums are cut into parts, by sizes alone, and joined in order.
``_1`` is the literal variant of each kernel, which is there to be read; nothing but tests and sanitizers calls it.

``implicit_gemm_tf32`` is the same on tensor cores: factors are rounded to 10 bits of mantissa, sums stay float32. It is
never chosen by rule, and refuses float64. float16 loses nothing by it, so ``implicit_gemm`` is that for float16, but on
devices before sm_80: there the fragments are multiplied by a loop, and the kernels of plain tiles are faster.
"""

from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from minicnn.backends.convolution import Problem
from minicnn.backends.cuda import seam
from minicnn.backends.cuda.convolution import thresholds
from minicnn.backends.cuda.convolution.finishing import sum_parts
from minicnn.backends.cuda.sources import sum_type
from minicnn.core.types import Array

THREADS = 256
LARGE, SMALL, LITERAL = 128, 64, 16  # rows and columns of a tile
MOST = 1 << 30  # terms, windows and inputs that the kernels count in int


class Cut(NamedTuple):
    """How one pass is cut into blocks."""

    kernel: str
    rows: int  # tiles of the result
    columns: int
    times: int  # groups, phases and parts
    parts: int = 1
    length: int = 0  # terms of a part

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
    """Bytes of scratch memory of that pass: partial sums of the weight gradient."""
    return _cut(suffix, which, p).parts * p.out_channels * p.taps * max(4, item) if which == "weight_grad" else 0


def operations(suffix: str, which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add."""
    return 2 * p.images * p.out_channels * p.out_h * p.out_w * p.taps


def forward(suffix: str, x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y, cut = seam.empty(p.y_shape, x.dtype), _cut(_kernels(suffix, x), "forward", p)
    seam.launch(cut.kernel, cut.grid, THREADS, x, w, bias, y, *p, cut.columns, relu)
    return y


def input_grad(suffix: str, gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx, cut = seam.empty(p.x_shape, gy.dtype), _cut(_kernels(suffix, gy), "input_grad", p)
    seam.launch(cut.kernel, cut.grid, THREADS, gy, w, gx, *p, cut.columns)
    return gx


def weight_grad(suffix: str, gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    cut = _cut(_kernels(suffix, gy), "weight_grad", p)
    parts = seam.empty((cut.parts, *p.w_shape), sum_type(gy.dtype))
    seam.launch(cut.kernel, cut.grid, THREADS, gy, x, parts, *p, cut.columns, cut.length)
    return sum_parts(parts, p.w_shape, gy.dtype)


def _kernels(suffix: str, x: Array) -> str:
    if suffix == "_tf32" and x.dtype == np.float64:
        raise TypeError("conv_algorithm: 'implicit_gemm_tf32' rounds to 10 bits; it takes no float64, got float64")
    return suffix or ("_tf32" if x.itemsize == 2 and seam.runtime().has_tf32 else "")


def _cut(suffix: str, which: str, p: Problem) -> Cut:
    """Large tiles if they are enough to keep a GPU busy, else small ones; tensor cores have large ones only."""
    rows, columns, times = p.out_channels // p.groups, p.images * p.out_h * p.out_w, p.groups
    if which == "input_grad":  # each phase has at most so many inputs
        rows, times = p.in_channels // p.groups, p.groups * p.stride_h * p.stride_w
        columns = p.images * -(-p.in_h // p.stride_h) * -(-p.in_w // p.stride_w)
    elif which == "weight_grad":
        columns = p.taps
    parts, length, large = 1, 0, -(-rows // LARGE) * -(-columns // LARGE) * times
    if which == "weight_grad":
        parts, length = _parts(p, large)
    small = not suffix and (rows <= SMALL or columns <= SMALL or large * parts < thresholds.BLOCKS // 4)
    tile = SMALL if small else LITERAL if suffix == "_1" else LARGE
    name = f"convolution_gemm.{which}{'_small' if small else suffix}"
    return Cut(name, -(-rows // tile), -(-columns // tile), times * parts, parts, length)


def _parts(p: Problem, blocks: int) -> tuple[int, int]:
    """Parts of the sum over windows, and their length: enough blocks, no sum too long or too short, bounded memory.

    The length is a multiple of 4, so that parts begin where loads of four neighbours do.
    """
    terms = p.images * p.out_h * p.out_w
    length = max(thresholds.SHORTEST_SUM, -(-terms * blocks // thresholds.BLOCKS))
    length = min(length, thresholds.LONGEST_SUM)
    length = max(length, -(-terms * p.out_channels * p.taps * 8 // thresholds.WORKSPACE))
    length += -length % 4
    return max(1, -(-terms // length)), length


def of(suffix: str, error: float) -> SimpleNamespace:
    """The algorithm by kernels of that suffix: what a module of this room offers."""
    passes = {f.__name__: partial(f, suffix) for f in (forward, input_grad, weight_grad, cannot, workspace, operations)}
    return SimpleNamespace(ERROR=error, __doc__=__doc__, **passes)
