"""Which algorithm runs when the user names none: the first rule that applies, or a table measured beforehand.

Nothing is timed during a run. ``docs/convolution/index.md`` has the measurements that the rules come from;
``minicnn conv explain`` prints what they say of a layer, ``minicnn tune`` measures a table for this machine.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from minicnn.backends.convolution import Problem
from minicnn.backends.cpu.convolution.algorithms import ALGORITHMS

LONG_SUM = 2048  # taps from which packed weights leave the cache, and BLAS's blocking wins
SMALL_MAP = 100  # positions below which a flat row is mostly dropped positions
MANY_CHANNELS = 16  # channels that fill a vector
LARGE_WINDOW = 225  # taps of one channel from which spectra overtook the others in measurements
FFT_GAIN = 16  # operations saved for one that transforms and small complex products do: they run far below the peak
LONG_ROW = 1 << 18  # staged elements of one output row from which the direct algorithm leaves the cache


class Rule(NamedTuple):
    """An algorithm, when it is taken, and why."""

    algorithm: str
    reason: str
    applies: Callable[[str, Problem], bool]


def _always(which: str, p: Problem) -> bool:
    return True


def _channels(which: str, p: Problem) -> int:
    """Channels that are summed over (of the weight gradient: of the input), in one group."""
    return (p.out_channels if which == "input_grad" else p.in_channels) // p.groups


def _grouped(which: str, p: Problem) -> bool:
    return p.groups > 1


def _fills_vectors(which: str, p: Problem) -> bool:
    return min(p.in_channels, p.out_channels) >= MANY_CHANNELS


def _fills_panels(which: str, p: Problem) -> bool:
    return min(p.in_channels, p.out_channels) >= 2 * MANY_CHANNELS


def _long_row(which: str, p: Problem) -> bool:
    return _channels(which, p) * p.kernel_h * p.dilation_h * max(p.in_w, p.out_w * p.stride_w) > LONG_ROW


def _long_sum(which: str, p: Problem) -> bool:
    taps = _channels(which, p) * p.kernel_h * p.kernel_w
    return taps > LONG_SUM or (p.out_h * p.out_w < SMALL_MAP and taps > LONG_SUM // 4)


def _strided_gradient(which: str, p: Problem) -> bool:
    return which != "forward" and not p.stride_h == p.stride_w == 1


def _large_window(which: str, p: Problem) -> bool:
    fft = ALGORITHMS["fft"]
    nominal = 2 * p.images * p.out_channels * p.out_h * p.out_w * p.taps
    large = p.kernel_h * p.kernel_w >= LARGE_WINDOW
    return large and fft.bounded(which, p) and FFT_GAIN * fft.operations(which, p) < nominal


def _nothing_else(which: str, p: Problem) -> bool:
    return ALGORITHMS["im2col"].cannot(which, p) is not None


RULES = (
    Rule("dense", "one window covers the image: a fully connected layer", _always),
    Rule("pointwise", "a 1x1 kernel is a product of matrices, and nothing need be copied", _always),
    Rule("depthwise", "each channel has filters of its own: no sum over channels, so no product of matrices", _grouped),
    Rule("winograd", "3x3 with enough channels to fill vectors: 2.25 multiplications instead of 9", _fills_vectors),
    Rule("winograd_f2", "3x3 with enough channels for its products: 4 multiplications instead of 9", _fills_panels),
    Rule("fft", "the window is so large that products of spectra take a sixteenth of the operations", _large_window),
    Rule("im2col", "a row of windows does not fit the cache", _long_row),
    Rule("im2col", "the sums are long: BLAS's blocking wins", _long_sum),
    Rule("im2col", "the gradient of a strided window falls apart into many short sums", _strided_gradient),
    Rule("direct", "few channels: lowering would cost more than multiplying", _always),
    Rule("im2col", "it can do everything", _always),
    Rule("naive", "whatever else can do it would take too much scratch memory", _nothing_else),
)


_table: Mapping[tuple[str, Problem], str] = {}


def use_table(table: Mapping[tuple[str, Problem], str]) -> None:
    """Ask this table before the rules; it holds algorithms for a pass of a problem."""
    global _table
    _table = dict(table)
    explain.cache_clear()


def table() -> Mapping[tuple[str, Problem], str]:
    """The table in use; empty where the rules decide alone."""
    return _table


@lru_cache(maxsize=4096)
def explain(which: str, p: Problem, max_error: float = math.inf) -> Rule:
    """The rule that decides on that pass of that problem; ``max_error`` is that of float32.

    Raises
    ------
    ValueError
        If no algorithm keeps ``max_error``.
    """
    measured = _table.get((which, p))
    if measured is not None and max_error >= ALGORITHMS[measured].ERROR:
        return Rule(measured, "measured: the table in use names it", _always)
    least = math.inf
    for rule in RULES:
        module = ALGORITHMS[rule.algorithm]
        if module.cannot(which, p) is None and rule.applies(which, p):
            if max_error >= module.ERROR:
                return rule
            least = min(least, module.ERROR)
    raise ValueError(
        f"conv_precision: no rule takes an algorithm with an error of at most {max_error:.3g} in float32; the least "
        f"is {least:.3g}"
    )


def choose(which: str, p: Problem, max_error: float = math.inf) -> str:
    """The algorithm for that pass of that problem."""
    return explain(which, p, max_error).algorithm
