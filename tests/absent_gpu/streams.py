"""Streams that do their work as late as they may: only when somebody waits for it, and not a piece more than that.

So a copy that is read before it was waited for, or page-locked memory that is written again too early, shows.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

_NOT_READY = 600  # cudaErrorNotReady
_queues: dict[int, deque[Callable[[], Any]]] = defaultdict(deque)
_marks: dict[int, Mark] = {}  # the last of each event


class Mark:
    """A place in a stream."""

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.reached: float | None = None  # seconds

    def reach(self) -> None:
        """Do what the stream was given before it."""
        while self.reached is None:
            _queues[self.stream].popleft()()

    def happen(self) -> None:
        self.reached = time.perf_counter()


def add(stream: int, work: Callable[[], Any]) -> None:
    """Give a stream work."""
    _queues[stream].append(work)


def finish(stream: int) -> None:
    """Do all the work of a stream."""
    while _queues[stream]:
        _queues[stream].popleft()()


def finish_all() -> None:
    """Do the work of all streams."""
    for stream in list(_queues):
        finish(stream)


def record(event: int, stream: int) -> None:
    """The event is now this place in the stream."""
    mark = _marks[event] = Mark(stream)
    add(stream, mark.happen)


def wait_event(stream: int, event: int) -> None:
    """Work that the stream is given later comes after the event as it is now."""
    if event in _marks:
        add(stream, _marks[event].reach)


def wait(event: int) -> None:
    """Until it has happened."""
    if event in _marks:
        _marks[event].reach()


def query(event: int) -> int:
    """cudaSuccess if it has happened."""
    return _NOT_READY if event in _marks and _marks[event].reached is None else 0


def milliseconds(begin: int, end: int) -> float:
    """From one event to another."""
    first, second = _marks[begin].reached, _marks[end].reached
    assert first is not None, "the first event has not happened"
    assert second is not None, "the second event has not happened"
    return 1e3 * (second - first)
