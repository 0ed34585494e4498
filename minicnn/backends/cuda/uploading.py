"""Copies to a GPU beside the work that goes on there: page-locked memory and a stream of their own."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from minicnn.core.types import Array

AHEAD = 3  # copies that may be under way: each holds its page-locked memory until the device has read it


class PinnedUploader:
    """Host arrays to device arrays, without waiting.

    Parameters
    ----------
    cupy : the array namespace
    empty_pinned : callable
        ``(shape, dtype)`` to page-locked host memory, which returns to a pool when it is dropped.
    stream : cupy.cuda.Stream
        Where the copies run.
    """

    def __init__(self, cupy: Any, empty_pinned: Callable[..., Any], stream: Any) -> None:
        self._cupy, self._empty_pinned, self._stream = cupy, empty_pinned, stream
        self._reading: deque[tuple[Any, list[Any]]] = deque()  # events, and the memory that is read until then

    def mark(self) -> Any:
        """What the caller's stream has been given so far; copies begin after it.

        Memory that the pool hands out again may still be read by work of that stream.
        """
        return self._cupy.cuda.get_current_stream().record()

    def start(self, hosts: Sequence[Any], after: Any) -> Any:
        """Begin to copy after that mark (from any Python thread); what it returns is for :meth:`finish`."""
        while self._reading and (self._reading[0][0].done or len(self._reading) >= AHEAD):
            self._reading.popleft()[0].synchronize()
        self._stream.wait_event(after)
        arrays, pinned = [], []
        with self._stream:
            for host in hosts:
                locked = self._empty_pinned(host.shape, host.dtype)
                locked[...] = host
                array = self._cupy.empty(host.shape, host.dtype)
                array.set(locked, stream=self._stream)
                arrays.append(array)
                pinned.append(locked)
        copied = self._stream.record()
        self._reading.append((copied, pinned))
        return arrays, copied

    def finish(self, started: Any) -> list[Array]:
        """The arrays; the device, not the host, waits for the copies."""
        arrays, copied = started
        self._cupy.cuda.get_current_stream().wait_event(copied)
        return arrays  # type: ignore[no-any-return]

    def close(self) -> None:
        """Wait until nothing is read from the page-locked memory any more."""
        while self._reading:
            self._reading.popleft()[0].synchronize()
