"""Where one algorithm overtakes another: the same layer at growing sizes, every algorithm at each of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from minicnn.bench.layers import Layer, parse
from minicnn.bench.result import AUTO, OK, Row
from minicnn.core import checks

AXES = {"batch": "images", "side": "rows and columns of the input", "channels": "channels", "kernel": "kernel side"}


def sizes(layer: Layer, axis: str, values: Sequence[int]) -> list[Layer]:
    """The layer with each value on the axis.

    ``channels`` sets input and output channels alike (of a depthwise layer, its groups too); ``kernel`` keeps the
    output's size by padding where the layer pads.
    """
    if axis not in AXES:
        raise checks.value_error("bench", f"no axis {axis!r}; there are {', '.join(AXES)}")
    return [replace(_with(layer, axis, value), name=f"{layer.name}-{axis}-{value}") for value in values]


def _with(layer: Layer, axis: str, value: int) -> Layer:
    if axis == "batch":
        return replace(layer, images=value)
    if axis == "side":
        return replace(layer, size=(value, value))
    if axis == "channels":
        depthwise = layer.groups == layer.in_channels
        return replace(layer, in_channels=value, out_channels=value, groups=value if depthwise else layer.groups)
    padding = (value // 2, value // 2) if max(layer.padding) else layer.padding
    return replace(layer, kernel=(value, value), padding=padding)


def value_of(row: Row, axis: str) -> int:
    """Where a row stands on the axis."""
    layer = parse(f"layer {row.shape}")
    return {
        "batch": layer.images, "side": layer.size[0], "channels": layer.in_channels, "kernel": layer.kernel[0],
    }[axis]


def draw(rows: Sequence[Row], axis: str, path: Path) -> None:
    """GFLOP/s of each algorithm, library or device over the axis, a panel for each pass.

    A circle marks the automatic choice among algorithms.
    """
    from matplotlib.figure import Figure

    shown = [row for row in rows if row.verdict == OK and row.rounds]
    passes = list(dict.fromkeys(row.which for row in shown))
    figure = Figure(figsize=(4.2 * max(1, len(passes)), 3.6), layout="constrained")
    for i, which in enumerate(passes):
        axes = figure.add_subplot(1, len(passes), i + 1)
        mine = [row for row in shown if row.which == which]
        for name in dict.fromkeys(row.algorithm or row.contender for row in mine):
            line = [row for row in mine if name in {row.algorithm, row.contender}]
            line.sort(key=lambda row: value_of(row, axis))
            style = "-" if line[0].algorithm else "--"
            values = [value_of(row, axis) for row in line]
            axes.plot(values, [row.nominal for row in line], style, marker=".", markersize=4, label=name)
        chosen = [row for row in mine if AUTO in row.marks and row.algorithm]
        if chosen:
            places = [value_of(row, axis) for row in chosen]
            axes.plot(places, [row.nominal for row in chosen], "o", mfc="none", color="black", ms=8, label="choice")
        ticks = sorted({value_of(row, axis) for row in mine})
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xlabel(AXES[axis])
        axes.set_title(which, fontsize=9)
        if i == 0:
            axes.set_ylabel("GFLOP/s by the definition")
            axes.legend(frameon=False, fontsize=7)
    figure.savefig(path, dpi=150)
