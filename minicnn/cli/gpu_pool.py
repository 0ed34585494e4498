"""Jobs dealt one at a time to processes of their own: one that dies or hangs takes only the job that it was at."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

PROCESSES = 8  # at most: the CPU's kernels compile in them, and each holds a context on the device
LIMIT = 120.0  # seconds of a job, its process's start and the compiler's time within
PATIENCE = 10.0  # seconds that a killed process may need to end: the driver waits for its kernels
STARTS = 40  # of processes in place of others; then the device itself is gone, and the rest of the jobs are not tried

_CONTEXT = multiprocessing.get_context("spawn")  # a child by fork could not use the device, nor enter parallel kernels
_spent = False


def give_up() -> None:
    """In a worker: end this process when the job's result is sent. After an illegal access nothing works in it."""
    global _spent
    _spent = True


def spread(
    task: Callable[[Any], Any], jobs: Sequence[Any], lost: Callable[[Any, str], Any], *,
    alone: bool = False, share: int = 16, limit: float = LIMIT,
) -> Iterator[Any]:  # fmt: skip
    """The task's result of each job, as they come.

    Parameters
    ----------
    task : callable
        Importable by name.
    jobs : sequence
    lost : callable
        From a job and a reason to what stands for its result: where its process died twice, or took too long.
    alone : bool
        Use other processes however few the jobs are, since what they do may end a process.
    share : int
        Jobs that a process is worth starting for.
    limit : float
        Seconds of a job.
    """
    count = min(PROCESSES, os.cpu_count() or 1, len(jobs) // share)
    if count < 2 and not alone:
        yield from map(task, jobs)
    elif jobs:
        yield from _deal(task, jobs, lost, max(count, 1), limit)


class _Worker:
    """A process, and the job that it is at."""

    def __init__(self, task: Callable[[Any], Any]) -> None:
        self.pipe, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_work, args=(task, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.job: Any = None
        self.until = 0.0

    def begin(self, job: Any, limit: float) -> None:
        self.job, self.until = job, time.monotonic() + limit
        with suppress(OSError):  # it died while it waited: seen as the end of its answers
            self.pipe.send(job)

    def end(self) -> str:
        """Kill it; what became of it, in words."""
        self.process.join(0.5)
        self.process.kill()
        self.process.join(PATIENCE)
        self.pipe.close()
        return f"the process died, exit code {self.process.exitcode}"


def _deal(
    task: Callable[[Any], Any], jobs: Sequence[Any], lost: Callable[[Any, str], Any], count: int, limit: float
) -> Iterator[Any]:
    waiting, tried, starts = deque(jobs), set[int](), -count
    idle: list[_Worker] = []
    busy: dict[Any, _Worker] = {}  # by its pipe
    try:
        while waiting or busy:
            while waiting and len(busy) < count and (idle or starts < STARTS):
                if not idle:
                    idle.append(_Worker(task))
                    starts += 1
                worker = idle.pop()
                worker.begin(waiting.popleft(), limit)
                busy[worker.pipe] = worker
            if not busy:
                yield from (lost(job, f"not tried: {STARTS} processes died before it") for job in waiting)
                return
            for pipe in wait(list(busy), max(0.0, min(worker.until for worker in busy.values()) - time.monotonic())):
                worker = busy.pop(pipe)
                try:
                    result, spent = worker.pipe.recv()
                except (EOFError, OSError):
                    why = worker.end()
                    if id(worker.job) in tried:
                        yield lost(worker.job, f"{why}, twice")
                    else:
                        tried.add(id(worker.job))
                        waiting.append(worker.job)
                    continue
                if spent:
                    worker.end()
                else:
                    idle.append(worker)
                yield result
            for worker in [worker for worker in busy.values() if time.monotonic() > worker.until]:
                del busy[worker.pipe]
                worker.end()
                yield lost(worker.job, f"no result in {limit:.0f} s")
    finally:
        for worker in [*idle, *busy.values()]:
            worker.process.kill()
            worker.end()


def _work(task: Callable[[Any], Any], pipe: Connection) -> None:
    """What a worker does until its parent closes the pipe."""
    while not _spent:
        try:
            job = pipe.recv()
        except EOFError:
            return
        result = task(job)
        pipe.send((result, _spent))
    os._exit(1)  # whatever the driver would still do at the end may hang
