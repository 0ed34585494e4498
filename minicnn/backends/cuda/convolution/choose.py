"""Which algorithm runs when the user names none: the first rule that applies, or a table given beforehand.

Nothing is timed during a run, and nothing was timed on a GPU to write these rules: they follow from what the
algorithms move and multiply, and their numbers stand in ``thresholds.py``. ``minicnn conv explain --device cuda``
prints what they say of a layer.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from minicnn.backends.convolution import Problem
from minicnn.backends.cuda.convolution.algorithms import ALGORITHMS
from minicnn.backends.cuda.convolution.thresholds import EXACT_CHANNELS, WINOGRAD_CHANNELS


class Rule(NamedTuple):
    """An algorithm, when it is taken, and why."""

    algorithm: str
    reason: str
    applies: Callable[[str, Problem], bool]


def _always(which: str, p: Problem) -> bool:
    return True


def _grouped(which: str, p: Problem) -> bool:
    return p.groups > 1


def _channels(p: Problem) -> int:
    return min(p.in_channels, p.out_channels) // p.groups


def _many_channels(which: str, p: Problem) -> bool:
    return _channels(p) >= WINOGRAD_CHANNELS


def _more_channels(which: str, p: Problem) -> bool:
    return _channels(p) >= EXACT_CHANNELS


RULES = (
    Rule("dense", "one window covers the image: a fully connected layer", _always),
    Rule("pointwise", "a 1x1 kernel is a product of matrices, which cuBLAS does in place", _always),
    Rule("depthwise", "each channel has filters of its own: no sum over channels, so no product of matrices", _grouped),
    Rule("winograd", "3x3 with channels enough for its products: 2.25 multiplications instead of 9", _many_channels),
    Rule("winograd_f2", "3x3 with channels enough for its products: 4 multiplications instead of 9", _more_channels),
    Rule("implicit_gemm", "it can do everything, and copies nothing through memory", _always),
    Rule("im2col", "it can do everything", _always),
    Rule("naive", "it can do everything, and sums in float64", _always),
)


_table: Mapping[tuple[str, Problem], str] = {}


def use_table(table: Mapping[tuple[str, Problem], str]) -> None:
    """Ask this table before the rules; it holds algorithms for a pass of a problem."""
    global _table
    _table = dict(table)
    explain.cache_clear()


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
