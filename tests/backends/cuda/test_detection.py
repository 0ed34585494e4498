"""What is missing of the chain from CuPy to cuBLAS is named; CuPy itself is a stand-in."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from minicnn.backends.cuda import detection


@pytest.mark.parametrize("version", ["13.6.0", "9.0.0b1"])
def test_an_old_cupy_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    old = ModuleType("cupy")
    old.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", old)
    said = detection.missing_link()
    install = "pip install 'cupy-cuda12x[ctk]>=14', or 'cupy-cuda13x[ctk]>=14' for CUDA 13"
    assert said == f"CuPy {version} is too old, 14 or later is needed; {install}"


def test_a_new_cupy_is_asked_for_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    new = ModuleType("cupy")
    new.__version__ = "14.2.0rc1"  # type: ignore[attr-defined]
    new.cuda = SimpleNamespace(  # type: ignore[attr-defined]
        runtime=SimpleNamespace(getDeviceCount=lambda: 0, CUDARuntimeError=RuntimeError)
    )
    monkeypatch.setitem(sys.modules, "cupy", new)
    assert "no CUDA device is visible" in str(detection.missing_link())
