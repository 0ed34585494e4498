"""Plant every mutant, run the suite's checks until one notices, and explain those that none does."""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minicnn.core.function import Function
from minicnn.core.types import Array
from minicnn.testing.cases.case import CASES, all_cases
from minicnn.testing.contracts import functions_of
from minicnn.testing.gradcheck import gradcheck
from minicnn.testing.mutation import equivalents
from minicnn.testing.mutation.faults import REMEMBERING, faults
from minicnn.testing.mutation.meeting import Met, gradients, meet
from minicnn.testing.mutation.mutant import Mutant, concerns_dtypes, mutants_of, planted
from minicnn.testing.mutation.score import EQUIVALENT, KILLED, SURVIVED, Fate, MutationReport
from minicnn.testing.report import Report
from minicnn.testing.sweep import EXEMPT, Task, check, check_gradient
from minicnn.testing.workers import Died, run_tasks, usable

Draw = tuple[str, int]
_MORE_SEEDS, _MORE_CASES = range(100, 110), 12  # where an input is looked for that would have exposed a survivor
_CLAIMED = 30  # draws that an equivalent mutant must pass


@dataclass(frozen=True)
class Trial:
    """A mutant and the draws that may kill it, the cheapest first."""

    mutant: Mutant
    draws: tuple[Draw, ...]
    equivalent: bool = False


def mutate(
    *,
    ops: Sequence[str] | None = None,
    seeds: Sequence[int] = range(5),
    seed: int = 0,
    most: int | None = None,
    processes: int | None = None,
    limit_s: float = 120.0,
    progress: Callable[[int, int], None] | None = None,
) -> MutationReport:
    """The mutation score of the gradient suite: of the faults planted in the ops' backwards, how many it notices.

    Parameters
    ----------
    ops : sequence of str, optional
        Functions by name (``max_pool2d``, ``MaxPool2d``); all of ``minicnn.ops`` by default.
    seeds : sequence of int
        Of the suite's draws. A mutant is killed by a draw whose check does not pass.
    seed : int
        Chooses the mutants where ``most`` leaves some out.
    most : int, optional
        Mutants per Function at most; all by default.
    processes : int, optional
        Worker processes; all cores by default.
    limit_s : float
        Seconds after which a mutant counts as a survivor. Not kept with ``processes=1``.
    progress : callable, optional
        Called with the number of mutants done and that of all.

    Returns
    -------
    MutationReport

    Raises
    ------
    ValueError
        For an unknown op, or a stale entry in the list of equivalent mutants.
    """
    start = time.monotonic()
    names = _chosen(ops)
    met, draws = _meetings(names, list(seeds), processes)
    trials, every = [], []
    reasons = equivalents.read()
    for name in names:
        if name not in met:
            continue
        found = mutants_of(name, met[name])
        every += found
        chosen = _some(found, most, seed)
        trials += [Trial(mutant, _ordered(mutant, draws[name]), mutant.key in reasons) for mutant in chosen]
    old = equivalents.stale(reasons, every)
    if old:
        raise ValueError(f"mutate: no such mutant, take it from {equivalents.FILE.name}: {old[0]} ({len(old)} in all)")
    fates: dict[int, Fate] = {}
    crashed = []
    many = usable(processes, len(trials))
    for position, fate in run_tasks(judge, trials, processes=many, limit_s=limit_s):
        if isinstance(fate, Died) and fate.crashed:
            crashed.append(position)  # or an earlier one spoilt the memory: it gets a process of its own
        else:
            fates[position] = _fate(trials[position], fate, reasons)
            if progress is not None:
                progress(len(fates), len(trials))
    for position in crashed:
        [(_, fate)] = run_tasks(judge, [trials[position]], processes=2, limit_s=limit_s)
        fates[position] = _fate(trials[position], fate, reasons)
    report = MutationReport(seed, list(seeds), most, [fates[i] for i in range(len(trials))])
    report.problems = [
        f"{fate.mutant} is listed as equivalent, but {fate.by} tells it apart"
        for fate, trial in zip(report.fates, trials, strict=True) if trial.equivalent and fate.outcome == KILLED
    ]
    report.problems += _guilty(sorted({f.by for f in report.fates if f.by is not None}), processes)
    report.untouched = [name for name in names if name not in met and name not in EXEMPT]
    report.seconds = time.monotonic() - start
    return report


def _fate(trial: Trial, found: Fate | Died, reasons: dict[equivalents.Key, str]) -> Fate:
    mutant = trial.mutant
    if isinstance(found, Died):  # a crash is noticed by whoever runs the suite, a mere delay is not
        found = Fate(mutant, KILLED if found.crashed else SURVIVED, None, "crash" * found.crashed, found.why)
    if trial.equivalent and found.outcome == SURVIVED:
        return Fate(mutant, EQUIVALENT, explanation=reasons[mutant.key])
    return found


def _chosen(ops: Sequence[str] | None) -> list[str]:
    every = sorted(functions_of())
    if ops is None:
        return every
    for name in ops:
        if not any(name in _names_of(full) for full in every):
            close = difflib.get_close_matches(name, [short for full in every for short in _names_of(full)], n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"mutate: there is no Function {name!r}{hint}")
    return [full for full in every if not set(ops).isdisjoint(_names_of(full))]


def _names_of(full: str) -> tuple[str, str, str]:
    """``minicnn.ops.pooling.MaxPool2d``, ``MaxPool2d``, ``max_pool2d``."""
    return full, full.rsplit(".", 1)[-1], Function.registry[full].name


def _meetings(
    names: list[str], seeds: list[int], processes: int | None
) -> tuple[dict[str, Met], dict[str, list[tuple[int, Draw, Met]]]]:
    """What the suite shows of each Function, in all and per draw with the cost of its check."""
    tasks = [(case.id, int(seed)) for seed in seeds for case in all_cases() if case.differentiable]
    met: dict[str, Met] = {}
    draws: dict[str, list[tuple[int, Draw, Met]]] = {}
    for position, (found, cost) in run_tasks(meet, tasks, processes=usable(processes, len(tasks))):
        for name, one in found.items():
            if name in names:
                met.setdefault(name, Met()).merge(one)
                draws.setdefault(name, []).append((cost, tasks[position], one))
    return met, draws


def _ordered(mutant: Mutant, draws: list[tuple[int, Draw, Met]]) -> tuple[Draw, ...]:
    """The draws in the order in which they are likely to notice soon: cheap ones, but no single numbers."""

    def hopeless(met: Met) -> bool:
        if mutant.source:
            return all(np.prod(shape) < 4 for shapes in met.shapes.values() for shape in shapes)
        return (mutant.rule, mutant.slot) not in faults(met.shapes, met.joint, met.alike)

    return tuple(draw for _, _, draw in sorted((hopeless(met), cost, draw) for cost, draw, met in draws))


def _some(found: list[Mutant], most: int | None, seed: int) -> list[Mutant]:
    if most is None or len(found) <= most or not found:
        return found
    random = np.random.default_rng([seed, *found[0].function.encode()])
    return [found[i] for i in sorted(random.choice(len(found), most, replace=False))]


def judge(trial: Trial) -> Fate:
    """Run the suite's checks on the library with the mutant in it, until one does not pass."""
    mutant = trial.mutant
    screened = mutant.rule not in REMEMBERING and not concerns_dtypes(mutant)  # what float64 gradients show at once
    for draw in trial.draws[: _CLAIMED if trial.equivalent else None]:
        if screened and not _differs(mutant, draw):
            continue  # the gradients are as without the mutant: this check would take its time and pass
        with planted(mutant), _undiagnosed():
            report = _soonest(draw)
        if not report:
            return _killed(mutant, draw, report)
    return Fate(mutant, SURVIVED, explanation="" if trial.equivalent else _exposed(trial))


def _soonest(draw: Draw) -> Report:
    """What the suite says of a draw; a wrong value at the given point ends it, for no other point can mend that."""
    try:
        report = check_gradient(CASES[draw[0]], draw[1], neighbours=False)
    except Exception:  # noqa: BLE001 - the whole check says what it was
        report = None
    return report if report is not None and report.verdict == "FAIL" else check(Task(*draw))[0]


@contextmanager
def _undiagnosed() -> Iterator[None]:
    """Verdicts without causes, which would take most of the time."""
    checker = sys.modules[gradcheck.__module__]
    before = vars(checker)["_diagnose"]
    vars(checker)["_diagnose"] = lambda *args: None
    try:
        yield
    finally:
        vars(checker)["_diagnose"] = before


def _killed(mutant: Mutant, draw: Draw, report: Report) -> Fate:
    verdict = "VACUOUS" if report.verdict == "PASS" else report.verdict
    return Fate(mutant, KILLED, draw, verdict)


def _exposed(trial: Trial) -> str:
    """What would have killed a survivor: an order more than its cases declare, or another draw of them."""
    mutant, first = trial.mutant, dict(reversed(trial.draws))
    cases = list(dict.fromkeys(case for case, _ in trial.draws))[:_MORE_CASES]
    further = [(case, first[case], 1) for case in cases] + [(case, seed, 0) for seed in _MORE_SEEDS for case in cases]
    for case, seed, extra in further:
        if _differs(mutant, (case, seed), extra):
            order = CASES[case].order + extra
            with planted(mutant), _undiagnosed():
                if not _passes(case, seed, order):
                    return f"would be exposed by {case} at seed {seed}{f' and order {order}' * extra}"
    different = next((draw for draw in trial.draws if _differs(mutant, draw)), None)
    if different is None:
        return "no exposing input found: every gradient of the suite is the same to the last digits"
    return f"no exposing input found, but a gradient differs in {different[0]} at seed {different[1]}"


def _passes(case: str, seed: int, order: int) -> bool:
    try:
        return bool(check_gradient(replace(CASES[case], order=order), seed))
    except Exception:  # noqa: BLE001 - whatever it raises, it would have been noticed
        return False


_EXPECTED: dict[tuple[str, int, int], list[Any]] = {}  # gradients without a mutant, per process


def _differs(mutant: Mutant, draw: Draw, extra: int = 0) -> bool:
    """Whether the mutant changes some gradient by more than the last digits."""
    key = (*draw, extra)
    if key not in _EXPECTED:
        _EXPECTED[key] = gradients(*draw, extra)
    expected = _EXPECTED[key]
    try:
        with planted(mutant):
            actual = gradients(*draw, extra)
    except Exception:  # noqa: BLE001 - raising is a difference too
        return True
    return len(actual) != len(expected) or any(_apart(a, b) for a, b in zip(actual, expected, strict=True))


def _apart(a: Array | None, b: Array | None) -> bool:
    if a is None or b is None:
        return a is not b
    if a.shape != b.shape or a.dtype != b.dtype:
        return True
    scale = float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b)))
    return not np.allclose(a, b, rtol=1e-12, atol=1e-13 * scale, equal_nan=True)


def _guilty(killers: list[Draw], processes: int | None) -> list[str]:
    """Every draw that killed must pass without a mutant, or it proves nothing."""
    tasks = [Task(*draw) for draw in killers]
    found = run_tasks(check, tasks, processes=usable(processes, len(tasks)))
    bad = sorted(i for i, outcome in found if isinstance(outcome, Died) or not outcome[0])
    return [f"{killers[i][0]} at seed {killers[i][1]} does not pass without any mutant" for i in bad]
