"""What the tests of the kernels share: the device is the fixture ``device`` of tests/conftest.py."""

from __future__ import annotations

from typing import Any

import pytest

from minicnn.core.device import device as find_device
from tests.backends.cuda.twins import Twins


@pytest.fixture(scope="session")
def backend(device: str) -> Any:
    return find_device(device).backend


@pytest.fixture(scope="session")
def twins(device: str) -> Twins:
    return Twins(device)
