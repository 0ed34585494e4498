"""A process knows what it holds, its peak, and what it touched for the first time."""

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from minicnn.bench import process_memory, roofline
from minicnn.bench.conv_works import _peak
from minicnn.bench.desk import WorkError

MIB = 2**20
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux
def test_pages_are_counted_when_they_are_first_touched():
    with mmap.mmap(-1, 64 * MIB) as pages:  # not the C library's, which may have some in store
        before = process_memory.page_faults()
        for place in range(0, 64 * MIB, 4096):
            pages[place] = 1
        touched = process_memory.page_faults() - before
        for place in range(0, 64 * MIB, 4096):
            pages[place] = 2
        again = process_memory.page_faults() - before - touched
    assert touched >= 32 > again  # as many huge pages, or many more small ones


@linux
def test_the_peak_begins_anew():
    if not process_memory.forget_peak():
        pytest.skip("this system does not let a process forget its peak")
    before = process_memory.resident()
    with mmap.mmap(-1, 256 * MIB) as pages:  # not the C library's, which may have some in store
        pages.write(bytes(1) * MIB * 256)
    assert process_memory.peak() - before >= 200 * MIB
    process_memory.give_back()
    assert process_memory.forget_peak()
    assert process_memory.peak() - before < 200 * MIB


@linux
def test_the_rise_of_a_call_is_what_it_needs():
    found = _peak(lambda: np.ones(300 * MIB, np.uint8))
    assert found is None or 250 * MIB <= found <= 400 * MIB


def test_a_system_that_does_not_tell_is_no_error(monkeypatch):
    def missing(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(Path, "write_text", missing)
    assert process_memory.resident() is None
    assert process_memory.peak() is None
    assert not process_memory.forget_peak()
    assert _peak(lambda: None) is None


def test_the_roof_is_amount_over_the_best_of_the_rounds():
    times = {"gemm": iter([9.0, 2.0, 1.0, 4.0]), "copy": iter([9.0, 0.5, 0.25, 1.0])}

    class FakeDesk:
        def ask(self, do, **request):
            return {"amount": 100}

        def runner(self, key):
            return lambda count: next(times[key])

    assert roofline.measure(FakeDesk(), "float32", rounds=3) == {"flops": 100.0, "bytes": 400.0}


def test_a_roof_is_the_better_of_two_and_may_be_absent(monkeypatch):
    found = iter([{"flops": 1.0, "bytes": 5.0}, {"flops": 2.0, "bytes": 4.0}])
    monkeypatch.setattr(roofline, "measure", lambda desk, dtype: next(found))
    first = roofline.best({}, None, "float32")
    assert roofline.best(first, None, "float32") == {"flops": 2.0, "bytes": 5.0}

    def fails(desk, dtype):
        raise WorkError("did not answer")

    monkeypatch.setattr(roofline, "measure", fails)
    assert roofline.best({}, None, "float32") == {}
    assert roofline.best(first, None, "float32") == first


def test_the_works_of_the_roof_do_what_they_say(monkeypatch):
    monkeypatch.setattr(roofline, "SIDE", 8)
    monkeypatch.setattr(roofline, "COPIED", 100)
    prepare = roofline.provide("machine", 2)["prepare"]
    gemm, copy = prepare("gemm", "float32"), prepare("copy", "float32")
    assert gemm.facts == {"amount": 1024}
    assert copy.facts == {"amount": 1600}  # two threads read and write 100 bytes four times
    gemm.call()
    copy.call()
