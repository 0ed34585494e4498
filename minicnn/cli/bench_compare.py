"""``minicnn bench compare``: two stored results, row by row."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

SAME = (  # what two results must share for their times to be of the same thing
    "kind", "processor", "cores", "system", "python", "packages", "environment", "device", "dtype", "threads", "spin",
    "seconds", "tf32",
)  # fmt: skip


def add_to(kinds: Any) -> None:
    """Add the kind."""
    parser = kinds.add_parser(
        "compare", help="two stored results, row by row, with significance",
        description="Ratio of the medians (above 1 where the second is faster) and whether the rounds differ by more "
        "than scatter (Mann-Whitney, corrected for the number of rows; changes below 2 % count as none).",
        epilog="exit codes: 0 nothing is slower; 1 something is slower; 2 bad input",
    )
    parser.add_argument("before", type=Path, metavar="BEFORE.json")
    parser.add_argument("after", type=Path, metavar="AFTER.json")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Print the comparison."""
    from minicnn.bench import compare, report

    (before, first), (after, second) = report.load(options.before), report.load(options.after)
    one, other = (
        {"kind": record.get("kind"), **record.get("machine", {}), **record.get("settings", {})}
        for record in (first, second)
    )
    for part in SAME:
        if one.get(part) != other.get(part):
            print(f"note: the {part} differs: {one.get(part)} / {other.get(part)}")
    changes = compare.compare(before, after)
    if not changes:
        raise ValueError("bench: the two results have no row in common")
    print(compare.table(changes))
    return 1 if any(change.verdict == compare.SLOWER for change in changes) else 0
