"""What a stage of ``minicnn gpu-report`` is asked for, and where it leaves what it has so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minicnn.bench.conv import Report, Result
    from minicnn.bench.result import Row

Facts = dict[str, Any]
ALGORITHMS = (  # of ours, that a layer is timed with: the choice, and all that do it in float32 and in reasonable time
    "auto", "im2col", "implicit_gemm", "pointwise", "depthwise", "winograd", "winograd_f2",
)  # fmt: skip
ABSENT = "not measured: "
SPARED = ("numba", "scipy", "threadpoolctl", "ml_dtypes")  # of the CPU's kernels, and of bfloat16
FINE = {"ok", "cannot"}  # verdicts of rows that no trouble comes from


def _nowhere(facts: Facts) -> None:
    pass


@dataclass(frozen=True)
class Task:
    """A device, and how much is to be done on it.

    Parameters
    ----------
    device : str
    only : sequence of str
        Only cases, layers, works and nets whose name contains one of these; all if empty.
    algorithms : sequence of str
        Of ours, that each layer is timed with.
    kept : mapping
        What an earlier run of the stage left, when it was cut off; it is not measured again.
    save : callable
        Gets what there is after each part, so that it outlives the process.
    """

    device: str
    only: Sequence[str] = ()
    algorithms: Sequence[str] = ALGORITHMS
    kept: Mapping[str, Any] = field(default_factory=dict)
    save: Callable[[Facts], object] = _nowhere

    def chosen(self, names: Sequence[str]) -> list[str]:
        """Those of the names that are asked for."""
        return [name for name in names if not self.only or any(text in name for text in self.only)]


Part = Callable[[Task, "Sequence[Row]", "Report"], "Result | None"]  # what is kept, and what each row is told to


def peers(device: str) -> tuple[str, ...]:
    """The libraries that can take part: on the emulated device none."""
    from minicnn.bench import peers as room

    return () if device != "cuda" or room.missing("torch") else ("torch",)


def absent(error: ModuleNotFoundError) -> str:
    """What a case says that needs a package which is not there; any other module that is missing is a fault."""
    name = str(error.name).partition(".")[0]
    return f"{ABSENT}{name} is not installed" if name in SPARED else f"{type(error).__name__}: {error}"


def host(tensor: Any) -> Any:
    """A Tensor's values as a host array."""
    return tensor.detach().numpy()


def troubles_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What went wrong in the rows of a result, in words: rows that failed, and works that ours has no time of."""
    told = [f"{_name(row)}: {row['why']}" for row in rows if row["verdict"] not in FINE]
    for work, of_it in _works(rows).items():
        if not any(map(_is_ours, of_it)) and all(row["verdict"] in FINE for row in of_it):
            reasons = [row["why"] for row in of_it if row["contender"].startswith("minicnn") and row["why"]]
            told.append(f"{' '.join(work)}: no result of ours: {(reasons or ['not tried'])[0]}")
    return told


def _name(row: Mapping[str, Any]) -> str:
    return " ".join(f"{row['work']} {row['which']} {row['contender']} {row['algorithm']}".split())


def _works(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """The rows of each work and pass."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["work"], row["which"]), []).append(row)
    return found


def _is_ours(row: Mapping[str, Any]) -> bool:
    """Whether a row shows that our code ran on the device."""
    name: str = row["contender"]
    return bool(row["verdict"] == "ok") and name.startswith("minicnn") and name != "minicnn cpu"


def measured(task: Task, name: str, part: Part, found: Mapping[str, Any]) -> Facts | None:
    """The record of one part: the earlier one if nothing is missing in it, else measured from there on.

    ``found`` holds the parts before it, with which what this one has so far is saved.
    """
    from minicnn.bench.result import dump

    earlier = task.kept.get(name, {"rows": []})
    kept = _right(earlier["rows"])  # what failed is tried again
    if earlier.get("complete") and len(kept) == len(earlier["rows"]):
        return dict(earlier)

    def save(rows: list[Row], result: Result) -> None:
        task.save({**found, name: {"rows": [dump(row) for row in result.rows]}})

    result = part(task, kept, save)
    return None if result is None else {**result.record(), "complete": True}


def _right(rows: Sequence[dict[str, Any]]) -> list[Row]:
    """The rows of those works in which nothing failed, and ours ran."""
    from minicnn.bench.result import read

    return [read(dict(row)) for of_it in _works(rows).values() if not troubles_of(of_it) for row in of_it]
