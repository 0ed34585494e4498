"""``minicnn gradcheck``: sweep over the library's ops, check one's own functions, or score the suite by mutation."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minicnn.cli import targets
from minicnn.cli.numbers import natural, positive

if TYPE_CHECKING:
    from minicnn.testing.report import Report

_EPILOG = """\
MODULE:FUNCTION names a function without arguments in a module that `python -m` would find from here (or in a file,
PATH.py:FUNCTION). It returns one of these, or a list of them:
  a Report of minicnn.testing.gradcheck;
  (f, inputs), or (f, inputs, options) with options such as {"backward": rule, "order": 2};
  a dict of gradcheck's arguments: {"f": ..., "inputs": [...], "backward": ...}.

exit codes: 0 everything passes; 1 a gradient is wrong, an op is uncovered, or the mutation score is too low; 2 bad
input; 3 nothing is wrong, but some check is INCONCLUSIVE, NONDIFFERENTIABLE or VACUOUS
"""
_OPEN = 3


def add_to(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "gradcheck", help="check gradients: of all ops, or of your own functions",
        description="Check every registered op over its options, memory layouts and derivative orders; or the "
        "functions named; or, with --mutate, how many planted faults the checks of the ops notice.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", metavar="MODULE:FUNCTION", nargs="*", help="your own functions, see below")
    parser.add_argument("--op", metavar="NAME", nargs="+", help="only these ops or cases (conv2d, conv2d/groups)")
    draw = parser.add_mutually_exclusive_group()
    draw.add_argument("--seeds", metavar="N", type=positive, help="N random seeds, which the report names (default: 1)")
    draw.add_argument("--seed", metavar="S", type=natural, action="append", help="this seed: reproduces a report")
    parser.add_argument("--order", metavar="K", type=positive, help="at most this derivative order")
    parser.add_argument("--device", help="where to compute the library's ops (default: cpu)")
    parser.add_argument("--budget", metavar="SECONDS", type=float, help="begin nothing after this time")
    parser.add_argument("--jobs", metavar="N", type=positive, help="processes (default: one per core)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the report as JSON")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with a map of each wrong Jacobian")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write JUnit XML")
    parser.add_argument("--list", action="store_true", help="name the cases and check nothing")
    parser.add_argument("--mutate", action="store_true", help="plant faults and count those that the checks notice")
    parser.add_argument("--most", metavar="N", type=positive, help="with --mutate: per Function, chosen by --seed")
    parser.add_argument(
        "--fail-under", metavar="SCORE", type=float, default=0.98, help="with --mutate: least score (default: 0.98)"
    )
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Run what was asked for, print and write the reports, and return the exit code."""
    if options.targets and (options.mutate or options.op or options.device):
        raise ValueError("gradcheck: --op, --mutate and --device are about the library's ops, not MODULE:FUNCTION")
    if options.mutate and (options.html or options.junit or options.order or options.budget or options.device):
        raise ValueError("gradcheck: --mutate knows --op, --seeds, --seed, --most, --fail-under, --jobs and --json")
    for path in (options.json, options.html, options.junit):
        if path is not None and not path.parent.is_dir():  # known before minutes of work, not after
            raise FileNotFoundError(f"gradcheck: there is no folder {path.parent}")
    if options.list:
        return _list(options)
    if options.targets:
        return _targets(options)
    return _mutate(options) if options.mutate else _sweep(options)


def _list(options: argparse.Namespace) -> int:
    from minicnn.testing.sweep import chosen

    for case in chosen(options.op):
        print(f"{case.id}  {f'order {case.order}' if case.differentiable else 'values only'}")
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from minicnn.testing.sweep import chosen, counted, sweep
    from minicnn.testing.workers import usable

    seeds = _seeds(options)
    draws = len(seeds) * len(chosen(options.op))
    processes = usable(options.jobs, draws)
    _say(f"checking {counted(draws, 'draw')} in {processes} process{'es' * (processes > 1)}")
    with _progress("checking") as progress:
        report = sweep(
            ops=options.op, seeds=seeds, order=options.order, device=options.device or "cpu",
            processes=options.jobs, budget_s=options.budget, progress=progress,
        )
    print(report)
    if options.json:
        options.json.write_text(report.to_json() + "\n", encoding="utf-8")
    _write(options, report.records, "Gradient sweep")
    return _code(report.verdict, report.vacuous)


def _mutate(options: argparse.Namespace) -> int:
    from minicnn.testing.mutation import mutate

    seeds = _seeds(options) if options.seeds else list(range(5))
    _say("planting faults")
    with _progress("planting faults") as progress:
        report = mutate(
            ops=options.op, seeds=seeds, seed=options.seed[0] if options.seed else 0, most=options.most,
            processes=options.jobs, progress=progress,
        )
    print(report)
    if options.json:
        options.json.write_text(report.to_json() + "\n", encoding="utf-8")
    return 0 if report.score >= options.fail_under and not report.problems else 1


def _targets(options: argparse.Namespace) -> int:
    import json

    from minicnn.testing.rendering import record

    if options.seed and len(options.seed) > 1:
        raise ValueError("gradcheck: MODULE:FUNCTION is checked with one seed, or with --seeds N random ones")
    defaults: dict[str, Any] = {} if options.budget is None else {"budget_s": options.budget}
    order = f" --order {options.order}" if options.order else ""
    reports: list[Report] = []
    pages: list[Mapping[str, Any]] = []
    for target in options.targets:
        found = targets.load(target)
        for seed in _seeds(options):
            made = targets.check(target, found, seed, options.order, **defaults)
            reports += made
            pages += [record(r, reproduce=f"minicnn gradcheck {target} --seed {r.seed}{order}") for r in made]
    for report in reports:
        print(report)
    if options.json:
        records = [json.loads(report.to_json()) for report in reports]
        options.json.write_text(json.dumps({"reports": records}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _write(options, pages, ", ".join(options.targets))
    return max((_code(r.verdict, r.vacuous) for r in reports), key=[0, _OPEN, 1].index, default=0)


def _code(verdict: str, vacuous: bool) -> int:
    if verdict == "FAIL":
        return 1
    return 0 if verdict == "PASS" and not vacuous else _OPEN


def _seeds(options: argparse.Namespace) -> list[int]:
    if options.seed:
        return list(options.seed)
    return sorted(secrets.randbelow(2**31) for _ in range(options.seeds or 1))


def _write(options: argparse.Namespace, reports: list[Mapping[str, Any]], title: str) -> None:
    from minicnn.testing.rendering import html, junit

    if options.html:
        options.html.write_text(html(reports, title=title), encoding="utf-8")
    if options.junit:
        options.junit.write_text(junit(reports), encoding="utf-8")


def _say(what: str) -> None:
    """What takes so long, on stderr, before it does."""
    print(f"{what} (the first run compiles kernels, which can take minutes)", file=sys.stderr, flush=True)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on the terminal, or nothing where errors go to a file."""
    os.environ.setdefault("MINICNN_QUIET", "1")  # kernels that compile do not write into the bar
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

