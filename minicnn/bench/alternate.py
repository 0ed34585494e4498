"""Contenders run in processes of their own and take turns, so that neither's allocator or threads touch the other's.

The parent sends ``run N`` to one process at a time; the process repeats its work N times and answers with the
seconds that took. A process that is not running waits for a line on its standard input, that is, it sleeps.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Contender:
    """A name and the command that serves it (a program that calls :func:`serve`)."""

    name: str
    command: Sequence[str]


@dataclass
class Timing:
    """Seconds of one repetition, a value for each round."""

    name: str
    rounds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median seconds of one repetition."""
        return median(self.rounds)

    @property
    def spread(self) -> tuple[float, float]:
        """A distribution-free interval for the median: the order statistics that hold it with about 95 %."""
        ordered, n = sorted(self.rounds), len(self.rounds)
        reach = max(0, int(n / 2 - 0.98 * n**0.5))
        return ordered[reach], ordered[n - 1 - reach]


def serve(work: Callable[[], object]) -> None:
    """Answer the parent: repeat ``work`` as often as each line says, and print the seconds."""
    _say("ready")
    for line in sys.stdin:
        command, _, count = line.partition(" ")
        if command.strip() != "run":
            break
        start = time.perf_counter()
        for _ in range(int(count)):
            work()
        _say(str(time.perf_counter() - start))


def _say(answer: str) -> None:
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


class _Process:
    def __init__(self, contender: Contender) -> None:
        self.name = contender.name
        self.pipe = subprocess.Popen(  # noqa: S603 - the caller's own command
            contender.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer("ready")

    def _answer(self, expected: str = "") -> str:
        assert self.pipe.stdout is not None
        line = self.pipe.stdout.readline().strip()
        if not line or (expected and line != expected):
            raise RuntimeError(f"bench: contender {self.name!r} stopped or answered {line!r}")
        return line

    def run(self, count: int) -> float:
        assert self.pipe.stdin is not None
        self.pipe.stdin.write(f"run {count}\n")
        self.pipe.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        assert self.pipe.stdin is not None
        self.pipe.stdin.close()
        self.pipe.wait()


def alternate(contenders: Sequence[Contender], *, rounds: int = 15, seconds: float = 0.3) -> dict[str, Timing]:
    """Time the contenders in turn.

    Parameters
    ----------
    contenders : sequence of Contender
    rounds : int
        How often each one runs; the order within a round alternates.
    seconds : float
        About how long one turn takes; sets the repetitions, after a warm-up turn that is not counted.

    Returns
    -------
    dict of Timing by name
    """
    processes: list[_Process] = []
    try:
        for contender in contenders:
            processes.append(_Process(contender))  # noqa: PERF401 - those already started must be closed on errors
        counts = {}
        for process in processes:
            process.run(3)
            once = process.run(3) / 3
            counts[process.name] = max(1, round(seconds / once))
            process.run(counts[process.name])
        timings = {process.name: Timing(process.name) for process in processes}
        for turn in range(rounds):
            for process in processes if turn % 2 == 0 else reversed(processes):
                count = counts[process.name]
                timings[process.name].rounds.append(process.run(count) / count)
        return timings
    finally:
        for process in processes:
            process.close()
