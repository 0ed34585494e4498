"""What the tests of the kernels share: the device is the fixture ``device`` of tests/conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from minicnn.backends.cuda.convolution import implicit_gemm
from minicnn.core.device import device as find_device
from tests.backends.cuda.twins import Twins


@pytest.fixture(scope="session")
def backend(device: str) -> Any:
    return find_device(device).backend


@pytest.fixture(scope="session")
def twins(device: str) -> Twins:
    return Twins(device)


@pytest.fixture
def cuts_of_this_test() -> Iterator[None]:
    """Cuts that were kept before thresholds changed, or under changed ones, are forgotten."""
    implicit_gemm._cut.cache_clear()
    yield
    implicit_gemm._cut.cache_clear()


@pytest.fixture
def launched(backend: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the kernels that the test launches."""
    names, run = [], backend.runtime.run
    monkeypatch.setattr(backend.runtime, "run", lambda kernel, *how: (names.append(kernel.name), run(kernel, *how)))
    return names
