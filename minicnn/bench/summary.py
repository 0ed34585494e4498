"""From rows to the few numbers one quotes: geometric means of the ratio to PyTorch, and the worst layer.

For the automatic choice, for the automatic choice among the algorithms whose error is at most 5e-6, and for the
fastest of those that were timed; pass by pass, and for the fastest over all passes too. A layer without a valid time of
both libraries is named, since a mean over the rest would be a better one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from minicnn.bench.layers import parse
from minicnn.bench.peers import OURS
from minicnn.bench.result import AUTO, BEST, EXACT, OK, Row
from minicnn.bench.stats import geometric_mean, ratio

PEER = "torch"
PEERS = (PEER, "torch-kept")  # against which means are taken, where they took part
ALL_PASSES = "all passes"
BETTER = 1.05  # an algorithm that is this much faster than the chosen one is named


@dataclass
class Mean:
    """Ratios of one set of layers in one pass."""

    mark: str
    which: str
    over: str
    peer: str = PEER
    ratios: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Geometric mean; NaN of nothing."""
        return geometric_mean(list(self.ratios.values()))

    @property
    def worst(self) -> tuple[str, float]:
        """The layer with the least ratio."""
        name = min(self.ratios, key=lambda layer: self.ratios[layer])
        return name, self.ratios[name]

    def record(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "mark": self.mark, "peer": self.peer, "pass": self.which, "over": self.over,
            "mean": self.mean if self.ratios else None, "ratios": self.ratios, "missing": self.missing,
        }


def means(rows: Sequence[Row], peer: str = PEER) -> list[Mean]:
    """Per mark, set of layers and pass. Empty if the peer was not measured.

    That of the fastest of ours only where several of a pass were timed, and over all passes too.
    """
    theirs = {row.key: row for row in rows if row.contender == peer}
    sets: dict[str, Callable[[Row], bool]] = {
        "all": lambda row: True, "3x3 stride 1": three_by_three,
        "3x3 stride 1, dense": lambda row: three_by_three(row) and "groups" not in row.shape,
    }
    found = []
    passes = list(dict.fromkeys(row.which for row in rows))
    for mark in (AUTO, EXACT, BEST) if _several(rows) else (AUTO, EXACT):
        for over, belongs in sets.items():
            for which in [*passes, ALL_PASSES] if mark == BEST else passes:
                mean = Mean(mark, which, over, peer)
                for key in dict.fromkeys(row.key for row in rows if which in {row.which, ALL_PASSES} and belongs(row)):
                    name = " ".join(key) if which == ALL_PASSES else key[0]
                    other = theirs.get(key)
                    ours = next((row for row in rows if row.key == key and mark in row.marks), None)
                    if ours and other and ours.verdict == other.verdict == OK:
                        mean.ratios[name] = ratio(other.rounds, ours.rounds)[0]
                    else:
                        mean.missing.append(name)
                if mean.ratios:
                    found.append(mean)
    return found


def _several(rows: Sequence[Row]) -> bool:
    """Whether a work was timed with more than one of our algorithms."""
    timed = [row.key for row in rows if row.contender == OURS and row.rounds]
    return len(timed) > len(set(timed))


def three_by_three(row: Row) -> bool:
    """Whether the row's layer is a 3x3 convolution with stride 1."""
    if not row.shape:
        return False
    layer = parse(f"layer {row.shape}")
    return layer.kernel == (3, 3) and layer.stride == (1, 1)


def better(rows: Sequence[Row]) -> list[tuple[Row, Row, float]]:
    """Where another of our algorithms was faster than the chosen one: (chosen, faster, how often)."""
    found = []
    for chosen in rows:
        if AUTO in chosen.marks and chosen.verdict == OK:
            same = [row for row in rows if row.key == chosen.key and row.contender == OURS and row.verdict == OK]
            best = min(same, key=lambda row: row.median)
            times = chosen.median / best.median
            if times > BETTER:
                found.append((chosen, best, times))
    return found
