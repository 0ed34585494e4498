"""Pictures of a result: the roofline with its points, and bars per layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.bench.result import AUTO, OK, Row

_COLOURS = {"minicnn": "#0b6e99", "torch": "#d9730d"}


def draw(rows: Sequence[Row], roof: Mapping[str, float], folder: Path) -> list[Path]:
    """Write ``roofline.png`` (where a roof was measured) and ``bars.png`` into a folder; the files written."""
    from matplotlib.figure import Figure

    shown = [row for row in rows if row.verdict == OK and row.rounds]
    written = []
    if roof and any(row.bytes for row in shown):
        figure = Figure(figsize=(8, 5.5), layout="constrained")
        _roofline(figure.add_subplot(), shown, roof)
        written.append(folder / "roofline.png")
        figure.savefig(written[-1], dpi=150)
    passes = list(dict.fromkeys(row.which for row in shown))
    if passes:
        figure = Figure(figsize=(max(7, 0.9 * len({row.work for row in shown})), 3 * len(passes)), layout="constrained")
        for i, which in enumerate(passes):
            _bars(figure.add_subplot(len(passes), 1, i + 1), which, [row for row in shown if row.which == which])
        written.append(folder / "bars.png")
        figure.savefig(written[-1], dpi=150)
    return written


def _main(rows: Sequence[Row]) -> list[Row]:
    """One row a library: of ours the automatic choice where it was measured."""
    chosen = {row.key for row in rows if AUTO in row.marks}
    return [row for row in rows if not row.algorithm or AUTO in row.marks or row.key not in chosen]


def _roofline(axes: Any, rows: Sequence[Row], roof: Mapping[str, float]) -> None:
    intensity = np.logspace(-1, 3.5, 200)
    axes.loglog(intensity, np.minimum(roof["flops"], intensity * roof["bytes"]) / 1e9, color="black", label="roof")
    for contender in dict.fromkeys(row.contender for row in rows):
        points = [row for row in _main(rows) if row.contender == contender and row.bytes]
        axes.scatter(
            [row.flops / row.bytes for row in points], [row.nominal for row in points], s=18, alpha=0.7,
            label=contender, color=_COLOURS.get(contender),
        )
    axes.set_xlabel("operations for each byte that must move")
    axes.set_ylabel("GFLOP/s by the definition")
    axes.set_title("Operations by the definition: an algorithm that does fewer may pass the roof", fontsize=9)
    axes.legend(frameon=False)


def _bars(axes: Any, which: str, rows: Sequence[Row]) -> None:
    works = list(dict.fromkeys(row.work for row in rows))
    contenders = list(dict.fromkeys(row.contender for row in rows))
    width = 0.8 / len(contenders)
    for i, contender in enumerate(contenders):
        mine = {row.work: row for row in _main(rows) if row.contender == contender}
        places = [place for place, work in enumerate(works) if work in mine]
        there = [mine[works[place]] for place in places]
        heights = [row.nominal if row.flops else row.median * 1e3 for row in there]
        axes.bar(np.array(places) + (i - (len(contenders) - 1) / 2) * width, heights, width, label=contender,
                 color=_COLOURS.get(contender))
    axes.set_xticks(range(len(works)), works, rotation=40, ha="right", fontsize=7)
    axes.set_ylabel("GFLOP/s" if rows and rows[0].flops else "ms")
    axes.set_title(which, fontsize=9)
    axes.legend(frameon=False, fontsize=7)
