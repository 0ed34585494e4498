"""The stamp says what a number was measured on, and survives JSON."""

import json
import platform
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from minicnn.backends.cuda import sources
from minicnn.bench import machine, stamp
from minicnn.bench.machine import processor


def test_the_stamp_names_machine_python_and_packages():
    before = datetime.now(UTC).date()
    found = stamp(("numpy", "no-such-package"))
    assert before <= date.fromisoformat(found["date"]) <= datetime.now(UTC).date()
    assert found["python"] == platform.python_version()
    assert found["packages"] == {"numpy": np.__version__, "no-such-package": None}
    assert found["cores"] >= 1
    assert found["processor"] == processor() != ""
    assert found["system"].startswith(platform.system())
    assert json.loads(json.dumps(found)) == found


def test_the_code_is_that_of_the_kernels_too(monkeypatch, tmp_path):
    before = machine.code()
    monkeypatch.setattr(sources, "folder", lambda: tmp_path)
    found = []
    for text in ("a", "b"):
        (tmp_path / "pooling.cuh").write_text(text)
        machine.code.cache_clear()
        found.append(machine.code())
    machine.code.cache_clear()
    assert len({before, *found}) == 3


def test_the_processor_is_read_from_the_systems_table(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda _: "processor\t: 0\nmodel name\t: Abacus 8: fast\nflags\t: fpu\n")
    assert processor() == "Abacus 8: fast"


def test_without_the_table_the_processor_is_what_python_knows(monkeypatch):
    def missing(_):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert processor() == platform.machine()
