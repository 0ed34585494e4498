"""A stage of ``minicnn gpu-report`` in a process of its own: an illegal access or a kernel that hangs ends that stage.

A CUDA error of that kind stays with the process, and everything that it does on the device fails from then on.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from minicnn.cli.gpu_pool import PATIENCE

if TYPE_CHECKING:
    from minicnn.cli.gpu_task import Facts, Task

_CONTEXT = multiprocessing.get_context("spawn")


def run(stage: Callable[[Task], Facts], task: Task, limit: float) -> Facts:
    """The stage's result; ``task.save`` gets here what it saves there.

    Raises
    ------
    RuntimeError
        It failed (with what it said), its process died, or it took longer than ``limit`` seconds.
    """
    here, there = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_stage, args=(stage, replace(task, save=_nothing), there))
    process.start()
    there.close()
    until = time.monotonic() + limit
    try:
        while True:
            if not here.poll(max(0.0, until - time.monotonic())):
                raise RuntimeError(f"it took longer than {limit:.0f} s and was ended")
            try:
                kind, sent = here.recv()
            except EOFError:
                process.join(5.0)
                raise RuntimeError(f"its process died, exit code {process.exitcode}") from None
            if kind == "failed":
                raise RuntimeError(sent)
            facts: Facts = sent
            if kind == "done":
                return facts
            task.save(facts)
    finally:
        _end(process.pid)
        process.kill()
        process.join(PATIENCE)
        here.close()


def _nothing(facts: Facts) -> None:
    pass


def _stage(stage: Callable[[Task], Facts], task: Task, pipe: Connection) -> None:
    """In the child: a group of processes of its own, which ends with it and with the parent."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        facts = stage(replace(task, save=lambda part: pipe.send(("part", part))))
    except Exception as error:  # noqa: BLE001 - the later stages must still have their turn
        pipe.send(("failed", f"{type(error).__name__}: {error}"))
    else:
        pipe.send(("done", facts))
    pipe.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    _end(os.getpid())


def _end(pid: int | None) -> None:
    """Kill the stage's process and those that it started."""
    if pid is not None and hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
