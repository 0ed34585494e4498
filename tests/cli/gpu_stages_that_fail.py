"""Stages and jobs that end their process or never end; in a module of their own, which spawned processes import."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from minicnn.cli.gpu_pool import give_up
from minicnn.cli.gpu_task import Facts, Task


def dies(task: Task) -> Facts:
    task.save({"first": 1})
    os._exit(7)


def hangs(task: Task) -> Facts:
    task.save({"first": 1, "pid": os.getpid()})
    time.sleep(600)
    return {}


def raises(task: Task) -> Facts:
    raise ValueError("no luck")


def tells(task: Task) -> Facts:
    return {"passed": True, "pid": os.getpid(), "kept": dict(task.kept)}


def job(given: tuple[str, int, str]) -> tuple[int, int]:
    """A job by its kind; the folder counts how often each was begun."""
    kind, number, folder = given
    begun = Path(folder) / f"{number}.{time.monotonic_ns()}.{os.getpid()}"
    begun.touch()
    if kind == "dies":
        os._exit(1)
    if kind == "dies once" and len(list(Path(folder).glob(f"{number}.*"))) == 1:
        os._exit(1)
    if kind == "hangs":
        time.sleep(600)
    if kind == "spends":
        give_up()
    return number, os.getpid()


def lost(given: Any, why: str) -> tuple[int, str]:
    return given[1], why
