"""The little statistics a benchmark needs: ratios with an interval, whether two samples differ, slopes, means."""

import math
from collections.abc import Sequence
from statistics import median

import numpy as np

from minicnn.bench.alternate import interval
from minicnn.core import checks


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> tuple[float, float, float]:
    """How often faster we are: ratio of the medians, and an interval from the rounds, paired as they ran.

    A round's two turns stand next to each other in time, so what slows the machine for a while cancels in their ratio.
    """
    middle = median(theirs) / median(ours)
    low, high = interval([t / o for t, o in zip(theirs, ours, strict=False)])
    return middle, min(low, middle), max(high, middle)


def geometric_mean(values: Sequence[float]) -> float:
    """The n-th root of the product; NaN of nothing."""
    return math.exp(sum(math.log(v) for v in values) / len(values)) if values else math.nan


def slope(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The exponent k of the power law seconds = c * size^k that fits best (least squares of the logarithms)."""
    if len(sizes) < 2:
        raise checks.value_error("bench", f"a slope needs at least two sizes, got {len(sizes)}")
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def differ(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p-value of the Mann-Whitney test: how likely so uneven an order is if both come from one source.

    Exact: the distribution of the rank sum is counted (mid-ranks of ties are rounded away from significance).
    """
    n, m = len(a), len(b)
    if not n or not m:
        return 1.0
    wins = sum((x < y) + 0.5 * (x == y) for x in a for y in b)
    u = math.ceil(min(wins, n * m - wins))
    ways = _rank_sums(n, m)
    return min(1.0, 2 * sum(ways[: u + 1]) / math.comb(n + m, n))


def _rank_sums(n: int, m: int) -> list[int]:
    """How many orders of n and m numbers give each value 0..n*m of U: coefficients of the Gaussian binomial."""
    ways = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for u in range(n * m, m + i - 1, -1):  # times 1 - q^(m+i)
            ways[u] -= ways[u - m - i]
        for u in range(i, n * m + 1):  # over 1 - q^i
            ways[u] += ways[u - i]
    return ways
