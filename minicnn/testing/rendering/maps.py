"""Heat maps of two Jacobians as SVG: where backward is wrong, and by which factor."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import numpy as np

from minicnn.core.types import Array, Shape
from minicnn.testing.evidence import JacobianPair
from minicnn.testing.rendering.verdicts import printable

#: A map has at most so many cells along each side; larger ones show the worst element of each block.
LARGEST = 64
#: Input panels of a ratio map, one for each index of the leading axes.
PANELS = 16

#: Classes of the error map with their words in the legend, from right to worst.
ERRORS = {
    "e0": "agrees within the error bar",
    "e1": "off by less than 0.01%",
    "e2": "0.01% to 1%",
    "e3": "1% to 10%",
    "e4": "10% to 100%",
    "e5": "100% and more",
    "e6": "not finite",
}
#: Classes of the ratio map.
RATIOS = {
    "r0": "agrees",
    "r1": "zero or missing: ratio 0",
    "r2": "negative: wrong sign",
    "r3": "between 0 and 1: too small",
    "r4": "above 1: too large",
    "r5": "no single ratio for this input element",
    "r6": "the numerical value is 0, backward's is not",
    "r7": "not finite",
    "r8": "not looked at",
}


def error_map(pair: JacobianPair) -> str:
    """``|analytic - numeric|`` relative to the largest derivative; rows are output elements, columns input elements."""
    badness, levels = _errors(pair)
    n, m = levels.shape
    names = _names(pair)
    seen: set[str] = set()
    cells = []
    for y, rows in enumerate(_blocks(n)):
        for x, columns in enumerate(_blocks(m)):
            i, j = _worst(badness, rows, columns)
            style = f"e{levels[i, j]}"
            seen.add(style)
            cells.append(_cell(x, y, style, _values(pair, names, i, j)))
    width, height = min(m, LARGEST), min(n, LARGEST)
    block = "" if (n, m) == (height, width) else (
        f" {n} × {m} elements are shown as {height} × {width}: each cell is the worst element of its block."
    )
    label = f"error of d {pair.output} / d {pair.input}: {int(np.sum(levels > 0))} of {levels.size} elements are wrong"
    caption = f"Error in percent of the largest derivative ({_scale(pair):.3g}). Rows: elements of "
    caption += f"{pair.output}; columns: elements of {pair.input}.{block}"
    return _figure([(_svg(width, height, cells, label), "")], caption, ERRORS, seen)


def ratio_map(pair: JacobianPair) -> str:
    """Analytic over numeric for each element of the input, in the input's own shape."""
    ratios, styles = _ratios(pair)
    titles = _titles(pair, ratios)
    lead, (height, width) = _grid(pair.input_shape, pair.complete or len(pair.columns) > 1)
    place = {int(flat): k for k, flat in enumerate(pair.columns)}
    panels = []
    seen: set[str] = set()
    count = int(np.prod(lead))
    size = height * width
    bad = [sum(styles[place[f]] != "r0" for f in range(p * size, (p + 1) * size) if f in place) for p in range(count)]
    shown = sorted(np.argsort(-np.array(bad), kind="stable")[:PANELS].tolist())
    for p in shown:
        cells = []
        for y, rows in enumerate(_blocks(height)):
            for x, columns in enumerate(_blocks(width)):
                inside = [place[f] for r in rows for c in columns if (f := p * size + r * width + c) in place]
                if not inside:
                    style, title, text = "r8", RATIOS["r8"], ""
                else:
                    k = max(inside, key=lambda k: (styles[k] != "r0", _away(ratios[k])))
                    style, title, text = styles[k], titles[k], _short(ratios[k], styles[k])
                seen.add(style)
                cells.append(_cell(x, y, style, title, text if size <= 256 and width <= 16 else ""))
        index = ", ".join(str(i) for i in np.unravel_index(p, lead)) if lead else ""
        caption = f"[{index}, :, :]" if index else ""
        label = f"ratio of backward to numerical for {pair.input}{caption}"
        panels.append((_svg(min(width, LARGEST), min(height, LARGEST), cells, label), caption))
    caption = f"Ratio backward / numerical for each element of {pair.input}, shape {list(pair.input_shape)}"
    caption += f"; the {PANELS} worst of {count} panels." if count > PANELS else "."
    return _figure(panels, caption, RATIOS, seen)


def worst(pair: JacobianPair, count: int = 8) -> list[tuple[str, str, float, float, float]]:
    """The elements that are furthest off: output index, input index, analytic, numeric, error bar."""
    badness, levels = _errors(pair)
    outputs, inputs = _names(pair)
    found = []
    for flat in np.argsort(-badness, axis=None, kind="stable")[:count]:
        i, j = divmod(int(flat), levels.shape[1])
        if levels[i, j] > 0:
            values = float(pair.analytic[i, j]), float(pair.numeric[i, j]), float(pair.error[i, j])
            found.append((outputs[i], inputs[j], *values))
    return found


def _scale(pair: JacobianPair) -> float:
    """The largest finite derivative, numerical or, where all of those are zero, backward's."""
    for values in (pair.numeric, pair.analytic):
        size = float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values)))
        if size > 0:
            return size
    return 1.0


def _errors(pair: JacobianPair) -> tuple[Array, Array]:
    """How bad each element is, from 0 to 1 where it agrees and from 2 to 3 where not, and the number of its class."""
    with np.errstate(all="ignore"):
        relative = np.abs(pair.analytic - pair.numeric) / _scale(pair)
        levels = np.where(pair.wrong, 1 + np.searchsorted([1e-4, 1e-2, 0.1, 1.0], relative, side="right"), 0)
        levels[~np.isfinite(relative)] = 6  # whatever is allowed: an infinite value allows an infinite error
        badness = np.where(np.isfinite(relative), relative / (1 + relative), 1.0) + 2 * (levels > 0)
    return badness, levels


def _blocks(n: int) -> list[range]:
    count = min(n, LARGEST)
    return [range(n * k // count, n * (k + 1) // count) for k in range(count)]


def _worst(badness: Array, rows: range, columns: range) -> tuple[int, int]:
    if len(rows) == len(columns) == 1:
        return rows[0], columns[0]
    part = badness[rows.start : rows.stop, columns.start : columns.stop]
    i, j = divmod(int(np.argmax(part)), len(columns))
    return rows[i], columns[j]


def _ratios(pair: JacobianPair) -> tuple[Array, list[str]]:
    """The factor that fits best for each input element, and its class."""
    a, n, wrong = pair.analytic, pair.numeric, _errors(pair)[1] > 0
    with np.errstate(all="ignore"):
        ratios = np.sum(a * n, axis=0) / np.sum(n * n, axis=0)
        rest = np.sum((a - ratios * n) ** 2, axis=0)
        size = np.sum(a * a, axis=0)
    return ratios, [
        _style(bool(wrong[:, k].any()), float(ratios[k]), float(rest[k]), float(size[k]), bool(n[:, k].any()))
        for k in range(a.shape[1])
    ]


def _style(wrong: bool, ratio: float, rest: float, size: float, moves: bool) -> str:
    if not wrong:
        return "r0"
    if not np.isfinite(size):
        return "r7"
    if not moves:
        return "r6"
    if size == 0:
        return "r1"
    if rest > 1e-4 * size:
        return "r5"
    return "r2" if ratio < 0 else "r3" if ratio < 1 else "r4"


def _titles(pair: JacobianPair, ratios: Array) -> list[str]:
    """For each input element, the ratio and both values at its worst output element."""
    rows = np.argmax(_errors(pair)[0], axis=0).tolist()
    names = _names(pair)
    return [f"ratio {ratios[k]:.6g}; worst: {_values(pair, names, i, k)}" for k, i in enumerate(rows)]


def _grid(shape: Shape, sensible: bool) -> tuple[Shape, tuple[int, int]]:
    """Leading axes and the two that make a picture."""
    if len(shape) < 2 or not sensible:
        return (), (1, int(np.prod(shape)))
    if len(shape) > 2 and shape[-1] * shape[-2] == 1:  # (N, C, 1, 1): pictures of one cell say little
        return (), (shape[0], int(np.prod(shape[1:])))
    return tuple(shape[:-2]), (shape[-2], shape[-1])


def _away(ratio: float) -> float:
    return abs(ratio - 1) if np.isfinite(ratio) else np.inf


def _short(ratio: float, style: str) -> str:
    return "" if style in {"r5", "r6", "r7"} or not np.isfinite(ratio) else f"{ratio + 0.0:.3g}"


def _names(pair: JacobianPair) -> tuple[list[str], list[str]]:
    """What the rows and the columns are called: ``output 0[1, 2]``."""
    return _indexed(pair.output, pair.output_shape, pair.rows), _indexed(pair.input, pair.input_shape, pair.columns)


def _indexed(name: str, shape: Shape, elements: Array) -> list[str]:
    if not shape:
        return [name] * len(elements)
    indices = np.stack(np.unravel_index(elements, shape), axis=1)
    return [f"{name}{index}" for index in indices.tolist()]


def _values(pair: JacobianPair, names: tuple[list[str], list[str]], i: int, j: int) -> str:
    values = f"backward {pair.analytic[i, j]:.8g}, numerical {pair.numeric[i, j]:.8g} ± {pair.error[i, j]:.1g}"
    return f"d {names[0][i]} / d {names[1][j]}: {values}"


def _cell(x: int, y: int, style: str, title: str, text: str = "") -> str:
    square = f'<path class="{style}" d="M{x} {y}h1v1h-1z"><title>{escape(printable(title))}</title></path>'
    ground = ' class="on"' if style == "r0" else ""
    return square + (f'<text{ground} x="{x}.5" y="{y}.6">{escape(text)}</text>' if text else "")


def _svg(width: int, height: int, cells: list[str], label: str) -> str:
    size = min(44 if width <= 16 else 24, max(6, 640 // max(width, height, 1)))
    return (
        f'<svg role="img" aria-label="{escape(printable(label))}" viewBox="0 0 {width} {height}" '
        f'width="{width * size}" height="{height * size}">{"".join(cells)}</svg>'
    )


def _figure(panels: list[tuple[str, str]], caption: str, legend: dict[str, str], seen: set[str]) -> str:
    def parts() -> Iterator[str]:
        yield "<figure>"
        yield f"<figcaption>{escape(printable(caption))}</figcaption>"
        yield '<div class="panels">'
        for svg, below in panels:
            yield f"<div>{svg}{f'<p class=index>{escape(below)}</p>' if below else ''}</div>"
        yield "</div>"
        yield '<ul class="legend">'
        for style, words in legend.items():
            if style in seen:
                yield f'<li><span class="swatch {style}"></span>{escape(words)}</li>'
        yield "</ul>"
        yield "</figure>"

    return "\n".join(parts())
