"""pytest plugin: the marker and the fixture ``gradcheck``, seeds and budgets on the command line, a page of reports.

Loaded at every start of pytest, so nothing heavy is imported before the first check.
"""

from __future__ import annotations

import argparse
import random
import shlex
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from minicnn.testing.report import Report

_SIGNATURE = "gradcheck(order=1, budget_s=None, seeds=1)"
_ARGUMENTS = {"order", "budget_s", "seeds"}


class Gradcheck:
    """What the fixture ``gradcheck`` is: :func:`minicnn.testing.gradcheck` with the seed and the budget of the run.

    Attributes
    ----------
    seed : int
        Of this test's checks; with several seeds, each run of the test has another one.
    rng : numpy.random.Generator
        From the seed, to draw inputs with.
    """

    def __init__(self, item: pytest.Item, seed: int) -> None:
        self.seed = seed
        self._item = item
        self._rng: np.random.Generator | None = None

    def __repr__(self) -> str:
        return f"gradcheck(seed={self.seed})"

    @property
    def rng(self) -> np.random.Generator:
        if self._rng is None:
            import numpy as np

            self._rng = np.random.default_rng(self.seed)
        return self._rng

    def __call__(
        self, f: Callable[..., Any], inputs: Sequence[Any], *, check: bool = True, **options: Any
    ) -> Report:
        """Check ``f`` and fail the test if the report is not true.

        Parameters
        ----------
        f, inputs, **options
            As for :func:`minicnn.testing.gradcheck`. An option given here beats the command line, which beats the
            test's marker.
        check : bool
            Whether a check that does not pass, or proves nothing, fails the test.

        Returns
        -------
        Report

        Raises
        ------
        GradientError
            With the report as its message, and the command that repeats the test.
        """
        __tracebackhide__ = True
        from minicnn.testing import GradientError, gradcheck

        report = gradcheck(f, inputs, **{"seed": self.seed, **_defaults(self._item), **options})
        again = _again(self._item, self.seed)
        _keep(self._item, report, again, required=check)
        if check and not report:
            raise GradientError(f"{report}\nrepeat with: {again}")
        return report

    def report(self, f: Callable[..., Any], inputs: Sequence[Any], **options: Any) -> Report:
        """The report of a check, whatever it says; it is counted and shown like the others."""
        return self(f, inputs, check=False, **options)


@pytest.fixture
def gradcheck_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test's gradient checks, to draw inputs with."""
    return int(request.config.stash[_SEED] + getattr(request, "param", 0))


@pytest.fixture
def gradcheck(request: pytest.FixtureRequest, gradcheck_seed: int) -> Gradcheck:
    """Check gradients: ``gradcheck(f, inputs, backward=...)`` fails the test unless the check passes."""
    return Gradcheck(request.node, gradcheck_seed)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("gradcheck", "gradient checks (minicnn)")
    group.addoption("--gradcheck", action="store_true", help="run tests marked gradcheck, which are skipped otherwise")
    group.addoption(
        "--gradcheck-seed", type=_at_least(0), metavar="INT",
        help="seed of all gradient checks; drawn and shown if not given",
    )
    group.addoption(
        "--gradcheck-seeds", type=_at_least(1), metavar="N",
        help="run each test that uses the fixture with N seeds: the seed, the seed + 1, ...",
    )
    group.addoption(
        "--gradcheck-budget", type=float, metavar="SECONDS", help="time that one gradient check may take"
    )
    group.addoption("--gradcheck-html", metavar="FILE", help="write all reports of gradient checks to one HTML page")


def pytest_configure(config: pytest.Config) -> None:
    """One seed for the whole run, on all processes; reports are collected by the process that the user started."""
    config.addinivalue_line("markers", f"{_SIGNATURE}: a test that checks gradients; runs with --gradcheck only")
    page = config.getoption("gradcheck_html")
    if page is not None and Path(page).is_dir():
        raise pytest.UsageError(f"--gradcheck-html: {page} is a directory, not a file")
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[_SEED] = worker["gradcheck_seed"]
        return
    seed = config.getoption("gradcheck_seed")
    config.stash[_SEED] = random.SystemRandom().randrange(10**9) if seed is None else seed
    config.pluginmanager.register(_Collector(config), "minicnn-gradcheck-collector")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the seed to a process of pytest-xdist."""
    node.workerinput["gradcheck_seed"] = node.config.stash[_SEED]


@pytest.hookimpl(trylast=True)  # after the test's own parameters, whose part of its name stays where it was
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each seed."""
    marks = list(metafunc.definition.iter_markers("gradcheck"))
    if "gradcheck_seed" not in metafunc.fixturenames or (marks and not metafunc.config.getoption("gradcheck")):
        return
    count = metafunc.config.getoption("gradcheck_seeds") or _arguments(metafunc.definition).get("seeds", 1)
    if count > 1:
        ids = [f"seed+{i}" for i in range(count)]  # not the seed itself: a test keeps its name from run to run
        metafunc.parametrize("gradcheck_seed", range(count), indirect=True, ids=ids)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip marked tests without the flag."""
    if config.getoption("gradcheck"):
        return
    skip = pytest.mark.skip(reason="a gradient check: runs with --gradcheck")
    for item in items:
        if item.get_closest_marker("gradcheck") is not None:
            item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Attach what was checked to the test's report, which travels to the collecting process."""
    report = yield
    if item.stash.get(_KEPT, None):
        report.gradchecks = item.stash[_KEPT]
        item.stash[_KEPT] = []
    return report


class _Collector:
    """The reports of all processes: counted at the end of the run, and written to the page."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.kept: list[dict[str, Any]] = []

    def pytest_report_header(self) -> str | None:
        seed = self.config.stash[_SEED]
        asked = self.config.getoption("gradcheck") or self.config.getoption("gradcheck_seed") is not None
        return f"gradcheck: seed {seed} (repeat with --gradcheck-seed {seed})" if asked else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.kept += getattr(report, "gradchecks", [])

    def pytest_sessionfinish(self) -> None:
        page = self.config.getoption("gradcheck_html")
        if page is not None:
            from minicnn.testing.rendering import html

            path = Path(page)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(html(kept["record"] for kept in self.kept), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        page = self.config.getoption("gradcheck_html")
        if not self.kept and page is None:
            return
        terminalreporter.section("gradient checks")
        required = [kept for kept in self.kept if kept["required"]]
        others = [kept for kept in self.kept if not kept["required"]]
        more = f"; reported only: {_counts(others)}" if others else ""
        terminalreporter.write_line(f"{_counts(required)}{more} (seed {self.config.stash[_SEED]})")
        for kept in required:
            if kept["outcome"] != "PASS":
                causes = f": {', '.join(kept['causes'])}" if kept["causes"] else ""
                terminalreporter.write_line(f"{kept['outcome']} {kept['name']}{causes}")
        if page is not None:
            terminalreporter.write_line(f"page: {page}")


_SEED = pytest.StashKey[int]()
_KEPT = pytest.StashKey[list[dict[str, Any]]]()


def _at_least(smallest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < smallest:
            raise argparse.ArgumentTypeError(f"must be at least {smallest}, got {value}")
        return value

    return number


def _arguments(node: Any) -> dict[str, Any]:
    """The arguments of the marker; those of the test beat those of its class and module."""
    given: dict[str, Any] = {}
    for mark in reversed(list(node.iter_markers("gradcheck"))):
        if mark.args or not set(mark.kwargs) <= _ARGUMENTS:
            got = f"{mark.args or ''}{mark.kwargs or ''}"
            raise pytest.UsageError(f"{node.nodeid}: the marker is {_SIGNATURE}, got {got}")
        given.update(mark.kwargs)
    return given


def _defaults(item: pytest.Item) -> dict[str, Any]:
    """Options for the check, from the marker and the command line."""
    given = {key: value for key, value in _arguments(item).items() if key != "seeds"}
    budget = item.config.getoption("gradcheck_budget")
    return given if budget is None else {**given, "budget_s": budget}


def _again(item: pytest.Item, seed: int) -> str:
    """The command that repeats a test with the same seed."""
    first = item.config.stash[_SEED]
    callspec = getattr(item, "callspec", None)
    several = callspec is not None and "gradcheck_seed" in callspec.params
    count = f" --gradcheck-seeds {max(2, seed - first + 1)}" if several else ""  # enough for the test to have its name
    return f"pytest --gradcheck --gradcheck-seed {first}{count} {shlex.quote(item.nodeid)}"


def _keep(item: pytest.Item, report: Report, again: str, *, required: bool) -> None:
    """Keep a report for the run's summary and page, and its verdict in the test's properties for JUnit XML."""
    from minicnn.testing.rendering import record
    from minicnn.testing.rendering.verdicts import OUTCOMES, outcome

    name = f"{item.nodeid}: {report.name}" if report.name else item.nodeid
    made = record(report, name=name if required else f"{name} (reported only)", reproduce=again)
    kept = {"name": name, "outcome": outcome(made), "causes": made["causes"], "required": required, "record": made}
    if item.config.getoption("gradcheck_html") is None:
        del kept["record"]  # large, and read by nobody
    item.stash.setdefault(_KEPT, []).append(kept)
    before = dict(item.user_properties)
    words = [word for word in (before.get("gradcheck.verdict"), kept["outcome"]) if word]
    causes = [*str(before.get("gradcheck.causes", "")).split(", "), *made["causes"]]
    item.user_properties[:] = [
        *((key, value) for key, value in item.user_properties if not key.startswith("gradcheck.")),
        ("gradcheck.verdict", min(words, key=lambda word: OUTCOMES.index(str(word)))),
        ("gradcheck.seed", made["seed"]),
        ("gradcheck.causes", ", ".join(dict.fromkeys(cause for cause in causes if cause))),
    ]


def _counts(kept: list[dict[str, Any]]) -> str:
    words = [one["outcome"] for one in kept]
    each = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(sorted(words)))
    return f"{len(kept)} {'check' if len(kept) == 1 else 'checks'}{': ' if each else ''}{each}"
