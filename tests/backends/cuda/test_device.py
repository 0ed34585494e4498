"""CuPy's side of the seam, with stand-ins that record what CuPy is asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minicnn.backends.cuda import device, sources


class RawModule:
    """Hands out functions that note their launches."""

    made: list[RawModule]

    def __init__(self, *, code: str, options: tuple[str, ...]) -> None:
        self.code, self.options = code, options
        self.asked: list[str] = []
        self.launches: list[tuple[Any, ...]] = []
        RawModule.made.append(self)

    def get_function(self, name: str) -> Any:
        self.asked.append(name)
        return lambda grid, block, args: self.launches.append((name, grid, block, args))


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RawModule]]:
    RawModule.made = []
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(RawModule=RawModule))
    for function in (device.load, device.compiled):
        function.cache_clear()
    yield RawModule.made
    for function in (device.load, device.compiled):
        function.cache_clear()


def test_a_kernel_is_sought_once_for_each_element_type(modules: list[RawModule]) -> None:
    runtime = device.CupyRuntime.__new__(device.CupyRuntime)
    kernel, other = sources.kernel("convolution.sum_many_parts"), sources.kernel("convolution.sum_parts")
    for _ in range(3):
        runtime.run(kernel, np.dtype("float32"), (2, 1, 1), (256, 1, 1), [None, np.int32(4)])
        runtime.run(other, np.dtype("float32"), (1, 1, 1), (256, 1, 1), [])
        runtime.run(kernel, np.dtype("float64"), (1, 1, 1), (256, 1, 1), [])
    assert [module.asked for module in modules] == [["sum_many_parts", "sum_parts"], ["sum_many_parts"]]
    assert ["#define REAL float\n" in modules[0].code, "#define REAL double\n" in modules[1].code] == [True, True]
    assert modules[0].launches[::2] == [("sum_many_parts", (2, 1, 1), (256, 1, 1), (np.uintp(0), np.int32(4)))] * 3


def test_loaders_of_one_stream_share_a_stream_for_copies_and_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupyx", SimpleNamespace(empty_pinned=None))
    callers = iter([7, 7, 8, 7])
    cuda = SimpleNamespace(
        Stream=lambda non_blocking: object(), get_current_stream=lambda: SimpleNamespace(ptr=next(callers))
    )
    runtime = device.CupyRuntime.__new__(device.CupyRuntime)
    runtime.namespace, runtime._uploads = SimpleNamespace(cuda=cuda), {}
    first, same, other, again = (runtime.uploader()._stream for _ in range(4))
    assert first is same is again
    assert other is not first
