"""Rows of a measurement: what is stored, and what follows from it."""

from dataclasses import asdict, dataclass, field, fields
from statistics import median
from typing import Any

from minicnn.bench.alternate import interval

OK, WRONG, CANNOT, FAILED = "ok", "WRONG", "cannot", "failed"
AUTO, EXACT, BEST = "auto", "auto, small error", "best of ours"  # the marks of the rows that a summary is made of
SMALL_ERROR = 5e-6
WITH_FORWARD, FORWARD_KEPT = "with forward", "forward kept"  # how a library without a pass alone does a gradient
UNCHECKED = "unchecked"  # the mark of a row of ours that nothing was compared with


@dataclass
class Row:
    """One contender on one work: a pass of a layer, an op, a training step."""

    work: str
    which: str
    contender: str
    algorithm: str = ""
    marks: list[str] = field(default_factory=list)  # why it was chosen: named, "auto", ...
    verdict: str = OK
    why: str = ""
    rounds: list[float] = field(default_factory=list)  # seconds of one repetition
    shape: str = ""
    dtype: str = "float32"
    flops: int = 0  # by the definition: two for each multiply-add
    operations: int = 0  # what the algorithm carries out; 0 where it does not say
    bytes: int = 0  # operands and result, each once
    error: float | None = None
    bound: float | None = None
    jit: float | None = None  # seconds that the first call took longer than the second
    first: float | None = None  # seconds of the first call at full size: new pages, cold caches
    faults: float | None = None  # pages touched for the first time by a repetition, once it runs steadily
    peak_bytes: int | None = None  # rise of the process's memory during one call
    workspace: int | None = None  # scratch memory that the algorithm states

    @property
    def key(self) -> tuple[str, str]:
        """What is compared: rows of one key do the same work."""
        return self.work, self.which

    @property
    def median(self) -> float:
        """Median seconds."""
        return median(self.rounds)

    @property
    def spread(self) -> tuple[float, float]:
        """Interval of the median."""
        return interval(self.rounds)

    @property
    def nominal(self) -> float:
        """GFLOP/s by the definition, whatever the algorithm saves."""
        return self.flops / self.median / 1e9

    @property
    def actual(self) -> float:
        """GFLOP/s that were carried out."""
        return (self.operations or self.flops) / self.median / 1e9

    @property
    def traffic(self) -> float:
        """GB/s of the bytes that must move at least."""
        return self.bytes / self.median / 1e9

    def share(self, roof: dict[str, float]) -> float:
        """The least time that the measured machine needs for the definition's operations and bytes, over that taken.

        What an algorithm wastes does not raise it; one that saves operations may come above 1.
        """
        least = max(self.flops / roof["flops"], self.bytes / roof["bytes"])
        return least / self.median


def dump(row: Row) -> dict[str, Any]:
    """A row as JSON has it."""
    return asdict(row)


def read(record: dict[str, Any]) -> Row:
    """A row from JSON.

    Raises
    ------
    ValueError
        If it has other fields.
    """
    known = {f.name for f in fields(Row)}
    if not isinstance(record, dict) or not {"work", "which", "contender"} <= set(record) <= known:
        raise ValueError("a row must have work, which and contender, and only the fields of a result")
    return Row(**record)
