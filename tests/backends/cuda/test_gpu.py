"""What only a GPU has, or is quick enough for. Run with ``pytest -m gpu``, as the tests with the fixture ``device``."""

from __future__ import annotations

import numpy as np
import pytest

import minicnn as mc
from minicnn.data import ArrayDataset, DataLoader, DeviceLoader
from minicnn.testing import parity
from minicnn.testing.cases.case import CASES, all_cases
from minicnn.testing.gradcheck import gradcheck

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mc.cuda.is_available(), reason=str(mc.cuda.why_not()))]


@pytest.mark.parametrize("name", [case.id for case in all_cases() if case.differentiable and not case.writes])
def test_gradients_agree_with_numerical_ones_to_the_declared_order(name: str) -> None:
    case = CASES[name]
    sample = case.sample(0)
    report = gradcheck(
        parity.moved(case.function, "cuda"), sample.args, kwargs=sample.kwargs, order=case.order, seed=0,
        constants=case.constants, flat=bool(case.flat),
    )  # fmt: skip
    report.require()


def test_batches_are_copied_ahead_and_whole() -> None:
    images = np.random.default_rng(0).standard_normal((37, 3, 16, 16)).astype(np.float32)
    batches = [b for (b,) in DeviceLoader(DataLoader(ArrayDataset(images), batch_size=4), "cuda")]
    assert all(b.device == "cuda" for b in batches)
    np.testing.assert_array_equal(np.concatenate([b.numpy() for b in batches]), images)


def test_the_pool_reports_what_lives() -> None:
    before = mc.cuda.memory_stats()["used"]
    x = mc.zeros(1 << 20).to("cuda")
    mc.cuda.synchronize()
    assert mc.cuda.memory_stats()["used"] - before >= 4 << 20
    del x


def test_work_on_a_stream_is_ordered_with_that_of_the_caller() -> None:
    x = mc.ones(1 << 16).to("cuda")
    with mc.cuda.stream():
        y = x * 2.0
    assert float((y + 1.0).sum().item()) == 3.0 * (1 << 16)


def test_arrays_are_shared_with_cupy_through_dlpack() -> None:
    cupy = pytest.importorskip("cupy")
    source = cupy.arange(4, dtype=cupy.float32)
    x = mc.from_dlpack(source)
    source[0] = 7
    assert x.device == "cuda"
    assert x.tolist() == [7, 1, 2, 3]
