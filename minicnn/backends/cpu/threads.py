"""All cores for our blocks, numba and BLAS, with one number that sets the three together."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_threads = _cores()
_pool: ThreadPoolExecutor | None = None
_pool_owner = os.getpid()


def get_num_threads() -> int:
    """Threads that one operation may use."""
    return _threads


def set_num_threads(n: int) -> None:
    """Use ``n`` threads in our blocks, numba kernels and BLAS alike.

    Raises
    ------
    ValueError
        Unless 1 <= n <= 1024.
    """
    global _threads, _pool
    if not 1 <= n <= 1024:
        raise ValueError(f"set_num_threads: n must be between 1 and 1024, got {n}")
    _threads, _pool = int(n), None
    with suppress(ModuleNotFoundError):  # then BLAS keeps the threads that the environment gave it
        from threadpoolctl import threadpool_limits

        threadpool_limits(_threads, user_api="blas")
    if "minicnn.backends.cpu.jit" in sys.modules:
        sys.modules["minicnn.backends.cpu.jit"].apply_num_threads()


def run(task: Callable[[int], None], count: int) -> None:
    """``task(0) .. task(count - 1)`` on all threads; the caller is one of them, and waits for the rest."""
    global _pool, _pool_owner
    workers = min(_threads, count)
    if workers <= 1:
        for i in range(count):
            task(i)
        return
    if _pool is None or _pool_owner != os.getpid():
        _pool, _pool_owner = ThreadPoolExecutor(_threads, "minicnn"), os.getpid()

    def share(first: int) -> None:
        with np.errstate(all="ignore"):  # as the engine's own thread has it
            for i in range(first, count, workers):
                task(i)

    others = [_pool.submit(share, w) for w in range(1, workers)]
    try:
        share(0)
    finally:
        for other in others:
            other.result()
