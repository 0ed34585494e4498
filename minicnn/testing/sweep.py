"""Every registered op, in every case, memory layout and derivative order: the suite that the whole library must pass.

A case draws the arguments and options of one op from a seed. It is differentiated numerically to the order it
declares, and its values and gradients must not depend on how the arrays lie in memory. A Function that is registered
and met by no case is an error of the suite, by name.
"""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from minicnn.core import events
from minicnn.core.device import device as find_device
from minicnn.testing.cases.case import CASES, Case, all_cases
from minicnn.testing.contracts import functions_of
from minicnn.testing.gradcheck import gradcheck
from minicnn.testing.memory import differences, mixed
from minicnn.testing.parity import moved
from minicnn.testing.rendering.record import record
from minicnn.testing.report import FAIL, INCONCLUSIVE, PASS, VERDICTS, Finding, Report
from minicnn.testing.workers import Died, run_tasks, usable

#: Functions that no case can meet, and where they are tested instead.
EXEMPT = {"minicnn.ops.cast.ToDevice": "needs two devices: tests/ops/test_to_device.py"}

#: Functions that only a derivative of this order meets, forward and backward: a sweep below it does not miss them.
MET_FROM = {"minicnn.ops.roi.GatherBins": 3}


@dataclass(frozen=True)
class Task:
    """One draw of one case, as a worker gets it."""

    case: str
    seed: int
    order: int | None = None
    layouts: bool = True
    device: str = "cpu"


@dataclass(frozen=True)
class Row:
    """One draw of one case.

    Parameters
    ----------
    case : str
        ``op`` or ``op/variant``.
    seed : int
        Of the draw and of the check.
    report : Report
        What the check found. Without a gradient to check (comparisons, argmax) it speaks of values only.
    seconds : float
        Time taken.
    """

    case: str
    seed: int
    report: Report
    seconds: float

    @property
    def op(self) -> str:
        """The op's name."""
        return self.case.partition("/")[0]

    @property
    def fine(self) -> bool:
        """Passed, and could have failed."""
        return bool(self.report)

    def facts(self) -> dict[str, Any]:
        """What the JSON says of it."""
        return {
            "case": self.case, "seed": self.seed, "verdict": self.report.verdict, "vacuous": self.report.vacuous,
            "causes": self.report.causes, "comparisons": self.report.comparisons,
        }


@dataclass
class SweepReport:
    """The outcome of a sweep.

    Attributes
    ----------
    seeds : list of int
        The seeds asked for.
    order : int or None
        The highest order asked for; None: as declared by each case.
    layouts : bool
        Whether memory layouts were compared.
    rows : list of Row
        Per case and seed, in the order of their names.
    uncovered : list of str
        Registered Functions that no case has met. Judged only in a sweep over all ops.
    unrun : int
        Draws for which the time budget had nothing left.
    seconds : float
        Time taken; not part of the JSON, which is the same for the same seeds.
    """

    seeds: list[int]
    order: int | None = None
    layouts: bool = True
    rows: list[Row] = field(default_factory=list)
    uncovered: list[str] = field(default_factory=list)
    unrun: int = 0
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """The worst verdict of all; ``FAIL`` also where something is uncovered, ``INCONCLUSIVE`` where unrun."""
        found = {row.report.verdict for row in self.rows} | ({FAIL} if self.uncovered else set())
        found |= {INCONCLUSIVE} if self.unrun or not self.rows else set()
        return next(verdict for verdict in VERDICTS if verdict in found)

    @property
    def vacuous(self) -> bool:
        """Whether some check could not have failed."""
        return any(row.report.vacuous for row in self.rows)

    @property
    def ok(self) -> bool:
        """Everything ran, passed, could have failed, and nothing is uncovered."""
        return self.verdict == PASS and not self.vacuous

    def __bool__(self) -> bool:
        return self.ok

    @property
    def reports(self) -> list[Report]:
        """The reports of all rows."""
        return [row.report for row in self.rows]

    @property
    def records(self) -> list[Mapping[str, Any]]:
        """Of all rows what pages and JUnit XML show, with the command that repeats each."""
        order = f" --order {self.order}" if self.order else ""
        return [
            record(row.report, reproduce=f"minicnn gradcheck --op {row.case} --seed {row.seed}{order}")
            for row in self.rows
        ]

    def summary(self) -> dict[str, Any]:
        """Totals, draws per op, and the rows that are not fine."""
        per_op: dict[str, int] = {}
        for row in self.rows:
            per_op[row.op] = per_op.get(row.op, 0) + 1
        verdicts = {verdict: sum(row.report.verdict == verdict for row in self.rows) for verdict in VERDICTS}
        return {
            "verdict": self.verdict, "ok": self.ok, "seeds": self.seeds, "order": self.order, "layouts": self.layouts,
            "ops": len(per_op), "cases": len({row.case for row in self.rows}), "draws": len(self.rows),
            "verdicts": {name: count for name, count in verdicts.items() if count},
            "vacuous": sum(row.report.vacuous for row in self.rows),
            "comparisons": sum(row.report.comparisons for row in self.rows),
            "uncovered": self.uncovered, "exempt": EXEMPT, "unrun": self.unrun,
            "not_fine": [row.facts() for row in self.rows if not row.fine], "draws_per_op": per_op,
        }

    def to_json(self) -> str:
        """The summary and every row; the same text for the same seeds."""
        return json.dumps({**self.summary(), "rows": [row.facts() for row in self.rows]}, indent=1)

    def __str__(self) -> str:
        facts = self.summary()
        lines = [f"{self.verdict}{', VACUOUS' if self.vacuous else ''}: {_totals(facts)} in {self.seconds:.0f} s"]
        shown = ", ".join(map(str, self.seeds))
        reached = max((row.report.order for row in self.rows), default=self.order)
        order = "the declared order" if self.order is None else f"order {reached}"
        seeds = f"seed{'s' * (len(self.seeds) != 1)} {shown}"
        lines.append(f"  {seeds}; up to {order}{'; three memory layouts' if self.layouts else ''}")
        for op in facts["draws_per_op"]:
            bad = [row for row in self.rows if row.op == op and not row.fine]
            if bad:
                lines.append(f"  {op}: {_worst(bad)}")
        lines += [f"  {name}: registered, and met by no case" for name in self.uncovered]
        if self.unrun:
            were = "was" if self.unrun == 1 else "were"
            lines.append(f"  {counted(self.unrun, 'draw')} {were} not run: the time budget was spent")
        return "\n".join(lines)


def _totals(facts: dict[str, Any]) -> str:
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in facts["verdicts"].items())
    flags = f", {facts['vacuous']} vacuous" if facts["vacuous"] else ""
    met = " of ".join(counted(facts[f"{word}s"], word) for word in ("draw", "case", "op"))
    return f"{met}: {verdicts or 'nothing was run'}{flags}"


def counted(count: int, word: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> from minicnn.testing.sweep import counted
    >>> counted(1, "draw"), counted(2, "draw")
    ('1 draw', '2 draws')
    """
    return f"{count} {word}{'s' * (count != 1)}"


def _worst(rows: list[Row]) -> str:
    """The first of the worst rows in words, and how many there are."""
    first = min(rows, key=lambda row: VERDICTS.index(row.report.verdict))
    report = first.report
    what = str(report.findings[0]) if report.findings else f"the derivative is zero everywhere: {report.flat}"
    causes = f" [{', '.join(report.causes)}]" if report.causes else ""
    flag = ", VACUOUS" if report.vacuous else ""
    more = f" (and {counted(len(rows) - 1, 'more draw')})" if len(rows) > 1 else ""
    return f"{report.verdict}{flag}: {first.case}, seed {first.seed}: {what}{causes}{more}"


def sweep(
    *,
    ops: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    order: int | None = None,
    layouts: bool = True,
    device: str = "cpu",
    processes: int | None = None,
    budget_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SweepReport:
    """Check every registered op: cases × seeds × memory layouts × derivative orders.

    Parameters
    ----------
    ops : sequence of str, optional
        Names of ops or of single cases (``conv2d``, ``conv2d/groups``). All by default; only then uncovered
        Functions are looked for.
    seeds : sequence of int
        Each case draws its arguments and options anew for each seed. No draw is ever repeated.
    order : int, optional
        At most this derivative order; by default what each case declares (1 to 3).
    layouts : bool
        Also compare values and gradients over strided, transposed and reversed arrays, and the dtypes of gradients
        where float32 and float64 meet.
    device : str
        Where to compute; points and differences stay on the CPU.
    processes : int, optional
        Worker processes of one thread each; all cores by default. The report does not depend on it.
    budget_s : float, optional
        Seconds after which no draw is begun; what is left is counted in ``unrun``, and the verdict is INCONCLUSIVE.
    progress : callable, optional
        Called with the number of draws done and that of all.

    Returns
    -------
    SweepReport

    Raises
    ------
    ValueError
        For an unknown op or device, an order or number of processes below 1.
    DeviceUnavailableError
        For a device that this machine cannot serve.

    Examples
    --------
    >>> from minicnn.testing.sweep import sweep
    >>> report = sweep(ops=["exp", "matmul/vectors"], seeds=[7])
    >>> report.ok, [row.case for row in report.rows]
    (True, ['exp', 'matmul/vectors'])
    """
    start = time.monotonic()
    if device != "cpu":
        _ = find_device(device).backend  # says at once what is missing
    if order is not None and order < 1:
        raise ValueError(f"sweep: order must be at least 1, got {order}")
    cases = chosen(ops)
    tasks = [Task(case.id, int(seed), order, layouts, device) for seed in seeds for case in cases]
    report = SweepReport(sorted({int(seed) for seed in seeds}), order, layouts)
    stop_at = None if budget_s is None else start + budget_s
    met: set[str] = set()
    for position, outcome in run_tasks(check, tasks, processes=usable(processes, len(tasks)), stop_at=stop_at):
        task = tasks[position]
        if isinstance(outcome, Died):
            found = Report(seed=task.seed, findings=[Finding("raises", 1, task.case, outcome.why)])
            outcome = _named(found, task), set(), 0.0
        found, ran, seconds = outcome
        met |= ran
        report.rows.append(Row(task.case, task.seed, found, seconds))
        if progress is not None:
            progress(len(report.rows), len(tasks))
    report.rows.sort(key=lambda row: (row.case, row.seed))
    report.unrun = len(tasks) - len(report.rows)
    if ops is None and not report.unrun:
        backward = order is None or order > 1  # at order 1 the backward of a gradient's own Function is not met
        names = [name for name in functions_of() if name not in EXEMPT and (order or 3) >= MET_FROM.get(name, 1)]
        wanted = {f"{name}{'.backward' * backward}": name for name in names}
        report.uncovered = sorted(name for key, name in wanted.items() if key not in met)
    report.seconds = time.monotonic() - start
    return report


def chosen(ops: Sequence[str] | None) -> list[Case]:
    """The cases of some ops, or single cases, by name; all without names.

    Raises
    ------
    ValueError
        For a name that nothing has; the message names the closest.

    Examples
    --------
    >>> from minicnn.testing.sweep import chosen
    >>> [case.id for case in chosen(["exp", "conv2d/groups"])]
    ['conv2d/groups', 'exp']
    """
    cases = all_cases()
    if ops is None:
        return cases
    for name in ops:
        if not any(name in (case.op, case.id) for case in cases):
            known = sorted({case.op for case in cases} | set(CASES))
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"sweep: no case has the name {name!r}{hint}")
    return [case for case in cases if case.op in ops or case.id in ops]


def check(task: Task) -> tuple[Report, set[str], float]:
    """One draw: the report, the Functions whose forward or backward ran, and the seconds."""
    if task.case not in CASES:
        all_cases()
    case = CASES[task.case]
    if task.device != "cpu":
        case = replace(case, call=moved(case.function, task.device))
    start = time.perf_counter()
    with _names_of_functions() as met:
        try:
            report = check_gradient(case, task.seed, task.order) if case.differentiable else Report(seed=task.seed)
            if task.layouts or not case.differentiable:
                found, compared = differences(case, task.seed)
                report.findings += found + mixed(case, task.seed)
                if not case.differentiable:
                    report.comparisons = compared
                    report.notes.append("no gradient: values over memory layouts only")
        except Exception as error:  # noqa: BLE001 - whatever an op raises on its own case is a failure of the op
            what = f"{type(error).__name__}: {error}"
            report = Report(seed=task.seed, findings=[Finding("raises", 1, case.id, what)])
    return _named(report, task), met, time.perf_counter() - start


def check_gradient(case: Case, seed: int, order: int | None = None, *, neighbours: bool = True) -> Report:
    """The gradient check of one draw, with what the case declares.

    Parameters
    ----------
    case : Case
    seed : int
        Of the draw and of the check.
    order : int, optional
        At most this derivative order.
    neighbours : bool
        Check moved points too.
    """
    sample = case.sample(seed)
    return gradcheck(
        case.function, sample.args, kwargs=sample.kwargs, order=min(case.order, order or case.order), seed=seed,
        constants=case.constants, writes=case.writes, flat=bool(case.flat), neighbours=neighbours,
    )


def _named(report: Report, task: Task) -> Report:
    report.name = f"{task.case} (seed {task.seed})"
    return report


@contextmanager
def _names_of_functions() -> Iterator[set[str]]:
    """Full names of the Functions that run inside the block, and with ``.backward`` of those whose backward does."""
    names: set[str] = set()

    def listener(kind: str, *args: Any) -> None:
        if kind in {"forward", "backward"}:
            cls = type(args[0])
            names.add(f"{cls.__module__}.{cls.__qualname__}{'.backward' * (kind == 'backward')}")

    with events.listen(listener):
        yield names
