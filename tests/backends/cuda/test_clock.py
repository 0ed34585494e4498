"""The clock of a device, tried on one that exists in numbers only: short kernels behind a queue of 1024 launches."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from minicnn.backends.cuda import clock, device
from minicnn.bench.peers import pytorch

QUEUE = 1024


class Device:
    """Host and device as two clocks: a launch takes the host a while, and waits where the queue is full."""

    def __init__(self, kernel: float, launch: float) -> None:
        self.kernel, self.launch_time = kernel, launch
        self.host = self.busy_until = 0.0
        self.queued: deque[float] = deque()  # when each launch will be done
        self.longest = 0

    def launch(self, takes: float) -> None:
        self.host += self.launch_time
        while self.queued and self.queued[0] <= self.host:
            self.queued.popleft()
        if len(self.queued) >= QUEUE:
            self.host = max(self.host, self.queued.popleft())
        self.busy_until = max(self.busy_until, self.host) + takes
        self.queued.append(self.busy_until)
        self.longest = max(self.longest, len(self.queued))

    def synchronize(self) -> None:
        self.host = max(self.host, self.busy_until)

    def wait(self, seconds: float) -> None:
        self.launch(seconds)

    def mark(self) -> float:
        self.launch(0.0)
        return self.busy_until

    def between(self, begin: float, end: float) -> float:
        self.host = max(self.host, end)
        return end - begin


def measured(device: Device, count: int, launches: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds of one launch, as the clock has it."""

    def call() -> None:
        for _ in range(launches):
            device.launch(device.kernel)

    monkeypatch.setattr(clock, "perf_counter", lambda: device.host)
    return clock.seconds(device, call, count) / count / launches


@pytest.mark.parametrize("launches", [1, 3, 40])
@pytest.mark.parametrize("launch", [2e-6, 4e-6, 15e-6])
@pytest.mark.parametrize("kernel", [1e-6, 8e-6, 1e-3])
def test_thousands_of_kernels_take_the_time_of_kernels_not_of_launches(
    kernel: float, launch: float, launches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(kernel, launch)
    assert measured(device, 4000 // launches, launches, monkeypatch) == pytest.approx(kernel, rel=1e-6)
    assert device.longest <= clock.LAUNCHES + 3  # the wait and two events


def test_one_wait_before_a_whole_turn_would_time_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "LAUNCHES", 10**6)
    assert measured(Device(1e-6, 4e-6), 20_000, 1, monkeypatch) > 2e-6


def test_a_call_of_more_launches_than_a_group_is_timed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(5e-6, 3e-6)
    assert measured(device, 4, 600, monkeypatch) == pytest.approx(5e-6, rel=1e-6)
    assert device.longest <= 603


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 1000])
def test_exactly_so_many_calls_are_timed(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(1e-3, 1e-6)
    monkeypatch.setattr(clock, "perf_counter", lambda: device.host)
    assert clock.seconds(device, lambda: device.launch(device.kernel), count) == pytest.approx(count * 1e-3)


def test_a_call_that_waits_for_the_device_is_timed_with_its_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(2e-6, 4e-6)

    def call() -> None:
        device.launch(device.kernel)
        device.synchronize()
        device.host += 50e-6  # what the host does with the number it read

    monkeypatch.setattr(clock, "perf_counter", lambda: device.host)
    found = clock.seconds(device, call, 20) / 20
    assert 2e-6 <= found <= 80e-6


# -- what the clock is told of CuPy's and PyTorch's streams --------------------------------------------------------


class Event:
    """An event of either library: CuPy's of a stream, PyTorch's made alone and then recorded."""

    def __init__(self, enable_timing: bool = True) -> None:
        assert enable_timing
        self.recorded = self.waited = False

    def record(self) -> Event:
        self.recorded = True
        return self

    def synchronize(self) -> None:
        self.waited = True

    def elapsed_time(self, end: Event) -> float:
        assert self.recorded
        assert end.waited
        return 2.5  # milliseconds


def test_cupys_stream_waits_for_cycles_and_counts_milliseconds() -> None:
    launches: list[Any] = []
    cuda = SimpleNamespace(
        Device=lambda: SimpleNamespace(attributes={"ClockRate": 1_500_000}, synchronize=lambda: None),
        get_current_stream=lambda: SimpleNamespace(record=lambda: Event().record()),
        get_elapsed_time=lambda begin, end: begin.elapsed_time(end),
    )
    timed = device._Timed(SimpleNamespace(cuda=cuda, RawKernel=lambda *_: lambda *args: launches.append(args)))
    timed.wait(1e-3)
    assert launches == [((1,), (1,), (1_500_000,))]
    assert timed.between(timed.mark(), timed.mark()) == 2.5e-3


def test_pytorchs_stream_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    cycles: list[int] = []
    cuda = SimpleNamespace(Event=Event, synchronize=lambda: None, _sleep=cycles.append)
    monkeypatch.setattr(pytorch, "_torch", lambda: SimpleNamespace(cuda=cuda))
    timed = pytorch._Timed()
    timed.wait(1e-3)
    assert cycles == [int(pytorch.CYCLES * 1e-3)]
    assert timed.between(timed.mark(), timed.mark()) == 2.5e-3
