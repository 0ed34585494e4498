"""Page-locked memory is not used again before the device has read it, shown with copies that end when told."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import numpy as np

from minicnn.backends.cuda.uploading import AHEAD, PinnedUploader


class Event:
    def __init__(self) -> None:
        self.done = False
        self.waited = False

    def synchronize(self) -> None:
        self.done = self.waited = True


class Stream(contextlib.AbstractContextManager[Any]):
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.waits: list[Any] = []

    def __exit__(self, *_: object) -> None: ...

    def record(self) -> Event:
        self.events.append(Event())
        return self.events[-1]

    def wait_event(self, event: Any) -> None:
        self.waits.append(event)


class DeviceArray:
    """Reads its source when the copy is said to be over, as the device does."""

    def __init__(self, shape: Any, dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype
        self.source: Any = None

    def set(self, source: Any, stream: Any) -> None:
        self.source = source


class Pool:
    """Hands a block out again as soon as nobody holds it."""

    def __init__(self) -> None:
        self.blocks: list[np.ndarray] = []

    def __call__(self, shape: Any, dtype: Any) -> np.ndarray:
        import sys

        for block in self.blocks:
            if sys.getrefcount(block) <= 3:  # the list, the loop, the call
                return block
        self.blocks.append(np.empty(shape, dtype))
        return self.blocks[-1]


def uploader() -> tuple[PinnedUploader, Stream, Stream, Pool]:
    caller, copies, pool = Stream(), Stream(), Pool()
    cupy = SimpleNamespace(cuda=SimpleNamespace(get_current_stream=lambda: caller), empty=DeviceArray)
    return PinnedUploader(cupy, pool, copies), caller, copies, pool


def test_a_batch_under_way_keeps_its_memory_though_its_ticket_is_dropped() -> None:
    up, _, copies, _ = uploader()
    first = up.finish(up.start([np.zeros(4)], up.mark()))[0]
    source = first.source
    del first
    up.finish(up.start([np.ones(4)], up.mark()))
    assert not copies.events[0].done
    np.testing.assert_array_equal(source, np.zeros(4))


def test_memory_is_used_again_once_it_was_read() -> None:
    up, _, copies, pool = uploader()
    for k in range(5):
        up.finish(up.start([np.full(4, float(k))], up.mark()))
        copies.events[-1].done = True
    assert len(pool.blocks) <= 2


def test_the_host_waits_when_too_many_copies_are_under_way_and_at_the_end() -> None:
    up, _, copies, _ = uploader()
    for _ in range(AHEAD + 1):
        up.start([np.zeros(2)], up.mark())
    assert [event.waited for event in copies.events] == [True] + [False] * AHEAD
    up.close()
    assert all(event.waited for event in copies.events)


def test_copies_follow_the_callers_work_and_its_later_work_follows_them() -> None:
    up, caller, copies, _ = uploader()
    started = up.start([np.zeros(2)], up.mark())
    assert copies.waits == [caller.events[-1]]
    up.finish(started)
    assert caller.waits == [copies.events[-1]]


def test_memory_taken_after_the_mark_waits_for_all_that_the_caller_launched_until_then() -> None:
    up, caller, copies, _ = uploader()
    mark = up.mark()
    kept_and_dropped = caller.record()  # the caller uses a batch of an earlier step, and drops it
    up.start([np.zeros(2)], mark)
    (waited,) = copies.waits
    assert caller.events.index(waited) > caller.events.index(kept_and_dropped)


def test_memory_taken_at_the_mark_waits_for_nothing_later() -> None:
    up, caller, copies, _ = uploader()
    up.start([np.zeros(2), np.zeros(3, np.int64)], up.mark())
    mark = up.mark()
    caller.record()  # the present step's work, beside which the copy shall run
    arrays, _ = up.start([np.ones(2), np.ones(3, np.int64)], mark)
    assert copies.waits[-1] is mark.event
    assert arrays is mark.taken
    assert arrays[0].source.tolist() == [1, 1]


def test_a_batch_of_another_shape_takes_memory_of_its_own() -> None:
    up, caller, copies, _ = uploader()
    up.start([np.zeros(4)], up.mark())
    mark = up.mark()
    later = caller.record()
    arrays, _ = up.start([np.ones(3)], mark)
    assert arrays[0].shape == (3,)
    assert caller.events.index(copies.waits[-1]) > caller.events.index(later)
