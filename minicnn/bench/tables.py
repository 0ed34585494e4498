"""Works that are a name and a pass: ops, training steps.

The same turns as for convolution; the libraries are checked by each other: what they show of their results must agree.
What is shown is a group of numbers, or several; differences in a group are measured by its largest number.
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
from minicnn.bench.result import AUTO, CANNOT, UNCHECKED, WRONG, Row

Shown = list[float] | list[list[float]]
AGREE = 1e-3  # largest difference of what two libraries show, over the largest number of the group


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


def measure(table: Table, report: Report = lambda rows, result: None, kept: Sequence[Row] = ()) -> Result:
    """Measure the table; ``report`` gets the rows of each work and pass when they are done, and the result so far.

    ``kept`` are rows of an earlier run: works and passes that they hold are not measured again.
    """
    settings: dict[str, Any] = {
        "works": list(table.works), "peers": list(table.peers), "threads": table.threads, "rounds": table.rounds,
        "seconds": table.seconds, "spin": table.spin, "device": table.device,
    }
    result = Result(list(kept), settings=settings, machine=stamp(device=table.device), kind=table.kind)
    done = {row.key for row in kept}
    with ExitStack() as stack:

        def desk(name: str, provider: str) -> Desk:
            entrant = contender(name, provider, table.threads, table.spin, table.device)
            return stack.enter_context(closing(Desk(entrant)))

        machine = desk("machine", "minicnn.bench.roofline:provide") if table.roof else None
        if machine:
            result.roof = roofline.best({}, machine, "float32")
        names = [peers.OURS, *(name for name in table.peers if not peers.missing(name))]
        desks = {name: desk(name, table.provider) for name in names}
        for work in table.works:
            for which in table.passes(work):
                if (work, which) in done:
                    continue
                rows = _rows(table, work, which, desks)
                result.rows += rows
                report(rows, result)
        if machine:
            result.roof = roofline.best(result.roof, machine, "float32")
    return result


def _rows(table: Table, work: str, which: str, desks: dict[str, Desk]) -> list[Row]:
    rows: list[Row] = []
    entrants: turns.Entrants = {}
    shown: dict[str, Shown] = {}
    agree = AGREE
    for name, desk in desks.items():
        row = Row(work, which, name, marks=[AUTO] if name == peers.OURS else [])
        rows.append(row)
        facts = turns.prepare(row, desk, name, work=work, which=which)
        if facts is not None:
            entrants[name] = row, desk
            shown[name] = facts["shown"]
            agree = min(agree, facts.get("agree", AGREE))
    absent = [name for name in table.peers if name not in desks]
    rows += [Row(work, which, name, verdict=CANNOT, why=str(peers.missing(name))) for name in absent]
    _agree(rows, shown, entrants, agree)
    turns.time_rows(entrants, rounds=table.rounds, seconds=table.seconds, steady=table.steady)
    turns.drop(desks)
    return rows


def _agree(rows: list[Row], shown: dict[str, Shown], entrants: turns.Entrants, bound: float) -> None:
    """Ours must show what the others show; which of two is wrong cannot be known here, so ours is called wrong."""
    ours = shown.get(peers.OURS)
    if ours is not None and len(shown) == 1:
        next(row for row in rows if row.contender == peers.OURS).marks.append(UNCHECKED)
    for name, theirs in shown.items():
        if ours is None or name == peers.OURS:
            continue
        found = difference(ours, theirs)
        row = next(row for row in rows if row.contender == peers.OURS)
        row.error = max(row.error or 0.0, found)
        row.bound = bound
        if found > bound:
            row.verdict, row.why = WRONG, f"differs from {name} by {found:.1e}"
            entrants.pop(peers.OURS, None)


def difference(ours: Shown, theirs: Shown) -> float:
    """The worst group's; what is not finite, or shown by one of them only, is as wrong as can be."""
    groups = [[shown] if not shown or isinstance(shown[0], float | int) else shown for shown in (ours, theirs)]
    if [np.shape(group) for group in groups[0]] != [np.shape(group) for group in groups[1]]:
        return 1e300
    worst = 0.0
    for a, b in zip(*groups, strict=True):
        found = float(np.max(np.abs(np.subtract(a, b)), initial=0) / max(np.max(np.abs(b), initial=0), 1e-30))
        worst = max(worst, found if np.isfinite(found) else 1e300)
    return min(worst, 1e300)
