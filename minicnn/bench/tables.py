"""Works that are a name and a pass: ops, training steps.

The same turns as for convolution; the libraries are checked by each other: what they show of their results must agree.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.bench import peers, roofline, turns
from minicnn.bench.conv import Report, Result
from minicnn.bench.desk import Desk, contender
from minicnn.bench.machine import stamp
from minicnn.bench.result import AUTO, CANNOT, WRONG, Row

AGREE = 1e-3  # largest difference of what two libraries show, over the largest number shown


@dataclass(frozen=True)
class Table:
    """Works, what is measured of each, and who prepares them ("module:function")."""

    kind: str
    works: Sequence[str]
    passes: Callable[[str], Sequence[str]]
    provider: str
    peers: Sequence[str] = ("torch",)
    threads: int = 2
    rounds: int = 9
    seconds: float = 0.1
    steady: float = 0.06
    roof: bool = True
    spin: bool = False
    device: str = "cpu"


def measure(table: Table, report: Report = lambda rows, result: None) -> Result:
    """Measure the table; ``report`` gets the rows of each work and pass when they are done, and the result so far."""
    settings: dict[str, Any] = {
        "works": list(table.works), "peers": list(table.peers), "threads": table.threads, "rounds": table.rounds,
        "seconds": table.seconds, "spin": table.spin, "device": table.device,
    }
    result = Result(settings=settings, machine=stamp(device=table.device), kind=table.kind)
    with ExitStack() as stack:

        def desk(name: str, provider: str) -> Desk:
            entrant = contender(name, provider, table.threads, table.spin, table.device)
            return stack.enter_context(closing(Desk(entrant)))

        if table.roof:
            result.roof = roofline.measure(desk("machine", "minicnn.bench.roofline:provide"), "float32")
        names = [peers.OURS, *(name for name in table.peers if not peers.missing(name))]
        desks = {name: desk(name, table.provider) for name in names}
        for work in table.works:
            for which in table.passes(work):
                rows = _rows(table, work, which, desks)
                result.rows += rows
                report(rows, result)
    return result


def _rows(table: Table, work: str, which: str, desks: dict[str, Desk]) -> list[Row]:
    rows: list[Row] = []
    entrants: turns.Entrants = {}
    shown: dict[str, list[float]] = {}
    for name, desk in desks.items():
        row = Row(work, which, name, marks=[AUTO] if name == peers.OURS else [])
        rows.append(row)
        facts = turns.prepare(row, desk, name, work=work, which=which)
        if facts is not None:
            entrants[name] = row, desk
            shown[name] = facts["shown"]
    absent = [name for name in table.peers if name not in desks]
    rows += [Row(work, which, name, verdict=CANNOT, why=str(peers.missing(name))) for name in absent]
    _agree(rows, shown, entrants)
    turns.time_rows(entrants, rounds=table.rounds, seconds=table.seconds, steady=table.steady)
    turns.drop(desks)
    return rows


def _agree(rows: list[Row], shown: dict[str, list[float]], entrants: turns.Entrants) -> None:
    """Ours must show what the others show; which of two is wrong cannot be known here, so ours is called wrong."""
    ours = shown.get(peers.OURS)
    for name, theirs in shown.items():
        if ours is None or name == peers.OURS:
            continue
        difference = float(np.max(np.abs(np.subtract(ours, theirs))) / max(np.max(np.abs(theirs)), 1e-30))
        row = next(row for row in rows if row.contender == peers.OURS)
        row.error = difference if np.isfinite(difference) else 1e300
        row.bound = AGREE
        if not difference <= AGREE:
            row.verdict, row.why = WRONG, f"differs from {name} by {difference:.1e}"
            entrants.pop(peers.OURS, None)
