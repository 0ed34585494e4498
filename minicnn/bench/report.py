"""A result as text: a table as it grows, the summary, CSV, Markdown. JSON holds all of it."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minicnn.bench.result import AUTO, FORWARD_KEPT, OK, UNCHECKED, WITH_FORWARD, Row, dump, read
from minicnn.bench.stats import ratio
from minicnn.bench.summary import PEER, PEERS, better, means
from minicnn.core import checks

_WIDTHS = {
    "layer": 27, "pass": 11, "contender": 22, "ms": 9, "interval": 18, "GFLOP/s": 8, "actual": 7, "GB/s": 6, "roof": 5,
    "faults": 7, "peak": 7, "scratch": 7, "error": 8, "ratio": 18,
}
COLUMNS = tuple(_WIDTHS)
_LEFT = 3  # columns that are text
_MARKS = {AUTO: "*"}
_NOTES = (UNCHECKED, WITH_FORWARD, FORWARD_KEPT)


def cells(row: Row, rows: Sequence[Row], roof: Mapping[str, float]) -> list[str]:
    """The row's columns; ``rows`` holds the peer's row of the same work."""
    name = f"{row.contender} {row.algorithm}".strip()
    if row.algorithm:
        name += "".join(_MARKS.get(mark, "") for mark in row.marks)
    name += "".join(f" ({mark})" for mark in row.marks if mark in _NOTES)
    if row.verdict != OK or not row.rounds:
        return [row.work, row.which, name, row.verdict, row.why]
    low, high = row.spread
    return [
        row.work, row.which, name, f"{row.median * 1e3:.3f}", f"[{low * 1e3:.3f}, {high * 1e3:.3f}]",
        f"{row.nominal:.1f}" if row.flops else "", f"{row.actual:.1f}" if row.operations else "",
        f"{row.traffic:.1f}" if row.bytes else "", f"{row.share(dict(roof)):.0%}" if roof and row.bytes else "",
        "" if row.faults is None else f"{row.faults:.0f}", _mib(row.peak_bytes), _mib(row.workspace),
        "" if row.error is None else f"{row.error:.1e}", _ratio(row, rows),
    ]


def _mib(count: float | None) -> str:
    return "" if count is None else f"{count / 2**20:.1f}"


def _ratio(row: Row, rows: Sequence[Row]) -> str:
    found = []
    for name in PEERS:
        others = (r for r in rows if r.key == row.key and r.contender == name and r.verdict == OK and r.rounds)
        peer = next(others, None)
        if peer is not None and peer is not row:
            middle, low, high = ratio(peer.rounds, row.rounds)
            found.append(f"{middle:.2f} [{low:.2f}, {high:.2f}]" + (f" {name}" if name != PEER else ""))
    return "; ".join(found)


def heading() -> str:
    """The table's first line."""
    return _line(COLUMNS)


def lines(rows: Sequence[Row], roof: Mapping[str, float]) -> str:
    """The table's lines of these rows."""
    return "\n".join(_line(cells(row, rows, roof)) for row in rows)


def _line(columns: Sequence[str]) -> str:
    if len(columns) < len(COLUMNS) and len(columns) == 5:  # a verdict and its reason, which may be long
        *start, verdict, why = columns
        return f"{_line([*start, verdict]).rstrip()}  {why}"
    widths = list(_WIDTHS.values())
    padded = [text.ljust(widths[i]) if i < _LEFT else text.rjust(widths[i]) for i, text in enumerate(columns)]
    return " ".join(padded).rstrip()


def summary(rows: Sequence[Row], roof: Mapping[str, float]) -> str:
    """Means, worst layers, what was better than the choice, and the roof."""
    text = []
    if roof:
        text.append(f"roof: {roof['flops'] / 1e9:.0f} GFLOP/s (matrix product), {roof['bytes'] / 1e9:.1f} GB/s (copy)")
    text.append("ratio: PyTorch's time over this one; faults: pages first touched by a repetition; peak, scratch: MiB")
    if any(row.algorithm and AUTO in row.marks for row in rows):
        text.append("* the automatic choice")
    heading = ""
    for mean in (mean for peer in PEERS for mean in means(rows, peer)):
        against = "" if mean.peer == PEER else f", against {mean.peer}"
        title = f"{mean.mark}{against}: geometric mean of the ratios, and the worst"
        if title != heading:
            heading = title
            text += ["", title]
        name, worst = mean.worst
        count = f"{len(mean.ratios)} of {len(mean.ratios) + len(mean.missing)}"
        lost = f"  without {', '.join(mean.missing)}" if mean.missing else ""
        text.append(f"  {mean.over:20} {mean.which:12} {mean.mean:5.2f}   worst {worst:5.2f} {name} ({count}){lost}")
    faster = better(rows)
    if faster:
        text += ["", "faster than the automatic choice:"]
        for chosen, best, times in faster:
            where = f"{chosen.work:27} {chosen.which:12}"
            text.append(f"  {where} {best.algorithm} is {times:.2f} times as fast as {chosen.algorithm}")
    return "\n".join(text)


def markdown(rows: Sequence[Row], roof: Mapping[str, float]) -> str:
    """The table and the summary for a page."""
    body = [COLUMNS, ["---"] * len(COLUMNS), *(cells(row, rows, roof) for row in rows)]
    table = "\n".join("| " + " | ".join([*line, *[""] * (len(COLUMNS) - len(line))]) + " |" for line in body)
    return f"{table}\n\n```\n{summary(rows, roof)}\n```\n"


def comma_separated(rows: Sequence[Row], roof: Mapping[str, float]) -> str:
    """A line a row with plain numbers: seconds, bytes, operations a second."""
    out = io.StringIO()
    fields = [name for name in dump(rows[0]) if name not in ("rounds", "marks")] if rows else []
    derived = ["median", "low", "high", "gflops", "actual_gflops", "gbytes", "roof_share"]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*fields, "marks", *derived])
    for row in rows:
        record = dump(row)
        more: list[Any] = [""] * len(derived)
        if row.rounds:
            share = row.share(dict(roof)) if roof else ""
            more = [row.median, *row.spread, row.nominal, row.actual, row.traffic, share]
        writer.writerow([*(record[name] for name in fields), " + ".join(row.marks), *more])
    return out.getvalue()


def load(path: Path) -> tuple[list[Row], dict[str, Any]]:
    """Rows of a stored result, and the whole record.

    Raises
    ------
    ValueError
        If the file holds no result.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return [read(row) for row in record["rows"]], record
    except (ValueError, KeyError, TypeError) as error:
        raise checks.value_error("bench", f"{path} holds no result of a benchmark: {error}") from None
