"""What only a GPU has, or is quick enough for. Run with ``pytest -m gpu``, as the tests with the fixture ``device``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minicnn as mc
from minicnn.backends.cuda import detection, seam
from minicnn.backends.cuda.uploading import AHEAD
from minicnn.core.device import device
from minicnn.core.dtypes import find as find_dtype
from minicnn.data import ArrayDataset, DataLoader, DeviceLoader
from minicnn.testing import parity
from minicnn.testing.cases.case import CASES, all_cases
from minicnn.testing.gradcheck import gradcheck
from tests.backends.cuda.test_products import OPERANDS

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


def laid_out(host: Any, dtype: str) -> Any:
    """On the device as it lies on the host: a view of an array in which it lies the same way."""
    cupy = device("cuda").backend.runtime.namespace
    whole = host
    while whole.base is not None:
        whole = whole.base
    start = (host.ctypes.data - whole.ctypes.data) // whole.itemsize if host.size else 0
    flat = cupy.asarray(whole.astype(find_dtype(dtype))).ravel()[start:]
    strides = [stride // whole.itemsize * flat.itemsize for stride in host.strides]
    return cupy.ndarray(host.shape, flat.dtype, flat.data, strides)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float16", 2e-3), ("bfloat16", 2e-2), ("float32", 5e-6), ("float64", 1e-13)]
)
@pytest.mark.parametrize("name", OPERANDS)
def test_stacks_of_matrices_are_multiplied_however_they_lie(name: str, dtype: str, tolerance: float) -> None:
    backend = device("cuda").backend
    a, b = (laid_out(x, dtype) for x in OPERANDS[name])
    assert [x.strides for x in (a, b)] == [tuple(s // 8 * a.itemsize for s in x.strides) for x in OPERANDS[name]]
    wide = [x.astype(find_dtype(dtype)).astype(np.float64) for x in OPERANDS[name]]
    found = backend.arrays.matmul(a, b)
    assert found.dtype == find_dtype(dtype)
    np.testing.assert_allclose(backend.to_host(found).astype(np.float64), wide[0] @ wide[1], atol=4 * tolerance, rtol=0)
    sums = backend.arrays.ones(found.shape, "float64" if dtype == "float64" else "float32")
    with seam.on(backend.runtime):
        assert seam.gemm(a, b, sums, add=True) is sums
    np.testing.assert_allclose(backend.to_host(sums), wide[0] @ wide[1] + 1, atol=4 * tolerance, rtol=0)


def test_stacks_are_rounded_to_tf32_where_cupys_products_are_but_for_exact_ones() -> None:
    pytest.importorskip("cupy")
    from cupy._core import _routines_linalg as linalg

    runtime, real = device("cuda").backend.runtime, np.dtype("float32")
    blas, before = runtime.namespace.cuda.cublas, linalg.get_compute_type(real)
    linalg.set_compute_type(real, linalg.COMPUTE_TYPE_TF32)
    try:
        assert runtime._sums(real, exact=False) == blas.CUBLAS_COMPUTE_32F_FAST_TF32
        assert runtime._sums(real, exact=True) == blas.CUBLAS_COMPUTE_32F
        a = device("cuda").backend.arrays.ones((3, 8, 8), real)
        np.testing.assert_array_equal(runtime.to_host(device("cuda").backend.arrays.matmul(a, a)), 8)
    finally:
        linalg.set_compute_type(real, before)


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


def test_page_locked_memory_is_not_written_while_it_is_read() -> None:
    up, host = device("cuda").backend.uploader(), np.zeros((64, 1 << 12), np.float32)
    batches = []
    for k in range(3 * AHEAD):
        host[...] = k
        batches += up.finish(up.start([host], up.mark()))
    up.close()
    assert [float(batch.max()) for batch in batches] == [float(batch.min()) for batch in batches]
    assert [float(batch.max()) for batch in batches] == list(range(3 * AHEAD))


@pytest.mark.parametrize("waits", [False, True])
def test_a_batch_is_whole_when_it_is_used_and_used_before_its_memory_is_taken_again(waits: bool) -> None:
    up, host = device("cuda").backend.uploader(), np.zeros((64, 1 << 12), np.float32)
    sums = []
    for k in range(3 * AHEAD):
        host[...] = k
        (batch,) = up.finish(up.start([host], up.mark()))
        sums.append(batch.max() + batch.min())
        del batch
        if waits:  # for the caller's own stream only
            assert float(sums[-1]) == 2.0 * k
    up.close()
    assert [float(total) for total in sums] == [2.0 * k for k in range(3 * AHEAD)]


def test_calls_are_timed_by_the_device() -> None:
    calls: list[Any] = []
    x, runtime = mc.ones(1 << 10).to("cuda"), device("cuda").backend.runtime
    took = runtime.clock(lambda: calls.append(x * 2.0), 40)
    assert len(calls) >= 40
    assert 0 < took < 5


def test_a_device_is_described() -> None:
    assert detection.missing_link() is None
    said = detection.description()
    assert "sm_" in said
    assert "CuPy 1" in said


def test_unused_memory_is_given_back() -> None:
    x = mc.ones(1 << 20).to("cuda")
    mc.cuda.synchronize()
    del x
    mc.cuda.empty_cache()
    stats = mc.cuda.memory_stats()
    assert stats["pooled"] - stats["used"] < 4 << 20


def test_the_checker_takes_a_pair_of_functions_of_cupys_arrays() -> None:
    cupy = pytest.importorskip("cupy")

    def times(x: Any, y: Any) -> Any:
        assert isinstance(x, cupy.ndarray) and isinstance(y, cupy.ndarray)
        return x * y

    inputs = [cupy.asarray(np.random.default_rng(k).standard_normal((3, 4))) for k in range(2)]
    assert gradcheck(times, inputs, backward=lambda gy, x, y: (gy * y, gy * x))
    assert gradcheck(times, inputs, backward=lambda gy, x, y: (gy * y, gy * y)).verdict == "FAIL"


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


def test_work_on_a_stream_begins_after_what_the_caller_launched_before() -> None:
    x = mc.ones(1 << 16).to("cuda") + 1.0
    with mc.cuda.stream() as entered:
        y = x * 2.0
        entered.synchronize()
        assert float(y.sum().item()) == 4.0 * (1 << 16)


def test_arrays_are_shared_with_cupy_through_dlpack() -> None:
    cupy = pytest.importorskip("cupy")
    source = cupy.arange(4, dtype=cupy.float32)
    x = mc.from_dlpack(source)
    source[0] = 7
    assert x.device == "cuda"
    assert x.tolist() == [7, 1, 2, 3]
