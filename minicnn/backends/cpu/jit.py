"""Compiling kernels with numba: lazily, cached on disk, announced, on all cores.

Importing this module imports numba, so only kernel modules do, and those load on first use. The cache folder's
name holds a hash of the backend's sources: numba itself notices a change in a kernel's own file only.
"""

import hashlib
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba import prange
from numba.core import event

from minicnn.backends.cpu import sources, threads


def _cache_folder() -> Path:
    digest = hashlib.blake2s(numba.__version__.encode(), digest_size=8)
    for source in sources():
        digest.update(source.read_bytes())
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "minicnn" / f"numba-{digest.hexdigest()}"


if "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = str(_cache_folder())


class _Announce(event.Listener):  # type: ignore[misc]
    """Says once that kernels are being compiled, so that the wait does not feel like a hang."""

    said = False

    def on_start(self, event: Any) -> None:
        if not _Announce.said and not os.environ.get("MINICNN_QUIET"):
            _Announce.said = True
            sys.stderr.write("minicnn: compiling kernels for this machine, which takes a minute or so the first time\n")

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Announce())

WAKE = 1 << 19  # elements from which a second thread pays for a loop that does little more than read and write them

_LOCK = threading.RLock()
_THREAD = threading.local()
_one_at_a_time = True  # until the threading layer is known; for good where it is numba's own "workqueue"


def apply_num_threads() -> None:
    """Give numba as many threads as the rest of the backend."""
    _THREAD.count = threads.get_num_threads()
    numba.set_num_threads(min(threads.get_num_threads(), numba.config.NUMBA_NUM_THREADS))


class Kernel:
    """A Python function that becomes machine code at its first call.

    numba's fallback threading layer aborts the process when two Python threads enter parallel kernels at once;
    with it, calls take turns.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self.__doc__, self.__name__, self.__module__ = function.__doc__, function.__name__, function.__module__
        settings = {"parallel": True, "cache": True, "nogil": True, "error_model": "numpy"} | options
        self.compiled = numba.njit(**settings)(function)
        self.py_func = function

    def __call__(self, *args: Any) -> Any:
        global _one_at_a_time
        if getattr(_THREAD, "count", 0) != threads.get_num_threads():  # numba counts for each Python thread
            apply_num_threads()
        if not _one_at_a_time:
            return self.compiled(*args)
        with _LOCK:
            result = self.compiled(*args)
            with suppress(ValueError):  # no parallel kernel has run yet
                _one_at_a_time = numba.threading_layer() == "workqueue"
            return result

    def alone(self, *args: Any) -> Any:
        """The same on the calling thread: waking another takes 10 to 50 us, in which one core adds 100 000 numbers."""
        if threads.get_num_threads() == 1:
            return self(*args)
        numba.set_num_threads(1)
        _THREAD.count = 1
        try:
            if not _one_at_a_time:
                return self.compiled(*args)
            with _LOCK:
                return self.compiled(*args)
        finally:
            apply_num_threads()

    def sized(self, size: int, *args: Any) -> Any:
        """A light loop over ``size`` elements, alone or on all cores."""
        return self(*args) if size >= WAKE else self.alone(*args)


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Decorator: compile for the argument types at the first call, parallel over ``prange``; cached on disk."""
    return Kernel(function, **options) if function else lambda f: Kernel(f, **options)


def inline(function: Callable[..., Any]) -> Any:
    """Decorator for a helper that kernels of the same file call; its code is cached as part of theirs.

    A cache file of its own would save nothing, and numba now and then fails to write one ("no compiled object yet").
    """
    return numba.njit(nogil=True, error_model="numpy")(function)


__all__ = ["Kernel", "apply_num_threads", "inline", "kernel", "prange"]
