"""Does the cost grow as the work grows? The exponent of time as a power of the batch, and of the area.

From the smallest size at which every library takes a millisecond, up to 64 times that: a linear cost has the exponent
1, and anything that falls out of a cache, or is paid once a call, shows as more or less. Sizes are measured up and
down again, some minutes in all, and each counts with its fastest turn: a minute in which the machine was slow would
otherwise bend the line, and other work only ever adds time.
"""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any

from minicnn.bench import peers, turns
from minicnn.bench.desk import Desk, contender
from minicnn.bench.layers import Layer
from minicnn.bench.machine import stamp
from minicnn.bench.result import AUTO, OK, Row, dump
from minicnn.bench.stats import slope

LEAST = 1e-3  # seconds of the smallest size
SPAN = 64
AXES = {"batch": (1, 2, 4, 8, 16, 32, 64), "area": (1, 1.5, 2, 3, 4, 6, 8)}  # factors of the batch, of the side
TOLERANCE = 0.05
MOST_DOUBLINGS = 12


@dataclass
class Slope:
    """One layer and pass along one axis: sizes (batch or area, relative) and each contender's seconds."""

    layer: str
    which: str
    axis: str
    sizes: list[float] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def slopes(self) -> dict[str, float]:
        """The exponent of each contender."""
        return {name: slope(self.sizes, values) for name, values in self.seconds.items() if len(values) > 1}

    def record(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "layer": self.layer, "pass": self.which, "axis": self.axis, "sizes": self.sizes,
            "seconds": self.seconds, "slopes": self.slopes,
        }


def grown(layer: Layer, axis: str, factor: float) -> Layer:
    """The layer with so many times its images, or so many times its sides."""
    if axis == "batch":
        return replace(layer, images=max(1, round(layer.images * factor)))
    height, width = (max(k, round(n * factor)) for n, k in zip(layer.size, layer.kernel, strict=True))
    return replace(layer, size=(height, width))


def measure(
    layers: list[Layer], passes: tuple[str, ...], *, others: tuple[str, ...] = ("torch",), threads: int = 2,
    rounds: int = 3, sweeps: int = 3, seconds: float = 0.05, samples: int = 100,
    report: Callable[[Slope], None] = lambda found: None,
) -> dict[str, Any]:
    """Fit the slopes of each layer and pass along both axes; ``report`` gets each when it is done."""
    rows: list[Row] = []
    found: list[Slope] = []
    with ExitStack() as stack:
        desks = {
            name: stack.enter_context(closing(Desk(contender(name, "minicnn.bench.conv_works:provide", threads))))
            for name in (peers.OURS, *(name for name in others if not peers.missing(name)))
        }

        def at(layer: Layer, which: str, count: int, length: float) -> dict[str, float]:
            made = _time(layer, which, desks, count, length, samples)
            rows.extend(made)
            return {row.contender: min(row.rounds) for row in made if row.verdict == OK and row.rounds}

        for layer in layers:
            for which in passes:
                for axis, factors in AXES.items():
                    base = _base(layer, which, axis, at)
                    line = Slope(layer.name, which, axis, seconds={name: [] for name in desks})
                    best: dict[float, dict[str, float]] = {}
                    for sweep in range(sweeps):
                        for factor in factors[:: 1 if sweep % 2 == 0 else -1]:
                            times = at(grown(base, axis, factor), which, rounds, seconds)
                            before = best.setdefault(factor, times)
                            best[factor] = {name: min(times[name], before[name]) for name in times.keys() & before}
                    for factor in factors:
                        if len(best[factor]) == len(desks):
                            line.sizes.append(factor if axis == "batch" else factor**2)
                            for name, value in best[factor].items():
                                line.seconds[name].append(value)
                    found.append(line)
                    report(line)
    return {
        "kind": "minicnn bench scaling", "machine": stamp(), "threads": threads, "least_seconds": LEAST,
        "slopes": [line.record() for line in found], "rows": [dump(row) for row in rows],
    }


def _base(layer: Layer, which: str, axis: str, at: Callable[[Layer, str, int, float], dict[str, float]]) -> Layer:
    """The smallest of the layer's sizes along the axis, doubling, at which everyone takes a millisecond."""
    base = replace(layer, images=1) if axis == "batch" else grown(replace(layer, images=1), axis, 1 / 4)
    for _ in range(MOST_DOUBLINGS):
        times = at(base, which, 3, 0.01)
        if not times or min(times.values()) >= LEAST:
            return base
        base = grown(base, axis, 2 if axis == "batch" else 2**0.5)
    return base


def _time(layer: Layer, which: str, desks: dict[str, Desk], rounds: int, seconds: float, samples: int) -> list[Row]:
    rows, entrants = [], turns.Entrants()
    for name, desk in desks.items():
        row = Row(layer.name, which, name, shape=layer.notation, flops=2 * layer.macs, bytes=layer.bytes(4))
        rows.append(row)
        line = f"{layer.name} {layer.notation}"
        if name == peers.OURS:
            row.marks = [AUTO]
            row.algorithm = desk.ask("resolve", layer=line, which=which, algorithm=AUTO, max_error=None)["name"]
        facts = turns.prepare(
            row, desk, name, layer=line, which=which, dtype="float32", algorithm=row.algorithm, samples=samples
        )
        if facts is not None and not facts["wrong"]:
            entrants[name] = row, desk
    turns.time_rows(entrants, rounds=rounds, seconds=seconds, steady=float("inf"))
    turns.drop(desks)
    return rows


def line(found: Slope) -> str:
    """One line of the table."""
    slopes = found.slopes
    cells = "  ".join(f"{name} {value:5.2f}" for name, value in slopes.items())
    ours = slopes.pop(peers.OURS, None)
    excess = [ours - value for value in slopes.values()] if ours is not None else []
    verdict = "" if not excess else ("steeper" if max(excess) > TOLERANCE else "ok")
    smallest = ", ".join(f"{values[0] * 1e3:.1f}" for values in found.seconds.values() if values)
    return f"{found.layer:20} {found.which:12} {found.axis:6} {cells}  {verdict:8} (from {smallest} ms)"
