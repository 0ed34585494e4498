"""Reports as one HTML file that needs nothing else: tables, causes, and heat maps of the Jacobians' errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from minicnn.testing.catalogue import CAUSES
from minicnn.testing.rendering import maps
from minicnn.testing.rendering.record import Record, pair, record
from minicnn.testing.rendering.verdicts import OUTCOMES, meaning, outcome, printable
from minicnn.testing.report import Report

_ZERO = "PASS (zero)"
_ZERO_MEANS = (
    f"{_ZERO}: backward and the numerical value are zero along every probe of this pair, as where an output does not "
    "depend on an input. Alone it would prove little; the check as a whole could have failed, or was declared flat."
)


def html(reports: Iterable[Report | Mapping[str, Any]], *, title: str = "Gradient checks") -> str:
    """One self-contained page about some reports, worst first.

    Parameters
    ----------
    reports : iterable of Report
        Or records of them (:func:`minicnn.testing.rendering.record`).
    title : str

    Returns
    -------
    str
        An HTML document without scripts and without references to other files; light or dark as the reader prefers.

    Examples
    --------
    >>> from minicnn.testing import Report
    >>> page = html([Report(name="scale", comparisons=4)], title="Mine")
    >>> page[:15], "<script" in page, "<title>Mine</title>" in page
    ('<!DOCTYPE html>', False, True)
    """
    records = sorted((record(r) for r in reports), key=lambda made: OUTCOMES.index(outcome(made)))
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return "\n".join([
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(title)}</title>",
        f"<style>\n{style}</style>",
        "</head>",
        "<body>",
        f"<h1>{_text(title)}</h1>",
        "<main>",
        _overview(records),
        *(_section(i, made) for i, made in enumerate(records)),
        "</main>",
        "</body>",
        "</html>\n",
    ])


def _overview(records: list[Record]) -> str:
    if not records:
        return "<p>Nothing was checked.</p>"
    words = [outcome(made) for made in records]
    counts = ", ".join(
        f'{words.count(word)} <span class="verdict {word}">{word}</span>' for word in OUTCOMES if word in words
    )
    rows = [
        [
            f'<span class="verdict {word}">{word}</span>',
            f'<a href="#check-{i}">{_name(i, made)}</a>',
            _prose("; ".join(_title(cause) for cause in made["causes"])),
            str(made["order"]), str(made["seed"]), str(made["comparisons"]), f"{made['seconds']:.3f}",
        ]
        for i, (word, made) in enumerate(zip(words, records, strict=True))
    ]
    head = ["Verdict", "Check", "Probable cause", "Order", "Seed", "Comparisons", "Seconds"]
    checks = "1 check" if len(records) == 1 else f"{len(records)} checks"
    return f"<p>{checks}: {counts}.</p>\n" + _table(head, rows, numbers=(3, 4, 5, 6))


def _section(i: int, made: Record) -> str:
    word = outcome(made)
    extra = ' <span class="verdict VACUOUS">VACUOUS</span>' if made["vacuous"] and word != "VACUOUS" else ""
    return "\n".join([
        f'<section id="check-{i}">',
        f'<h2><span class="verdict {word}">{word}</span>{extra} {_name(i, made)}</h2>',
        f"<p>{_text(meaning(made))}</p>",
        *(_diagnosis(diagnosis) for diagnosis in made["diagnoses"]),
        *_findings(made),
        *_compared(made, shown=word != "PASS"),
        *(_jacobians(jacobians) for jacobians in made["jacobians"]),
        *_notes(made["notes"]),
        f'<p class="soft">Seed {made["seed"]}; repeat with <code>{_text(made["reproduce"])}</code></p>',
        "</section>",
    ])


def _diagnosis(diagnosis: Mapping[str, str]) -> str:
    known = CAUSES.get(diagnosis["cause"])
    return "\n".join([
        '<div class="cause">',
        f"<h3>Probable cause: {_prose(_title(diagnosis['cause']))}</h3>",
        f"<p>{_text(diagnosis['where'])}: {_text(diagnosis['sentence'])}</p>",
        *([f"<p>{_prose(known.meaning)}</p>", f"<p>Repair: {_prose(known.remedy)}</p>"] if known else []),
        f'<p class="soft">In the catalogue of causes: <code>{_text(diagnosis["cause"])}</code></p>',
        "</div>",
    ])


def _findings(made: Record) -> list[str]:
    if not made["findings"]:
        return []
    rows = [[str(f["order"]), _text(f["kind"]), _text(f["where"]), _text(f["message"])] for f in made["findings"]]
    return ["<h3>Findings</h3>", _table(["Order", "Kind", "Where", "What"], rows)]


def _compared(made: Record, *, shown: bool) -> list[str]:
    if not made["compared"]:
        return []
    rows = []
    for c in made["compared"]:
        word = shown_as = c["verdict"]
        if word == "PASS" and c["vacuous"]:
            empty = made["vacuous"] and c["input"] in made["flat"]
            word, shown_as = ("VACUOUS", "VACUOUS") if empty else ("PASS", _ZERO)
        rows.append([
            str(c["order"]), _text(c["input"]), _text(c["output"]), f'<span class="verdict {word}">{shown_as}</span>',
            _text(c["where"]), _number(c["analytic"]), _number(c["numeric"]),
            f"{c['error']:.1g}", f"{c['allowed']:.1g}", _ratio(c["analytic"], c["numeric"]), _text(c["method"]),
        ])
    head = [
        "Order", "Input", "Output", "Verdict", "Worst at",
        "Backward", "Numerical", "Error bar", "Allowed", "Ratio", "By",
    ]
    table = _table(head, rows, numbers=(5, 6, 7, 8, 9))
    # closed where all is well: the overview has said so
    state = " open" if shown else ""
    caption = [f'<p class="soft">{_ZERO_MEANS}</p>'] if any(_ZERO in row[3] for row in rows) else []
    summary = f"<details{state}><summary>Inputs and outputs, {len(rows)} compared</summary>"
    return [summary, table, *caption, "</details>"]


def _notes(notes: list[str]) -> list[str]:
    return ["<h3>Notes</h3>", "<ul>", *(f"<li>{_text(note)}</li>" for note in notes), "</ul>"] if notes else []


def _jacobians(made: Record) -> str:
    jacobians = pair(made)
    name = f"d {jacobians.output} / d {jacobians.input}, order {jacobians.order}"
    if not jacobians.analytic.size:
        return f"<h3>{_text(name)}</h3>\n<p>No elements.</p>"
    rows, columns = len(jacobians.rows), len(jacobians.columns)
    part = f"<p>{rows} of the output's and {columns} of the input's elements were looked at.</p>"
    cells = [
        [_text(output), _text(source), _number(a), _number(n), f"{error:.1g}", _ratio(a, n)]
        for output, source, a, n, error in maps.worst(jacobians)
    ]
    head = ["Output element", "Input element", "Backward", "Numerical", "Error bar", "Ratio"]
    return "\n".join([
        f"<h3>{_text(name)}</h3>",
        "" if jacobians.complete else part,
        _table(head, cells, numbers=(2, 3, 4, 5)) if cells else "<p>All elements agree here.</p>",
        maps.error_map(jacobians),
        maps.ratio_map(jacobians),
    ])


def _table(head: list[str], rows: list[list[str]], *, numbers: tuple[int, ...] = ()) -> str:
    kinds = [' class="number"' if i in numbers else "" for i in range(len(head))]
    top = "".join(f'<th scope="col"{kind}>{word}</th>' for word, kind in zip(head, kinds, strict=True))
    lines = [
        f"<tr>{''.join(f'<td{kind}>{cell}</td>' for cell, kind in zip(row, kinds, strict=True))}</tr>" for row in rows
    ]
    body = "\n".join(lines)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _title(cause: str) -> str:
    """The title of a cause; one that the catalogue does not have is called by its identifier."""
    return CAUSES[cause].title if cause in CAUSES else cause


def _prose(text: str) -> str:
    """Text of the catalogue, in which code stands between backticks."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", _text(text))


def _name(i: int, made: Record) -> str:
    return _text(made["name"]) or f"check {i + 1}"


def _number(value: float) -> str:
    return f"{value:.8g}"


def _ratio(analytic: float, numeric: float) -> str:
    return f"{analytic / numeric + 0.0:.6g}" if numeric else "–"  # + 0.0: no -0


def _text(text: object) -> str:
    return escape(printable(str(text)))
