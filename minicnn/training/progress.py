"""How far a run is: a bar with the time left on a terminal, plain lines elsewhere, or nothing.

A reporter has ``begin(total, done)``, ``update(done, text)``, ``note(message)`` and ``end()``; pass your own to the
trainer to show progress elsewhere.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from minicnn.core import checks


class Reporter(Protocol):
    """What the trainer tells about a run."""

    def begin(self, total: int, done: int) -> None:
        """A run of ``total`` steps starts, ``done`` of them finished earlier."""
        ...

    def update(self, done: int, text: str) -> None:
        """``done`` steps are finished; ``text`` is the latest loss and the like."""
        ...

    def note(self, message: str) -> None:
        """A line that should stay."""
        ...

    def end(self) -> None:
        """The run is over, well or not."""
        ...


class Silent:
    """Says nothing."""

    def begin(self, total: int, done: int) -> None:
        """Nothing."""

    def update(self, done: int, text: str) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class Lines:
    """Plain lines for logs and pipes: every note, and now and then how far the run is.

    Parameters
    ----------
    stream : text file
    every : float
        Seconds between two lines about progress.
    clock : callable
        Seconds as a float.
    """

    def __init__(
        self, stream: TextIO | None = None, every: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.every, self.clock = every, clock
        self.total = 0
        self.first: int | None = None
        self.started = self.last = 0.0

    def begin(self, total: int, done: int) -> None:
        """Start the clock."""
        self.total, self.first = total, None
        self.started = self.last = self.clock()

    def update(self, done: int, text: str) -> None:
        """A line, if the last one is long ago."""
        now = self.clock()
        if self.first is None:  # the first step may have compiled kernels: it says nothing about the rest
            self.first, self.started = done, now
        if now - self.last < self.every:
            return
        self.last = now
        rate = (done - self.first) / max(now - self.started, 1e-9)
        left = f", {duration((self.total - done) / rate)} left" if rate > 0 else ""
        self.note(f"{100 * done // max(self.total, 1)} % ({done}/{self.total} steps{left}) {text}")

    def note(self, message: str) -> None:
        """Write the line."""
        self.stream.write(f"{message}\n")
        self.stream.flush()

    def end(self) -> None:
        """Nothing to tidy up."""


class Bar:
    """A bar with percentage, time passed and time left, drawn by rich."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self._progress: Any = None
        self._task: Any = None

    def begin(self, total: int, done: int) -> None:
        """Draw the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._progress = Progress(
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(file=self.stream),
            refresh_per_second=4,  # each refresh takes the interpreter from the run
        )
        self._progress.start()
        self._task = self._progress.add_task("", total=total, completed=done)

    def update(self, done: int, text: str) -> None:
        """Move the bar (it redraws itself four times a second)."""
        self._progress.update(self._task, completed=done, description=text)

    def note(self, message: str) -> None:
        """A line above the bar."""
        if self._progress is None:
            self.stream.write(f"{message}\n")
        else:
            self._progress.console.print(message, markup=False, highlight=False)

    def end(self) -> None:
        """Leave the bar as it is."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def reporter(kind: "str | Reporter" = "auto") -> Reporter:
    """A reporter by name.

    Parameters
    ----------
    kind : "auto", "bar", "lines", "none", or a reporter, which is returned
        ``"auto"`` is a bar where standard error is a terminal, else lines.

    Raises
    ------
    ValueError
        Another name.
    """
    if not isinstance(kind, str):
        return kind
    if kind == "auto":
        kind = "bar" if sys.stderr.isatty() else "lines"
    made: dict[str, Callable[[], Reporter]] = {"bar": Bar, "lines": Lines, "none": Silent}
    if kind not in made:
        raise checks.value_error("progress", f"expected 'auto', 'bar', 'lines' or 'none', got {kind!r}")
    return made[kind]()


def duration(seconds: float) -> str:
    """``75 -> "1:15"``, ``3700 -> "1:01:40"``."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"
