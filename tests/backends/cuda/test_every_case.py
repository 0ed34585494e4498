"""Every case of every op on the device: values and first gradients equal those of the CPU."""

from __future__ import annotations

import pytest

from minicnn.testing import parity
from minicnn.testing.cases.case import CASES, all_cases


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", [case.id for case in all_cases()])
def test_values_and_gradients_equal_the_cpus(device: str, name: str, dtype: str) -> None:
    found = parity.compare(CASES[name], dtype, device)
    assert found.equal, found.trouble
