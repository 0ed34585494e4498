"""What the GPU's namespace does otherwise than CuPy, run on the emulated device: NumPy's numbers, bit for bit."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from minicnn.backends.cuda import Room
from minicnn.backends.cuda.emulator import compiler
from minicnn.core.dtypes import find as find_dtype
from tests.backends.cuda.twins import emulated

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C++20 compiler")
EDGES = [0.0, -0.0, 1.0, -1.0, 0.1, -0.1, 0.3, 2.5, -7.0, 1e-3, 1e5, 60000.0, np.inf, -np.inf, np.nan]


def same(name: str, a: Any, b: Any) -> None:
    """The namespace's function equals NumPy's, in dtype and in the sign of zeros too."""
    xp = emulated().arrays
    given = [xp.array(x) if isinstance(x, np.ndarray) else x for x in (a, b)]
    with np.errstate(all="ignore"):
        found, expected = emulated().to_host(getattr(xp, name)(*given)), getattr(np, name)(a, b)
    np.testing.assert_array_equal(found, expected, strict=True)
    if expected.dtype.kind == "f":
        number = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(expected[number]))


@pytest.mark.parametrize("name", ["remainder", "floor_divide"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_division_with_remainder_is_numpys(name: str, dtype: str) -> None:
    with np.errstate(over="ignore"):
        edges = np.array(EDGES).astype(dtype)
    same(name, edges[:, None], edges)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((200, 50)).astype(dtype) for _ in range(2))
    same(name, a, b)
    same(name, a * 100, np.ldexp(np.rint(b * 8), -3).astype(dtype))  # many that divide without rest


@pytest.mark.parametrize("name", ["remainder", "floor_divide"])
def test_division_with_remainder_takes_numbers_and_integers(name: str) -> None:
    a, whole = np.array([1.0, -1.0, 7.5, 0.0], np.float32), np.array([7, -7, 3], np.int64)
    for b in (0.1, -3, 2.5, np.inf):
        same(name, a, b)
    same(name, 7.5, a)
    same(name, whole, 4)
    same(name, whole, 0.5)
    same(name, whole, np.array([2, 2, -2]))


EQUATIONS = [
    "ij,jk->ik", "ij,kj->ik", "ji,jk->ki", "bij,bjk->bik", "bij,jk->kbi", "bhqd,bhkd->bhqk", "ijk,kjl->il", "ij,j->i",
    "j,jk->k", "abcd,dbe->eac", "bij,bij->b", "ij,ij->ij", "i,j->ij", "ij,ij->",
]  # fmt: skip


@pytest.mark.parametrize("equation", EQUATIONS)
def test_contractions_of_two_operands_are_numpys(equation: str) -> None:
    sizes = {letter: 2 + i for i, letter in enumerate("bhijkqdlace")}
    terms, rng = equation.partition("->")[0].split(","), np.random.default_rng(0)
    given = [rng.standard_normal([sizes[i] for i in term]) for term in terms]
    for dtype, tolerance in (("float64", 1e-13), ("float32", 1e-5), ("float16", 3e-2)):
        operands = [x.astype(dtype) for x in given]
        xp = emulated().arrays
        found = emulated().to_host(xp.einsum(equation, *map(xp.array, operands), optimize=True))
        expected = np.einsum(equation, *[x.astype(np.float64) for x in operands])
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)
        assert found.shape == expected.shape


def test_contractions_of_halves_are_summed_in_float32() -> None:
    ones = emulated().arrays.ones((3, 4097), "float16")
    found = emulated().to_host(emulated().arrays.einsum("ij,kj->ik", ones, ones, optimize=True))
    np.testing.assert_array_equal(found, np.full((3, 3), 4096, np.float16))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_half_types_are_added_in_float32(axis: int | None, name: str) -> None:
    xp, real = emulated().arrays, find_dtype(name)
    ones = np.ones((4097, 2) if axis != 1 else (2, 4097), np.float32)
    found = emulated().to_host(xp.sum(xp.array(ones.astype(real)), axis=axis, keepdims=True))
    np.testing.assert_array_equal(found, ones.sum(axis, keepdims=True).astype(real), strict=True)
    running = emulated().to_host(xp.cumsum(xp.array(ones.astype(real)), axis=axis))
    np.testing.assert_array_equal(running, ones.cumsum(axis).astype(real), strict=True)


def test_a_function_that_names_no_module_is_taken_as_it_is() -> None:
    module = ModuleType("foreign")
    module.compiled = function = lambda: None  # type: ignore[attr-defined]
    function.__module__ = None  # type: ignore[assignment]  # as of some that are compiled
    assert Room(module, emulated().runtime).compiled is function
