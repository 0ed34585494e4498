"""Ratios, tests and slopes against closed forms and SciPy."""

import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from minicnn.bench import stats


@pytest.mark.parametrize("seed", range(5))
def test_the_rank_test_equals_scipys_exact_one(seed):
    draw = np.random.default_rng(seed)
    a, b = draw.normal(size=draw.integers(1, 12)), draw.normal(0.7, size=draw.integers(1, 12))
    assert stats.differ(list(a), list(b)) == pytest.approx(mannwhitneyu(a, b, method="exact").pvalue, abs=1e-12)


def test_two_separate_samples_of_nine_are_as_unlike_as_can_be():
    assert stats.differ(range(9), range(10, 19)) == pytest.approx(2 / math.comb(18, 9))
    assert stats.differ([1.0] * 5, [1.0] * 5) == 1.0
    assert stats.differ([], [1.0]) == 1.0


def test_a_ratio_is_of_the_medians_and_its_interval_of_the_rounds():
    ours, theirs = [1.0, 2.0, 3.0], [2.0, 4.0, 6.0]
    assert stats.ratio(theirs, ours) == (2.0, 2.0, 2.0)  # the machine's drift cancels
    middle, low, high = stats.ratio([2.0, 2.0, 2.0], [1.0, 2.0, 4.0])
    assert (middle, low, high) == (1.0, 0.5, 2.0)


def test_geometric_mean():
    assert stats.geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    assert math.isnan(stats.geometric_mean([]))


def test_the_slope_of_a_power_law_is_its_exponent():
    sizes = [1, 2, 4, 8]
    assert stats.slope(sizes, [3e-3 * s**1.25 for s in sizes]) == pytest.approx(1.25)
    with pytest.raises(ValueError, match="at least two sizes, got 1"):
        stats.slope([1], [1.0])
