"""Tasks in processes of their own: both cores, one thread each, and a crash or a hang ends one task only."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

#: Read when the libraries of a new process load.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_PER_PROCESS = 40  # tasks that are worth the start of a process
_MEMORY = 12 << 30  # bytes of addresses, most of which are libraries and never touched


@dataclass(frozen=True)
class Died:
    """In place of the result of a task that ended its process or its time.

    Parameters
    ----------
    why : str
    crashed : bool
        It ended its process; else its time was over.
    """

    why: str
    crashed: bool = False


def usable(processes: int | None, tasks: int) -> int:
    """How many processes to start: the number asked for, or as many as there are cores and work for.

    Raises
    ------
    ValueError
        If the number asked for is less than 1.

    Examples
    --------
    >>> from minicnn.testing.workers import usable
    >>> usable(3, 1000), usable(None, 2)
    (3, 1)
    """
    if processes is not None:
        if processes < 1:
            raise ValueError(f"processes must be at least 1, got {processes}")
        return processes
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, tasks // _PER_PROCESS))


def run_tasks(
    work: Callable[[Any], Any], tasks: Sequence[Any], *, processes: int,
    limit_s: float | None = None, stop_at: float | None = None,
) -> Iterator[tuple[int, Any]]:
    """Results of ``work(task)``, as they are ready.

    Parameters
    ----------
    work : callable
        A function of a module, for it is called in another process by its name.
    tasks : sequence
    processes : int
        1 works in this process, where no time limit and no crash can be caught.
    limit_s : float, optional
        Seconds a task may take; its process is then ended.
    stop_at : float, optional
        A time of ``time.monotonic()`` after which no task is begun.

    Yields
    ------
    (position, result)
        A task whose process ended, or was ended, has :class:`Died` as its result.

    Raises
    ------
    Exception
        What ``work`` raises, in the process that it worked in.
    RuntimeError
        If a process cannot start.
    """
    if processes == 1:
        with one_thread():
            for position, task in enumerate(tasks):
                if stop_at is not None and time.monotonic() > stop_at:
                    return
                yield position, work(task)
        return
    waiting = deque(enumerate(tasks))
    workers = [_Worker(work) for _ in range(min(processes, len(tasks)))]
    try:
        while True:
            for worker in workers:
                if worker.position is None and waiting and not (stop_at is not None and time.monotonic() > stop_at):
                    worker.begin(*waiting.popleft())
            busy = [worker for worker in workers if worker.position is not None]
            if not busy:
                return
            wait([worker.end for worker in busy], timeout=_patience(busy, limit_s))
            for worker in busy:
                result = worker.result(limit_s)
                if result is not None:
                    yield result
    finally:
        for worker in workers:
            worker.close()


def _patience(busy: list[_Worker], limit_s: float | None) -> float | None:
    if limit_s is None:
        return None
    begun = [worker.since for worker in busy if worker.since is not None]
    return max(0.01, min(begun) + limit_s - time.monotonic()) if begun else None


class _Worker:
    """A process, and the task it has."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.work = work
        self.position: int | None = None
        self.since: float | None = None
        self.start()

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a child by fork could not enter parallel kernels
        self.end, other = context.Pipe()
        self.ready = False
        self.process = context.Process(target=_serve, args=(other, self.work), daemon=True)
        with _environment():
            self.process.start()
        other.close()

    def begin(self, position: int, task: Any) -> None:
        self.position, self.since = position, time.monotonic() if self.ready else None
        with suppress(OSError):  # it has ended, and its result will say so
            self.end.send(task)

    def result(self, limit_s: float | None) -> tuple[int, Any] | None:
        """The position and what came of it, once there is something."""
        try:
            while self.end.poll():
                kind, value = self.end.recv()
                if kind == "raised":
                    raise value
                if kind == "done":
                    return self.done(value)
                self.ready, self.since = True, time.monotonic()  # the libraries are loaded: now its time begins
        except (EOFError, ConnectionError):
            self.process.join()
            code = self.process.exitcode
            if not self.ready:
                raise RuntimeError(f"a worker process could not start: it ended with code {code}") from None
            return self.replaced(f"its process ended with code {code}", crashed=True)
        if limit_s is not None and self.since is not None and time.monotonic() - self.since > limit_s:
            return self.replaced(f"it took more than {limit_s:g} s")
        return None

    def done(self, value: Any) -> tuple[int, Any]:
        position, self.position = self.position, None
        assert position is not None
        return position, value

    def replaced(self, why: str, *, crashed: bool = False) -> tuple[int, Any]:
        self.close()
        self.start()
        return self.done(Died(why, crashed))

    def close(self) -> None:
        self.end.close()
        self.process.kill()
        self.process.join()


def _serve(end: Connection, work: Callable[[Any], Any]) -> None:
    """In a worker: one task after the other, until the parent closes its end."""
    os.environ["MINICNN_QUIET"] = "1"
    _limit_memory()
    with one_thread():
        end.send(("ready", None))
        while True:
            try:
                task = end.recv()
            except EOFError:
                return
            try:
                answer = ("done", work(task))
            except Exception as error:  # noqa: BLE001 - it is raised in the parent
                answer = ("raised", error)
            end.send(answer)


def _limit_memory() -> None:
    """An array of absurd size is a MemoryError of its task, and not the end of the machine."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, hard))


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for every operation inside the block, so that no result depends on how many there are."""
    from minicnn.backends.cpu import threads

    before = threads.get_num_threads()
    threads.set_num_threads(1)
    try:
        yield
    finally:
        threads.set_num_threads(before)


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
