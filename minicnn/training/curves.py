"""Learning curves as a PNG: one panel per quantity, training and held-out data in the same panel."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minicnn.core import checks

_NAMES = {"train": "training", "eval": "held out"}


def plot_curves(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], *, title: str = "") -> None:
    """Draw ``train_x`` and ``eval_x`` of every row against its ``epoch``.

    Parameters
    ----------
    rows : sequence of dict
        As in ``Trainer.history``: ``{"epoch": 1, "train_loss": ..., "eval_loss": ..., "eval_accuracy": ...}``.
    path : path of the PNG
    title : str

    Raises
    ------
    ValueError
        No row, or none with such a column.
    """
    found = dict.fromkeys(k.partition("_")[2] for row in rows for k in row if k.partition("_")[0] in _NAMES)
    quantities = [q for q in found if any(_points(rows, f"{part}_{q}") for part in _NAMES)]
    if not quantities:
        raise checks.value_error("plot_curves", "no row has a train_... or eval_... value", rows=len(rows))

    from matplotlib.backends.backend_agg import FigureCanvasAgg  # no pyplot: no window, no global state
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(quantities), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, quantity in zip(figure.subplots(1, len(quantities), squeeze=False)[0], quantities, strict=True):
        for part, label in _NAMES.items():
            points = _points(rows, f"{part}_{quantity}")
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
        axes.set_xlabel("epoch")
        axes.set_ylabel(quantity.replace("_", " "))
        axes.grid(alpha=0.3)
        axes.legend()
    if title:
        figure.suptitle(title)
    unfinished = Path(path).with_name(f".{Path(path).name}.part")
    figure.savefig(unfinished, format="png", dpi=110)
    unfinished.replace(path)


def _points(rows: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(row.get("epoch", i + 1), row[name]) for i, row in enumerate(rows) if row.get(name) is not None]
