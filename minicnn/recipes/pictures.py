"""Pictures that several recipes end with; each function writes one PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def draw_confusion(counts: Array, path: Path, classes: Sequence[str] | None = None) -> Path:
    """A confusion matrix (true classes in rows), with its numbers."""
    n = len(counts)
    names = list(classes) if classes is not None else [str(i) for i in range(n)]
    figure = _figure(5.2, 4.8)
    axis = figure.subplots()
    axis.imshow(np.log1p(counts), cmap="Blues")
    for row, column in zip(*np.nonzero(counts), strict=True):
        dark = counts[row, column] > counts.max() / 4
        axis.text(column, row, counts[row, column], ha="center", va="center", color="white" if dark else "black")
    axis.set_xticks(range(n), names)
    axis.set_yticks(range(n), names)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title(f"{int(np.trace(counts))} of {int(counts.sum())} right")
    figure.savefig(path, dpi=130)
    return path


def draw_mistakes(images: Array, truth: Array, found: Array, path: Path, most: int = 20) -> Path:
    """The wrongly classified images (N, H, W), each with what it is and what it was taken for."""
    wrong = np.flatnonzero(truth != found)[:most]
    columns = 5
    rows = max(1, -(-len(wrong) // columns))
    figure = _figure(1.3 * columns, 1.5 * rows + 0.3)
    count = int((truth != found).sum())
    shown = f"{len(wrong)} of {count}" if count > len(wrong) else str(count)
    figure.suptitle(f"{shown} mistakes" if count else "no mistakes")
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axis in axes:
        axis.set_axis_off()
    for axis, i in zip(axes, wrong, strict=False):
        axis.imshow(images[i], cmap="gray_r")
        axis.set_title(f"{truth[i]} taken for {found[i]}", fontsize=8)
    figure.savefig(path, dpi=130)
    return path


def draw_codes(codes: Array, outputs: Array, labels: Array, path: Path) -> Path:
    """Each class's code above the mean F6 output for its images: the net has learnt to draw the character.

    Parameters
    ----------
    codes : array (K, 84) of -1 and 1, read as 12 rows of 7
    outputs : array (N, 84)
    labels : int array (N,)
    """
    figure = _figure(9, 3.4)
    axes = figure.subplots(2, len(codes))
    for k, code in enumerate(codes):
        chosen = outputs[labels == k]
        mean = chosen.mean(0) if len(chosen) else np.zeros_like(code)
        for axis, values in zip(axes[:, k], (code, mean), strict=True):
            axis.imshow(values.reshape(12, 7), cmap="gray_r", vmin=-1.7, vmax=1.7)
            axis.set_xticks([])
            axis.set_yticks([])
        axes[0, k].set_title(str(k), fontsize=9)
    axes[0, 0].set_ylabel("code", fontsize=8)
    axes[1, 0].set_ylabel("mean F6 output", fontsize=8)
    figure.savefig(path, dpi=130)
    return path


def draw_costs(points: Mapping[str, tuple[int, float]], path: Path) -> Path:
    """Accuracy over number of parameters, a labelled point for each net."""
    figure = _figure(5.2, 3.6)
    axis = figure.subplots()
    for name, (parameters, accuracy) in points.items():
        axis.plot(parameters, accuracy, "o")
        axis.annotate(f"{name}\n{parameters:,}".replace(",", " "), (parameters, accuracy), fontsize=8, ha="center",
                      xytext=(0, -26), textcoords="offset points")  # fmt: skip
    axis.set_xscale("log")
    axis.margins(0.35)
    axis.set_xlabel("parameters")
    axis.set_ylabel("test accuracy")
    figure.savefig(path, dpi=130)
    return path
