"""What the kinds of ``minicnn bench`` have in common: where their results go, and for how long they measure."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minicnn.cli.numbers import positive

if TYPE_CHECKING:
    from minicnn.bench.conv import Plan, Report, Result
    from minicnn.bench.result import Row
    from minicnn.bench.tables import Table

FILES = ("json", "csv", "markdown", "plot")


def add_options(parser: Any, *, rounds: int, seconds: float) -> None:
    """``--rounds``, ``--seconds``, ``--threads`` and the files."""
    parser.add_argument(
        "--rounds", metavar="N", type=positive, default=rounds,
        help=f"turns of each contender, up to three times as many where they scatter (default: {rounds})",
    )
    parser.add_argument(
        "--seconds", metavar="S", type=float, default=seconds, help=f"length of a turn (default: {seconds})"
    )
    parser.add_argument("--threads", metavar="N", type=positive, default=2, help="of each contender (default: 2)")
    parser.add_argument(
        "--spin", action="store_true",
        help="let waiting threads spin as each library has it, and pause between turns; else they sleep at once",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write everything measured, for compare")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write a line a row")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the table for a page")
    parser.add_argument("--plot", metavar="FOLDER", type=Path, help="draw roofline.png and bars.png into this folder")


def check_files(options: argparse.Namespace) -> None:
    """Folders must be there before minutes of work, not after."""
    if not options.seconds > 0:
        raise ValueError(f"bench: --seconds must be above 0, got {options.seconds}")
    for name in FILES:
        path = getattr(options, name, None)
        if path is None:
            continue
        folder = path if name == "plot" else path.parent
        if not folder.is_dir():
            raise FileNotFoundError(f"bench: there is no folder {folder}")


def write(options: argparse.Namespace, record: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write the files asked for."""
    from minicnn.bench import report

    roof = record.get("roofline", {})
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if options.csv:
        options.csv.write_text(report.comma_separated(rows, roof), encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(report.markdown(rows, roof), encoding="utf-8")
    if options.plot:
        from minicnn.bench import plots

        plots.draw(rows, roof, options.plot)


def show_ways(rows: Sequence[Row], result: Result) -> None:
    """Print what :func:`minicnn.bench.across.measure` reports: each way with its time, or why it has none."""
    for row in rows:
        said = f"{row.median * 1e3:10.3f} ms" if row.rounds else row.why
        print(f"{row.shape}  {row.which:<12} {row.contender:<32} {said}", flush=True)


def only(names: Sequence[str], texts: Sequence[str] | None) -> list[str]:
    """The names that contain one of the texts.

    Raises
    ------
    ValueError
        If there is none.
    """
    chosen = [name for name in names if not texts or any(text in name for text in texts)]
    if not chosen:
        raise ValueError(f"bench: nothing contains {' or '.join(texts or [])}; there are {', '.join(names)}")
    return chosen


def convolution(options: argparse.Namespace, plan: Plan) -> tuple[int, Sequence[Row]]:
    """Measure layers, print the table while it grows, write the files; the exit code and the rows."""
    from minicnn.bench import conv

    return _measure(options, lambda report: conv.measure(plan, report))


def run(options: argparse.Namespace, table: Table) -> int:
    """The same for a table of works; the exit code."""
    from minicnn.bench import tables

    unknown = set(table.peers) - {"torch", "torch-kept"}
    if unknown:
        raise ValueError(f"bench: only torch and torch-kept are compared here, not {', '.join(sorted(unknown))}")
    return _measure(options, lambda report: tables.measure(table, report))[0]


def _measure(options: argparse.Namespace, measure: Callable[[Report], Result]) -> tuple[int, Sequence[Row]]:
    from minicnn.bench import report
    from minicnn.bench.result import FAILED, WRONG

    check_files(options)
    so_far: list[Result] = []

    def show(rows: list[Row], result: Result) -> None:
        so_far[:] = [result]
        print(report.lines(rows, result.roof), flush=True)

    print(report.heading(), flush=True)
    try:
        result = measure(show)
    except KeyboardInterrupt:  # what is measured is kept
        for result in so_far:
            write(options, {**result.record(), "interrupted": True}, result.rows)
        raise
    print(f"\n{report.summary(result.rows, result.roof)}")
    write(options, result.record(), result.rows)
    return (1 if any(row.verdict in {WRONG, FAILED} for row in result.rows) else 0), result.rows
