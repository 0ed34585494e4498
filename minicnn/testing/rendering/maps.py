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
    relative, levels = _errors(pair)
    n, m = relative.shape
    seen: set[str] = set()
    cells = []
    for y, rows in enumerate(_blocks(n)):
        for x, columns in enumerate(_blocks(m)):
            i, j = _worst(relative, levels, rows, columns)
            style = f"e{levels[i, j]}"
            seen.add(style)
            cells.append(_cell(x, y, style, _values(pair, i, j)))
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
    relative, levels = _errors(pair)
    order = np.lexsort((-_finite(relative).ravel(), levels.ravel() == 0))
    found = []
    for flat in order[:count]:
        i, j = divmod(int(flat), relative.shape[1])
        if levels[i, j] > 0:
            output, source = _indices(pair, i, j)
            values = float(pair.analytic[i, j]), float(pair.numeric[i, j]), float(pair.error[i, j])
            found.append((output, source, *values))
    return found


def _scale(pair: JacobianPair) -> float:
    """The largest finite derivative, numerical or, where all of those are zero, backward's."""
    for values in (pair.numeric, pair.analytic):
        size = float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values)))
        if size > 0:
            return size
    return 1.0


def _errors(pair: JacobianPair) -> tuple[Array, Array]:
    """Relative errors and the number of each one's class."""
    with np.errstate(all="ignore"):
        relative = np.abs(pair.analytic - pair.numeric) / _scale(pair)
    levels = np.where(pair.wrong, 1 + np.searchsorted([1e-4, 1e-2, 0.1, 1.0], relative, side="right"), 0)
    levels[~np.isfinite(relative)] = 6  # whatever is allowed: an infinite value allows an infinite error
    return relative, levels


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.inf)


def _blocks(n: int) -> list[list[int]]:
    return [block.tolist() for block in np.array_split(np.arange(n), min(n, LARGEST))] if n else []


def _worst(relative: Array, levels: Array, rows: list[int], columns: list[int]) -> tuple[int, int]:
    part = np.ix_(rows, columns)
    flat = int(np.lexsort((-_finite(relative[part]).ravel(), levels[part].ravel() == 0))[0])
    return rows[flat // len(columns)], columns[flat % len(columns)]


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
    relative, levels = _errors(pair)
    rows = list(range(relative.shape[0]))
    found = []
    for k, ratio in enumerate(ratios):
        i, _ = _worst(relative, levels, rows, [k])
        found.append(f"ratio {ratio:.6g}; worst: {_values(pair, i, k)}")
    return found


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
    return "" if style in {"r5", "r6", "r7"} or not np.isfinite(ratio) else f"{ratio:.3g}"


def _indices(pair: JacobianPair, i: int, j: int) -> tuple[str, str]:
    row = np.unravel_index(int(pair.rows[i]), pair.output_shape) if pair.output_shape else ()
    column = np.unravel_index(int(pair.columns[j]), pair.input_shape) if pair.input_shape else ()
    return (
        f"{pair.output}[{', '.join(str(int(k)) for k in row)}]" if row else pair.output,
        f"{pair.input}[{', '.join(str(int(k)) for k in column)}]" if column else pair.input,
    )


def _values(pair: JacobianPair, i: int, j: int) -> str:
    output, source = _indices(pair, i, j)
    values = f"backward {pair.analytic[i, j]:.8g}, numerical {pair.numeric[i, j]:.8g} ± {pair.error[i, j]:.1g}"
    return f"d {output} / d {source}: {values}"


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
