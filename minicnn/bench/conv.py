"""``minicnn bench conv``: layers x passes x algorithms and libraries, in turn, each checked before it is timed."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from minicnn.backends.convolution import PASSES, in_float32
from minicnn.bench import gate, peers, roofline, turns
from minicnn.bench.desk import Cannot, Desk, WorkError, contender
from minicnn.bench.layers import Layer
from minicnn.bench.machine import stamp
from minicnn.bench.result import AUTO, BEST, CANNOT, EXACT, FAILED, OK, SMALL_ERROR, WRONG, Row, dump
from minicnn.bench.summary import PEERS, means
from minicnn.core import checks
from minicnn.core.device import device as find_device

ALL = "all"
KIND = "minicnn bench conv"

Report = Callable[[list[Row], "Result"], object]


@dataclass(frozen=True)
class Plan:
    """What to measure, and how."""

    layers: Sequence[Layer]
    passes: Sequence[str] = PASSES
    algorithms: Sequence[str] = (AUTO,)
    peers: Sequence[str] = ("torch",)
    dtype: str = "float32"
    device: str = "cpu"
    threads: int = 2
    rounds: int = 9
    seconds: float = 0.1
    steady: float = 0.06
    max_error: float | None = None
    samples: int = gate.SAMPLES
    spin: bool = False
    tf32: bool = False

    def __post_init__(self) -> None:
        find_device(self.device)
        if self.rounds < 1:
            raise checks.value_error("bench", f"rounds must be at least 1, got {self.rounds}")
        for name in self.peers:
            if name not in peers.NAMES:
                known = ", ".join(peers.NAMES)
                raise checks.value_error("bench", f"no library {name!r}; there are {known}")
            if self.device != "cpu" and name not in peers.ON_DEVICES:
                raise checks.value_error("bench", f"{name} computes on the CPU only", device=self.device)

    @property
    def settings(self) -> dict[str, Any]:
        """The plan as it is stored."""
        record = asdict(self)
        record["layers"] = [f"{layer.name} {layer.notation}" for layer in self.layers]
        return record


@dataclass
class Result:
    """All rows, with what they were measured on."""

    rows: list[Row] = field(default_factory=list)
    roof: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, object] = field(default_factory=dict)
    kind: str = KIND

    def record(self) -> dict[str, Any]:
        """The result as it is stored."""
        return {
            "kind": self.kind, "machine": self.machine, "settings": self.settings, "roofline": self.roof,
            "summary": [mean.record() for peer in PEERS for mean in means(self.rows, peer)],
            "rows": [dump(row) for row in self.rows],
        }


def measure(plan: Plan, report: Report = lambda rows, result: None, kept: Sequence[Row] = ()) -> Result:
    """Measure the plan; ``report`` gets the rows of each pass when they are done, and the result so far.

    ``kept`` are rows of an earlier run: passes of layers that they hold are not measured again.
    """
    result = Result(rows=list(kept), settings=plan.settings, machine=stamp(device=plan.device))
    done = {row.key for row in kept}
    with ExitStack() as stack:

        def desk(name: str, provider: str) -> Desk:
            entrant = contender(name, provider, plan.threads, plan.spin, plan.device, plan.tf32)
            return stack.enter_context(closing(Desk(entrant)))

        roof = desk("machine", "minicnn.bench.roofline:provide")
        result.roof = roofline.best({}, roof, plan.dtype)
        names = [peers.OURS, *(name for name in plan.peers if not peers.missing(name))]
        desks = {name: desk(name, "minicnn.bench.conv_works:provide") for name in names}
        for layer in plan.layers:
            for which in plan.passes:
                if (layer.name, which) in done:
                    continue
                rows = _work(plan, layer, which, desks)
                result.rows += rows
                report(rows, result)
        result.roof = roofline.best(result.roof, roof, plan.dtype)
    return result


def _work(plan: Plan, layer: Layer, which: str, desks: dict[str, Desk]) -> list[Row]:
    """All contenders on one pass of one layer."""
    item = 4 if plan.dtype == "float32" else 8
    about: dict[str, Any] = {
        "work": layer.name, "which": which, "shape": layer.notation, "dtype": plan.dtype, "flops": 2 * layer.macs,
        "bytes": layer.bytes(item),
    }
    rows: list[Row] = []
    entrants: turns.Entrants = {}
    prepared: dict[str, int] = {}  # in which of its desk's processes
    ours = desks[peers.OURS]
    wanted = [(ours, name, marks) for name, marks in _chosen(plan, layer, which, ours, rows, about)]
    wanted += [(desks[name], "", []) for name in plan.peers if name in desks]
    for desk, algorithm, marks in wanted:
        row = Row(**about, contender=desk.name, algorithm=algorithm, marks=marks)
        rows.append(row)
        key = f"{desk.name} {algorithm}"
        if _prepare(plan, layer, row, desk, key):
            entrants[key] = row, desk
        prepared[key] = desk.started

    def again(key: str) -> bool:
        row, desk = entrants[key]
        return _prepare(plan, layer, row, desk, key)

    for key in [key for key, (_, desk) in entrants.items() if prepared[key] != desk.started]:
        if not again(key):
            entrants.pop(key)
    absent = [name for name in plan.peers if name not in desks]
    rows += [Row(**about, contender=name, verdict=CANNOT, why=str(peers.missing(name))) for name in absent]
    turns.time_rows(entrants, rounds=plan.rounds, seconds=plan.seconds, steady=plan.steady, again=again)
    turns.drop(desks)
    timed = [row for row in rows if row.contender == peers.OURS and row.verdict == OK and row.rounds]
    if not plan.tf32:
        timed = [row for row in timed if not row.algorithm.endswith("_tf32")]  # it rounds, which was not asked for
    if timed:
        min(timed, key=lambda row: row.median).marks.append(BEST)
    return rows


def _chosen(
    plan: Plan, layer: Layer, which: str, desk: Desk, rows: list[Row], about: dict[str, Any]
) -> list[tuple[str, list[str]]]:
    """The names of our algorithms to run, each once, with the reasons; what cannot run becomes a row at once."""
    line, marks = f"{layer.name} {layer.notation}", dict[str, list[str]]()
    bound = None if plan.max_error is None else in_float32(plan.max_error, np.dtype(plan.dtype).itemsize)
    for asked in plan.algorithms:
        try:
            if asked == ALL:
                for name in desk.ask("algorithms", layer=line, which=which)["names"]:
                    marks.setdefault(name, [])
            if asked in {ALL, AUTO}:
                found = [(AUTO, bound, AUTO), (AUTO, SMALL_ERROR, EXACT)]
            else:
                found = [(asked, None, "named")]
            for name, most, mark in found:
                resolved = desk.ask("resolve", layer=line, which=which, algorithm=name, max_error=most)["name"]
                marks.setdefault(resolved, []).append(mark)
        except (Cannot, WorkError) as error:
            verdict = CANNOT if isinstance(error, Cannot) else FAILED
            rows.append(Row(**about, contender=desk.name, algorithm=asked, verdict=verdict, why=str(error)))
    return list(marks.items())


def _prepare(plan: Plan, layer: Layer, row: Row, desk: Desk, key: str) -> bool:
    """Check it; whether it may be timed."""
    facts = turns.prepare(
        row, desk, key, layer=f"{layer.name} {layer.notation}", which=row.which, dtype=plan.dtype,
        algorithm=row.algorithm, samples=plan.samples,
    )
    if facts is None:
        return False
    if facts["wrong"]:
        row.verdict, row.why = WRONG, f"error {row.error:.1e}, at most {row.bound:.1e} is allowed"
    row.marks += [mark for mark in facts.get("marks", []) if mark not in row.marks]
    return not facts["wrong"]
