"""What only a GPU has, or is quick enough for. Run with ``pytest -m gpu``, as the tests with the fixture ``device``."""

from __future__ import annotations

import numpy as np
import pytest

import minicnn as mc
from minicnn.core.device import device
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


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2e-3), ("float32", 5e-6), ("float64", 1e-13)])
def test_stacks_of_matrices_are_multiplied_however_they_lie(dtype: str, tolerance: float) -> None:
    xp, rng = device("cuda").backend.arrays, np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((6, 5, 4), (6, 4, 3)))
    wide = a.astype(np.float64), b.astype(np.float64)
    columns = [xp.array(np.ascontiguousarray(x.swapaxes(1, 2))).swapaxes(1, 2) for x in (a, b)]
    for left, right, expected in (
        (xp.array(a), xp.array(b), wide[0] @ wide[1]),
        (*columns, wide[0] @ wide[1]),
        (xp.array(a)[:1], xp.array(b), wide[0][:1] @ wide[1]),
        (xp.array(a), xp.array(b)[::2][0], wide[0] @ wide[1][0]),
        (xp.array(a)[:1], xp.array(b)[:1], wide[0][:1] @ wide[1][:1]),
    ):
        found = xp.matmul(left, right)
        assert found.dtype == dtype
        np.testing.assert_allclose(xp.asnumpy(found), expected, atol=4 * tolerance, rtol=0)


@pytest.mark.parametrize("name", ["im2col", "implicit_gemm", "pointwise", "winograd"])
def test_convolutions_of_halves_are_those_of_float32_rounded(name: str) -> None:
    k = 1 if name == "pointwise" else 3
    x, w = (mc.randn(*shape).half() for shape in ((4, 32, 17, 18), (48, 32, k, k)))
    results = []
    for place, algorithm in (("cuda", name), ("cpu", "naive")):
        leaves = [(a if place == "cuda" else a.float()).to(place).requires_grad_() for a in (x, w)]
        with mc.conv_algorithm(algorithm):
            y = mc.ops.conv2d(*leaves, padding=k // 2)
        y.float().sum().backward()
        results.append([a.detach().numpy().astype(np.float64) for a in (y, *(leaf.grad for leaf in leaves))])
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=5e-3 * np.abs(theirs).max(), rtol=0)


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
