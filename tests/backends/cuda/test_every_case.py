"""Every case of every op on the device: values and first gradients equal those of the CPU."""

from __future__ import annotations

import pytest

import minicnn as mc
from minicnn.testing import parity
from minicnn.testing.cases.case import CASES, all_cases

HALVES = [pytest.param(half, marks=pytest.mark.slow) for half in parity.HALVES]


@pytest.mark.parametrize("dtype", ["float64", "float32", *HALVES])
@pytest.mark.parametrize("name", [case.id for case in all_cases()])
def test_values_and_gradients_equal_the_cpus(device: str, name: str, dtype: str) -> None:
    found = parity.compare(CASES[name], dtype, device)
    assert found.equal, found.trouble


def test_named_results_and_lists_of_tensors_go_to_the_device_and_back(device: str) -> None:
    x = mc.tensor([[1.0, 3.0, 2.0]])
    values, places = parity.moved(mc.ops.topk, device)(x, 2)
    assert (values.device, values.tolist(), places.tolist()) == ("cpu", [[3.0, 2.0]], [[1, 2]])
    joined = parity.moved(mc.ops.cat, device)([x, x], 0)
    assert (joined.device, joined.shape) == ("cpu", (2, 3))
