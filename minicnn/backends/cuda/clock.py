"""How long calls take on a device, by its own events, without the time that launching takes.

A device is told to be busy for a while, calls are queued behind that, and two events among them tell the time of the
calls alone. The queue is finite: about 1024 launches, after which the host waits for the device, so a long turn of
short kernels would be launched while the device starves. Calls are therefore timed in groups, each behind its own wait.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

LAUNCHES = 256  # of a group, at most: a quarter of the queue
LAUNCH = 2e-6  # seconds that the host needs for one, at least; what a call takes longer may be further launches
MARGIN = 50e-6  # seconds for launching the wait and the events themselves
PROBED = 3  # calls that tell how long launching one takes


class Stream(Protocol):
    """What the clock needs of a device's stream."""

    def synchronize(self) -> None:
        """Wait until the device has nothing left to do."""

    def wait(self, seconds: float) -> None:
        """Let the device do nothing for so long."""

    def mark(self) -> Any:
        """An event behind what was launched so far."""

    def between(self, begin: Any, end: Any) -> float:
        """Seconds from one event to another, once the second has happened."""


def seconds(stream: Stream, call: Callable[[], object], count: int) -> float:
    """Seconds that so many calls take on the device.

    A call that itself waits for the device, to read a number back, is timed with its waiting.
    """
    stream.synchronize()
    launching, probed = 0.0, min(count, PROBED)
    for _ in range(probed):
        start = perf_counter()
        call()
        launching += perf_counter() - start
        stream.synchronize()
    launching = max(launching / probed, LAUNCH)
    group = max(1, int(LAUNCHES * LAUNCH / launching))
    total = 0.0
    while count > 0:
        size = min(group, count)
        stream.wait(1.5 * launching * size + MARGIN)
        begin = stream.mark()
        for _ in range(size):
            call()
        total += stream.between(begin, stream.mark())
        count -= size
    return total
