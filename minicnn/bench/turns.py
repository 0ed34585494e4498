"""The contenders of one work take turns; a contender that dies takes its own rows with it, not the others'."""

from collections.abc import Callable, Mapping
from typing import Any

from minicnn.bench.alternate import take_turns
from minicnn.bench.desk import Cannot, Desk, WorkError
from minicnn.bench.result import CANNOT, FAILED, Row

Entrants = dict[str, tuple[Row, Desk]]
FACTS = ("error", "bound", "jit", "first", "peak_bytes", "workspace")


def prepare(row: Row, desk: Desk, key: str, **request: Any) -> dict[str, Any] | None:
    """Let the contender make the work ready, and enter what it knows; None if it does not, and the row says why."""
    try:
        facts = desk.ask("prepare", key=key, **request)
    except Cannot as refusal:
        row.verdict, row.why = CANNOT, str(refusal)
        return None
    except WorkError as error:
        row.verdict, row.why = FAILED, str(error)
        return None
    for name in FACTS:
        setattr(row, name, facts.get(name))
    row.operations = facts.get("operations", 0)
    row.bytes = facts.get("bytes", row.bytes)
    return facts


def time_rows(
    entrants: Entrants, *, rounds: int, seconds: float, steady: float | None,
    again: Callable[[str], bool] = lambda key: False,
) -> None:  # fmt: skip
    """Time all entrants in turns and enter their rounds.

    ``again`` prepares the work of a key once more in a new process, where one of another algorithm ended the old one.
    """
    while entrants:
        runners = {key: _runner(row, desk, key) for key, (row, desk) in entrants.items()}
        try:
            timings = take_turns(runners, rounds=rounds, seconds=seconds, warm=1, steady=steady)
        except _Lost as lost:
            row, desk = entrants.pop(lost.key)
            row.verdict, row.why = FAILED, str(lost)
            for key in [key for key, (_, other) in entrants.items() if other is desk]:  # its process is a new one
                if not again(key):
                    other, _ = entrants.pop(key)
                    other.verdict, other.why = FAILED, f"the process of {row.algorithm or row.contender} died"
            continue
        for key, timing in timings.items():
            entrants[key][0].rounds = timing.rounds
        return


def drop(desks: Mapping[str, Desk]) -> None:
    """Let all forget their works, before the next ones take memory."""
    for desk in desks.values():
        try:
            desk.ask("drop")
        except WorkError:
            desk.close()


class _Lost(Exception):  # noqa: N818 - control flow
    def __init__(self, key: str, error: WorkError) -> None:
        super().__init__(str(error))
        self.key = key


def _runner(row: Row, desk: Desk, key: str) -> Callable[[int], float]:
    def run(count: int) -> float:
        try:
            answer = desk.ask("run", key=key, count=count)
        except WorkError as error:
            raise _Lost(key, error) from None
        row.faults = answer["faults"]
        return float(answer["seconds"])

    return run
