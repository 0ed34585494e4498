"""Tasks in processes: results, crashes, time limits."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

import minicnn
from minicnn.testing.workers import Died, one_thread, run_tasks, usable


def square(x: int) -> int:
    return x * x


def behave(how: str) -> Any:
    if how == "die":
        os._exit(3)
    if how == "hang":
        time.sleep(600)
    if how == "raise":
        raise KeyError("inside")
    return minicnn.get_num_threads()


def test_results_carry_their_position() -> None:
    assert dict(run_tasks(square, [1, 2, 3], processes=1)) == {0: 1, 1: 4, 2: 9}


def test_a_crash_and_a_hang_end_one_task_only() -> None:
    results = dict(run_tasks(behave, ["die", "fine", "hang", "fine"], processes=2, limit_s=1.5))
    assert results[1] == results[3] == 1  # and every process uses one thread
    assert isinstance(results[0], Died) and "code 3" in results[0].why
    assert isinstance(results[2], Died) and "1.5 s" in results[2].why


@pytest.mark.parametrize("processes", [1, 2])
def test_an_exception_is_raised_here(processes: int) -> None:
    with pytest.raises(KeyError, match="inside"):
        list(run_tasks(behave, ["raise", "raise"], processes=processes))


def test_nothing_begins_after_the_end() -> None:
    assert list(run_tasks(square, [1, 2], processes=1, stop_at=time.monotonic() - 1)) == []


def test_threads_come_back() -> None:
    before = minicnn.get_num_threads()
    with one_thread():
        assert minicnn.get_num_threads() == 1
    assert minicnn.get_num_threads() == before


def test_few_tasks_need_no_second_process() -> None:
    assert usable(None, 3) == 1
    assert usable(2, 3) == 2
