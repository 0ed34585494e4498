"""Which algorithm runs when the user names none: written rules, never a timing during the run.

Measured on two AVX-512 cores (GFLOP/s of one core, forward / input_grad / weight_grad):

    layer (batch x channels @ size -> channels, kernel)   im2col        direct
    64 x   1@32 ->   6, 5x5                                5  4  5      23  6 16
    64 x   6@14 ->  16, 5x5                                6  5  5      29 15 19
     8 x   3@224->  64, 11x11 stride 4                    29 27 29      68 14 42
     8 x  64@56 ->  64, 3x3                               44 28 38      79 77 61
     8 x 128@28 -> 128, 3x3                               53 41 48      58 58 51
     8 x 512@7  -> 512, 3x3                               44 33 55      35 16 15
     8 x  64@56 -> 128, 3x3 stride 2                      42 39 40      50 32 29
"""

from functools import lru_cache

from minicnn.backends.convolution import Problem
from minicnn.backends.cpu.convolution import dense

LONG_SUM = 2048  # taps from which packed weights leave the cache, and BLAS's blocking wins
SMALL_MAP = 100  # positions below which a flat row is mostly dropped positions
MANY_CHANNELS = 16
LONG_ROW = 1 << 18  # staged elements of one output row from which the direct algorithm leaves the cache


@lru_cache(maxsize=1024)
def choose(which: str, p: Problem) -> str:
    """The algorithm for that pass of that problem."""
    if dense.cannot(which, p) is None:
        return "dense"
    strided = p.stride_h > 1 or p.stride_w > 1
    backward_taps = p.out_channels // p.groups * p.kernel_h * p.kernel_w
    taps = backward_taps if which == "input_grad" else p.taps
    channels = (p.out_channels if which == "input_grad" else p.in_channels) // p.groups
    if channels * p.kernel_h * p.dilation_h * max(p.in_w, p.out_w * p.stride_w) > LONG_ROW:
        return "im2col"
    if taps > LONG_SUM or (p.out_h * p.out_w < SMALL_MAP and taps > LONG_SUM // 4):
        return "im2col"
    if which == "input_grad" and strided:
        return "im2col"  # many short sums, one for each residue, against one product
    if which == "weight_grad" and strided and p.in_channels // p.groups >= MANY_CHANNELS:
        return "im2col"
    return "direct"
