"""Contenders run in processes of their own and take turns, so that neither's allocator or threads touch the other's.

The parent sends ``run N`` to one process at a time; the process repeats its work N times and answers with the
seconds that took. A process that is not running waits for a line on its standard input, that is, it sleeps.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median

from minicnn.core import checks


@dataclass(frozen=True)
class Contender:
    """A name and the command that serves it (a program that calls :func:`serve`).

    ``environment`` holds changes to ours for it; ``None`` unsets a variable. An answer that takes longer than
    ``patience`` seconds never comes: a kernel hangs, say.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str | None] = field(default_factory=dict)
    patience: float | None = None


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
        return interval(self.rounds)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Two of the values between which the median lies with about 95 % (all of them where they are few)."""
    ordered, n = sorted(values), len(values)
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


class Process:
    """A contender's process: it gets a line and answers with a line; between them it sleeps."""

    def __init__(self, contender: Contender) -> None:
        self.name = contender.name
        self.patience = contender.patience
        try:
            self.pipe = subprocess.Popen(  # noqa: S603 - the caller's own command
                contender.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={k: v for k, v in {**os.environ, **contender.environment}.items() if v is not None},
            )
        except OSError as error:
            raise RuntimeError(f"bench: contender {self.name!r} cannot be started: {error}") from None
        answer = self._answer()
        if answer != "ready":
            raise self._failure(f"answered {answer!r} instead of 'ready'")

    def _answer(self) -> str:
        assert self.pipe.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            self.pipe.kill()

        timer = threading.Timer(self.patience or 0.0, end)
        if self.patience is not None:
            timer.start()
        try:
            line = self.pipe.stdout.readline().strip()
        finally:
            timer.cancel()
        if not line:
            raise self._failure(f"did not answer in {self.patience:.0f} s" if late.is_set() else "stopped")
        return line

    def _failure(self, problem: str) -> RuntimeError:
        """What to raise; the process is ended, since it may not be listening any more."""
        self.close(patience=0.5)
        return RuntimeError(f"bench: contender {self.name!r} {problem} [exit status {self.pipe.returncode}]")

    def ask(self, line: str) -> str:
        """Send a line and wait for the answer."""
        assert self.pipe.stdin is not None
        try:
            self.pipe.stdin.write(f"{line}\n")
            self.pipe.stdin.flush()
        except OSError:
            raise self._failure("stopped") from None
        return self._answer()

    def run(self, count: int) -> float:
        """The seconds that so many repetitions take."""
        answer = self.ask(f"run {count}")
        try:
            return float(answer)
        except ValueError:
            raise self._failure(f"answered {answer!r} instead of seconds") from None

    def close(self, patience: float = 10.0) -> None:
        """End of input asks the process to finish; one that does not listen is killed."""
        assert self.pipe.stdin is not None
        assert self.pipe.stdout is not None
        with suppress(OSError):  # a line that a dead process never read
            self.pipe.stdin.close()
        try:
            self.pipe.wait(patience)
        except subprocess.TimeoutExpired:
            self.pipe.kill()
            with suppress(subprocess.TimeoutExpired):  # a driver may wait for a kernel that never ends
                self.pipe.wait(10.0)
        self.pipe.stdout.close()


def take_turns(
    entrants: Mapping[str, Callable[[int], float]],
    *,
    rounds: int,
    seconds: float,
    warm: int = 3,
    steady: float | None = None,
) -> dict[str, Timing]:
    """Time what answers "so many repetitions" with their seconds, each in its turn.

    Parameters
    ----------
    entrants : mapping of name to function
    rounds, seconds
        As for :func:`alternate`.
    warm : int
        Repetitions of each of the two turns that set the repetitions of the rest.
    steady : float, optional
        Go on, up to three times ``rounds``, while an entrant's interval is wider than this share of its median and
        twice the time of ``rounds`` turns of ``seconds`` is not used up.

    Returns
    -------
    dict of Timing by name
    """
    counts = {}
    for name, run in entrants.items():
        run(warm)
        once = run(warm) / warm
        counts[name] = max(1, round(seconds / max(once, 1e-9)))
        run(counts[name])
    timings = {name: Timing(name) for name in entrants}
    order = list(entrants.items())
    left = 2 * rounds * seconds * len(order)
    for turn in range(3 * rounds):
        if turn >= rounds and (
            steady is None or left <= 0 or all(_steady(timing, steady) for timing in timings.values())
        ):
            break
        for name, run in order if turn % 2 == 0 else reversed(order):
            took = run(counts[name])
            left -= took
            timings[name].rounds.append(took / counts[name])
    return timings


def _steady(timing: Timing, share: float) -> bool:
    low, high = timing.spread
    return high - low <= share * timing.median


def alternate(contenders: Sequence[Contender], *, rounds: int = 15, seconds: float = 0.3) -> dict[str, Timing]:
    """Time the contenders in turn.

    Parameters
    ----------
    contenders : sequence of Contender, each with a name of its own
    rounds : int, at least 1
        How often each one runs; the order within a round alternates.
    seconds : float
        About how long one turn takes; sets the repetitions, after a warm-up turn that is not counted.

    Returns
    -------
    dict of Timing by name

    Raises
    ------
    ValueError
        Two contenders of one name, ``rounds`` below 1.
    RuntimeError
        A contender that cannot be started, stops, or answers with anything but its seconds. All are ended.
    """
    names = [contender.name for contender in contenders]
    if len(set(names)) != len(names):
        raise checks.value_error("bench", "contenders must have different names", names=names)
    if rounds < 1:
        raise checks.value_error("bench", f"rounds must be at least 1, got {rounds}")
    processes: list[Process] = []
    try:
        for contender in contenders:
            processes.append(Process(contender))  # noqa: PERF401 - those already started must be closed on errors
        return take_turns({process.name: process.run for process in processes}, rounds=rounds, seconds=seconds)
    finally:
        for process in processes:
            process.close()
