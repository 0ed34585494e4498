"""Two stored results, row by row: what became faster or slower, and whether that is more than scatter."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from minicnn.bench.peers import OURS
from minicnn.bench.result import AUTO, OK, Row
from minicnn.bench.stats import differ, geometric_mean

FASTER, SLOWER, SAME, UNTIMED, FEW = "faster", "slower", "same", "not comparable", "too few rounds to tell"
LEAST = 0.02  # a change below this share is called the same, however regular it is
LEVEL = 0.05  # probability that any row of a comparison is called changed by scatter alone


@dataclass(frozen=True)
class Change:
    """One row in both results."""

    work: str
    which: str
    contender: str
    algorithms: tuple[str, str]
    ratio: float  # of the medians, above 1 where the second is faster
    p: float
    verdict: str


def compare(before: Sequence[Row], after: Sequence[Row]) -> list[Change]:
    """Match rows by work, shape, dtype, pass and contender (ours by algorithm too, and the automatic choice by that).

    A row is faster or slower if a Mann-Whitney test of its rounds finds the difference at a level divided by the
    number of rows (Bonferroni), and the medians differ by more than 2 %.
    """
    others = {label: row for row in after for label in _labels(row)}
    pairs = [(label, row, others[label]) for row in before for label in _labels(row) if label in others]
    changes = []
    for (work, which, name, *_), a, b in pairs:
        if a.verdict == b.verdict == OK and a.rounds and b.rounds:
            ratio, p = median(a.rounds) / median(b.rounds), differ(a.rounds, b.rounds)
            large, level = abs(ratio - 1) > LEAST, LEVEL / len(pairs)
            verdict = (FASTER if ratio > 1 else SLOWER) if large and p < level else SAME
            if large and 2 / math.comb(len(a.rounds) + len(b.rounds), len(a.rounds)) >= level:
                verdict = FEW  # not even rounds that do not overlap would show it
        else:
            ratio, p, verdict = math.nan, math.nan, UNTIMED
        changes.append(Change(work, which, name, (a.algorithm, b.algorithm), ratio, p, verdict))
    return changes


def _labels(row: Row) -> list[tuple[str, ...]]:
    names = [f"{row.contender} {row.algorithm}".strip()]
    if AUTO in row.marks:
        names.append(f"{row.contender} {AUTO}")
    return [(row.work, row.which, name, row.shape, row.dtype) for name in names]


def table(changes: Sequence[Change]) -> str:
    """A line a row, then the geometric mean of each contender; another library's mean shows how the machine drifted."""
    text = [f"{'work':20} {'pass':12} {'contender':24} {'ratio':>6} {'p':>8}  verdict"]
    for change in changes:
        name = change.contender
        if change.algorithms[0] != change.algorithms[1]:
            name += f" ({change.algorithms[0]} -> {change.algorithms[1]})"
        numbers = f"{change.ratio:6.2f} {change.p:8.1e}" if change.verdict != UNTIMED else " " * 15
        text.append(f"{change.work:20} {change.which:12} {name:24} {numbers}  {change.verdict}")
    text.append("")
    for name in dict.fromkeys(change.contender for change in changes):
        ratios = [c.ratio for c in changes if c.contender == name and c.verdict != UNTIMED]
        if ratios:
            note = "" if name.startswith(OURS) else "  (the same code both times: how the machine drifted)"
            text.append(f"{name:24} geometric mean {geometric_mean(ratios):.3f} over {len(ratios)} rows{note}")
    return "\n".join(text)
