"""Copies to a GPU beside the work that goes on there: page-locked memory and a stream of their own."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minicnn.core.types import Array

_Kind = tuple[tuple[int, ...], Any]  # shape and dtype
AHEAD = 3  # copies that may be under way: each holds its page-locked memory until the device has read it


class Mark(NamedTuple):
    """A place in the caller's stream, with memory that was free by then."""

    stream: Any
    taken: list[Any]
    event: Any  # behind all that was launched before the memory was taken


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
        self._kinds: list[_Kind] = []  # shapes and dtypes of the last batch

    def mark(self) -> "Mark":
        """The caller's stream, and memory for a batch like the last one, which work up to now may still use."""
        stream = self._cupy.cuda.get_current_stream()
        with self._stream:
            taken = [self._cupy.empty(*kind) for kind in self._kinds]
        return Mark(stream, taken, stream.record())

    def start(self, hosts: Sequence[Any], mark: "Mark") -> Any:
        """Begin to copy (from any Python thread); what it returns is for :meth:`finish`.

        Memory that the pool hands out may still be used by work that the caller's stream was given before its last
        owner dropped it. So copies wait for what that stream has when the memory is taken: up to the mark for a batch
        like the one before, which lets them run beside the present step's work; up to now for another.
        """
        while self._reading and (self._reading[0][0].done or len(self._reading) >= AHEAD):
            self._reading.popleft()[0].synchronize()
        kinds = [(host.shape, host.dtype) for host in hosts]
        arrays, before = mark.taken, mark.event
        with self._stream:
            if kinds != [(array.shape, array.dtype) for array in arrays]:
                arrays = [self._cupy.empty(*kind) for kind in kinds]
                before = mark.stream.record()
            self._stream.wait_event(before)
            pinned = []
            for host, array in zip(hosts, arrays, strict=True):
                locked = self._empty_pinned(host.shape, host.dtype)
                locked[...] = host
                array.set(locked, stream=self._stream)
                pinned.append(locked)
        copied = self._stream.record()
        self._reading.append((copied, pinned))
        self._kinds = kinds
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
