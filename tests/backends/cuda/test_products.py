"""Products of batches: NumPy's values however operands lie, and the very arguments that cuBLAS is given for them."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minicnn.backends.convolution import Problem
from minicnn.backends.cuda import seam
from minicnn.backends.cuda.device import CupyRuntime
from minicnn.backends.cuda.emulator import compiler
from minicnn.backends.cuda.products import products
from tests.backends.cuda.twins import emulated

needs_compiler = pytest.mark.skipif(compiler() is None, reason="needs a C++20 compiler")


def drawn(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


OPERANDS: dict[str, tuple[Any, Any]] = {
    "two matrices": (drawn(5, 4), drawn(4, 3)),
    "a batch": (drawn(6, 5, 4), drawn(6, 4, 3)),
    "left by columns": (drawn(6, 4, 5).swapaxes(1, 2), drawn(6, 4, 3)),
    "right by columns": (drawn(6, 5, 4), drawn(6, 3, 4).swapaxes(1, 2)),
    "both by columns": (drawn(6, 4, 5).swapaxes(1, 2), drawn(6, 3, 4).swapaxes(1, 2)),
    "left shared": (drawn(5, 4), drawn(6, 4, 3)),
    "right shared": (drawn(6, 5, 4), drawn(1, 4, 3)),
    "left shared by the outer axis": (drawn(3, 5, 4), drawn(2, 3, 4, 6)),
    "left shared by the inner axis": (drawn(2, 1, 5, 4), drawn(2, 3, 4, 6)),
    "each shared by one axis": (drawn(2, 1, 5, 4), drawn(1, 3, 4, 6)),
    "leading axes exchanged": (drawn(3, 2, 5, 4).transpose(1, 0, 2, 3), drawn(2, 3, 4, 6)),
    "every other row": (drawn(6, 10, 4)[:, ::2], drawn(6, 4, 3)),
    "every other column": (drawn(6, 5, 8)[:, :, ::2], drawn(6, 4, 3)),
    "every other matrix": (drawn(12, 5, 4)[::2], drawn(6, 4, 3)),
    "backwards": (drawn(6, 5, 4)[::-1, ::-1], drawn(6, 4, 3)[:, :, ::-1]),
    "broadcast rows": (np.broadcast_to(drawn(6, 1, 4), (6, 5, 4)), drawn(6, 4, 3)),
    "a column and a row": (drawn(6, 5, 4)[:, :, 1:2], drawn(6, 1, 3)),
    "a row and a column": (drawn(6, 4, 2)[:, :, :1].swapaxes(1, 2), drawn(6, 4, 7)[:, :, 2:3]),
    "one matrix of a batch": (drawn(1, 5, 4), drawn(1, 4, 3)),
    "no batch": (drawn(0, 5, 4), drawn(4, 3)),
    "no rows": (drawn(2, 0, 4), drawn(2, 4, 3)),
    "nothing to sum": (drawn(2, 5, 0), drawn(2, 0, 3)),
}


def laid_out(host: Any, dtype: Any) -> Any:
    """On the device as it lies on the host: a view of an array in which it lies the same way."""
    if 0 in host.shape:
        return emulated().arrays.array(host.astype(dtype))
    whole = host
    while whole.base is not None:
        whole = whole.base
    device, start = emulated().arrays.array(whole.astype(dtype)), host.ctypes.data - whole.ctypes.data
    flat = device.host.ravel()[start // whole.itemsize :]
    strides = [stride // whole.itemsize * flat.itemsize for stride in host.strides]
    return type(device)(np.lib.stride_tricks.as_strided(flat, host.shape, strides), device)


def gemm(*args: Any, **options: Any) -> Any:
    with seam.on(emulated().runtime):
        return seam.gemm(*args, **options)


@needs_compiler
@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2e-3), ("float32", 2e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("name", OPERANDS)
def test_products_are_numpys_however_operands_lie(name: str, dtype: str, tolerance: float) -> None:
    a, b = (laid_out(x, dtype) for x in OPERANDS[name])
    found = emulated().to_host(gemm(a, b))
    expected = a.host.astype(np.float64) @ b.host.astype(np.float64)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=tolerance * 4, rtol=0)
    assert found.shape == expected.shape
    if found.ndim > 2:
        np.testing.assert_array_equal(emulated().to_host(emulated().arrays.matmul(a, b)), found)


@needs_compiler
def test_float16_is_summed_in_float32_and_rounded_once() -> None:
    ones = emulated().arrays.ones((2, 1, 4097), "float16")
    found = emulated().to_host(gemm(ones, ones.swapaxes(1, 2)))
    np.testing.assert_array_equal(found, np.full((2, 1, 1), 4096, np.float16))  # in float16 it would stop at 2048


@needs_compiler
def test_a_product_is_added_to_sums_that_are_wider() -> None:
    xp = emulated().arrays
    a, b = (xp.array(drawn(*shape).astype(np.float16)) for shape in ((2, 5, 4), (2, 4, 3)))
    sums = xp.array(drawn(2, 5, 3).astype(np.float32))
    expected = sums.host + a.host.astype(np.float32) @ b.host.astype(np.float32)
    assert gemm(a, b, sums, add=True) is sums
    np.testing.assert_allclose(sums.host, expected, atol=1e-6)
    nothing = xp.zeros((2, 5, 0), "float16"), xp.zeros((2, 0, 3), "float16")
    np.testing.assert_allclose(gemm(*nothing, sums, add=True).host, expected, atol=1e-6)
    np.testing.assert_array_equal(gemm(*nothing, sums).host, 0)


@needs_compiler
@pytest.mark.parametrize("name", OPERANDS)
def test_one_call_serves_a_batch_and_copies_nothing_where_strides_allow(name: str) -> None:
    a, b = (laid_out(x, "float32") for x in OPERANDS[name])
    expected = a.host @ b.host
    if not expected.size or not a.size:
        return
    calls = list(products(a, b, emulated().arrays.empty(expected.shape, "float32"), False, False))
    loops = {"left shared by the inner axis": 2, "each shared by one axis": 2, "leading axes exchanged": 2}
    loops["left shared by the outer axis"] = 2
    assert len(calls) == loops.get(name, 1)
    copied = {"every other column": 1, "backwards": 2, "broadcast rows": 1}.get(name, 0)
    assert (calls[0].a.array is not b) + (calls[0].b.array is not a) == copied


@needs_compiler
def test_what_does_not_fit_is_refused() -> None:
    xp = emulated().arrays
    a, b = xp.zeros((2, 5, 4), "float32"), xp.zeros((2, 4, 3), "float32")
    with pytest.raises(TypeError, match="gemm: takes arrays of the device, got EmulatedArray and ndarray"):
        gemm(a, b.host)
    with pytest.raises(TypeError, match="gemm: operands must share a float dtype, got float32 and float64"):
        gemm(a, b.astype("float64"))
    with pytest.raises(TypeError, match="share a float dtype, got int64 and int64"):
        gemm(a.astype("int64"), b.astype("int64"))
    with pytest.raises(ValueError, match=r"expected \(..., m, k\) and \(..., k, n\), got \(2, 5, 4\) and \(2, 5, 4\)"):
        gemm(a, a)
    with pytest.raises(ValueError, match="broadcast"):
        gemm(a, xp.zeros((3, 4, 3), "float32"))
    for out in (xp.zeros((2, 3, 5), "float32").swapaxes(1, 2), xp.zeros((5, 3), "float32"), xp.zeros((2, 5, 3))):
        with pytest.raises(ValueError, match=r"out must be contiguous, float32 \(2, 5, 3\)"):
            gemm(a, b, out)


class Cublas:
    """Records calls; takes what CuPy 14's functions take, in their order."""

    CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_GEMM_DEFAULT = 0, 1, -1
    CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32, CUBLAS_COMPUTE_64F = 68, 77, 70

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def gemmEx(
        self, handle, transa, transb, m, n, k, alpha, A, Atype, lda, B, Btype, ldb, beta, C, Ctype, ldc,
        computeType, algo,
    ) -> None:  # fmt: skip
        self.record(locals())

    def gemmStridedBatchedEx(
        self, handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB, beta,
        C, Ctype, ldc, strideC, batchCount, computeType, algo,
    ) -> None:  # fmt: skip
        self.record(locals())

    def record(self, given: dict[str, Any]) -> None:
        scalar = ctypes.c_double if given["computeType"] == self.CUBLAS_COMPUTE_64F else ctypes.c_float
        factors = {name: scalar.from_address(given[name]).value for name in ("alpha", "beta")}
        self.calls.append({name: value for name, value in given.items() if name != "self"} | factors)


class DeviceArray:
    """A shape and strides at an address."""

    def __init__(self, address: int, host: Any) -> None:
        self.data, self.host = SimpleNamespace(ptr=address), host

    def __getattr__(self, name: str) -> Any:
        return getattr(self.host, name)


@pytest.fixture
def cublas(monkeypatch: pytest.MonkeyPatch) -> Cublas:
    recorder = Cublas()
    rounded = SimpleNamespace(get_compute_type=lambda dtype: 7 if recorder.tf32 else 1, COMPUTE_TYPE_TF32=7)
    recorder.tf32 = False  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "cupy._core", SimpleNamespace(_routines_linalg=rounded))
    return recorder


def multiplied(
    cublas: Cublas, a: Any, b: Any, out: Any, add: bool = False, exact: bool = False
) -> list[dict[str, Any]]:
    """The calls for host arrays that lie at 1000, 2000 and 3000 on the device."""
    runtime = CupyRuntime.__new__(CupyRuntime)
    types = SimpleNamespace(CUDA_R_16F=2, CUDA_R_32F=0, CUDA_R_64F=1)
    runtime.namespace = SimpleNamespace(
        cuda=SimpleNamespace(cublas=cublas, runtime=types, get_cublas_handle=lambda: "handle")
    )
    for each in products(DeviceArray(1000, a), DeviceArray(2000, b), DeviceArray(3000, out), add, exact):
        runtime.multiply(each)
    return cublas.calls


def test_cublas_gets_the_operands_exchanged_and_a_stride_of_zero_for_shared_weights(cublas: Cublas) -> None:
    w, x, y = (np.zeros(shape, np.float16) for shape in ((7, 5), (4, 5, 9), (4, 7, 9)))
    assert multiplied(cublas, w, x, y) == [
        {
            "handle": "handle", "transa": 0, "transb": 0, "m": 9, "n": 7, "k": 5, "alpha": 1.0,
            "A": 2000, "Atype": 2, "lda": 9, "strideA": 45, "B": 1000, "Btype": 2, "ldb": 5, "strideB": 0,
            "beta": 0.0, "C": 3000, "Ctype": 2, "ldc": 9, "strideC": 63,
            "batchCount": 4, "computeType": 68, "algo": -1,
        }
    ]  # fmt: skip


def test_a_single_product_adds_transposed_halves_to_wider_sums(cublas: Cublas) -> None:
    a, b = np.zeros((1, 5, 7), np.float16).swapaxes(1, 2), np.zeros((1, 9, 5), np.float16).swapaxes(1, 2)
    assert multiplied(cublas, a, b, np.zeros((1, 7, 9), np.float32), add=True) == [
        {
            "handle": "handle", "transa": 1, "transb": 1, "m": 9, "n": 7, "k": 5, "alpha": 1.0,
            "A": 2000, "Atype": 2, "lda": 5, "B": 1000, "Btype": 2, "ldb": 7,
            "beta": 1.0, "C": 3000, "Ctype": 0, "ldc": 9, "computeType": 68, "algo": -1,
        }
    ]  # fmt: skip


def test_groups_with_weights_of_their_own_are_calls_that_begin_further_on(cublas: Cublas) -> None:
    w, x, y = (np.zeros(shape, np.float64) for shape in ((2, 7, 5), (4, 2, 5, 9), (4, 2, 7, 9)))
    calls = multiplied(cublas, w, x, y)
    assert [(call["A"], call["B"], call["C"]) for call in calls] == [
        (2000, 1000, 3000),
        (2000 + 45 * 8, 1000 + 35 * 8, 3000 + 63 * 8),
    ]
    for call in calls:
        assert (call["strideA"], call["strideB"], call["strideC"], call["batchCount"]) == (90, 0, 126, 4)


@pytest.mark.parametrize(
    ("dtype", "asked", "how"),
    [("float16", True, 68), ("float32", False, 68), ("float32", True, 77), ("float64", True, 70)],
)
def test_float32_is_rounded_where_cupys_own_products_are(cublas: Cublas, dtype: str, asked: bool, how: int) -> None:
    cublas.tf32 = asked  # type: ignore[attr-defined]
    arrays = [np.zeros(shape, dtype) for shape in ((3, 2, 2), (3, 2, 2), (3, 2, 2))]
    assert [call["computeType"] for call in multiplied(cublas, *arrays)] == [how]


def test_what_shall_be_exact_is_never_rounded(cublas: Cublas) -> None:
    cublas.tf32 = True  # type: ignore[attr-defined]
    arrays = [np.zeros((3, 2, 2), np.float32) for _ in range(3)]
    assert [call["computeType"] for call in multiplied(cublas, *arrays, exact=True)] == [68]


@needs_compiler
@pytest.mark.parametrize(("name", "exact"), [("winograd", True), ("winograd_f2", False), ("im2col", False)])
def test_transforms_that_amplify_rounding_ask_for_exact_products(
    name: str, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, asked = emulated(), set()
    multiply = backend.runtime.multiply
    monkeypatch.setattr(backend.runtime, "multiply", lambda each: (asked.add(each.exact), multiply(each)))
    p = Problem(1, 1, 2, 2, 5, 5, 5, 5, 3, 3, 1, 1, 1, 1)
    x, w = (backend.arrays.ones(shape, "float32") for shape in (p.x_shape, p.w_shape))
    room = backend.convolution
    for result in (room.forward(x, w, None, p, name), room.input_grad(x, w, p, name), room.weight_grad(x, x, p, name)):
        assert result.dtype == np.float32
    assert asked == {exact}
