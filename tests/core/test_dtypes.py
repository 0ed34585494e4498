"""bfloat16, which NumPy has from another package: a float to the engine like any other."""

from __future__ import annotations

import operator
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import minicnn as mc
from minicnn.core.dtypes import find, is_float
from minicnn.core.promotion import result_type

ml_dtypes = pytest.importorskip("ml_dtypes")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def test_what_is_a_float() -> None:
    assert all(map(is_float, map(np.dtype, ("float16", "float32", "float64"))))
    assert is_float(BFLOAT16)
    others = (*map(np.dtype, ("int8", "int64", "uint8", "bool", "S4", "V2", "complex64")), np.dtype(ml_dtypes.int4))
    assert not any(map(is_float, others))


def test_it_is_found_by_name_and_its_absence_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find("bfloat16") == mc.bfloat16 == BFLOAT16
    assert find("float32") == np.dtype("float32")
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ModuleNotFoundError, match="pip install ml_dtypes"):
        find("bfloat16")
    assert not hasattr(mc, "bfloat16")


def test_tensors_of_it_are_made_cast_printed_and_read() -> None:
    x = mc.tensor([1.0, 2.0**-9 + 1.0, -3.5], dtype="bfloat16")
    assert x.dtype == BFLOAT16
    assert x.tolist() == [1.0, 1.0, -3.5]
    assert x.numpy().dtype == BFLOAT16
    assert "bfloat16" in repr(x)
    assert x[2].item() == -3.5
    assert mc.tensor([1.0]).bfloat16().dtype == mc.tensor([1.0]).to(mc.bfloat16).dtype == BFLOAT16
    assert mc.tensor([1.0]).to("bfloat16").dtype == BFLOAT16
    assert mc.tensor([1.0]).to("float16", "cpu").dtype == np.float16
    assert mc.tensor(np.ones(2, BFLOAT16)).dtype == BFLOAT16


@pytest.mark.parametrize(
    ("other", "expected"),
    {"float16": "float32", "float32": "float32", "float64": "float64", "int64": "bfloat16", "bool": "bfloat16"}.items(),
)
def test_it_meets_other_dtypes_as_in_pytorch(other: str, expected: str) -> None:
    ours, theirs = np.ones(2, BFLOAT16), np.ones(2, other)
    assert result_type(ours, theirs).name == result_type(theirs, ours).name == expected


def test_gradients_of_a_cast_come_back_in_the_wider_dtype() -> None:
    x = mc.tensor([1.5, -2.0], requires_grad=True)
    (x.bfloat16() * x.bfloat16()).sum().backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [3.0, -4.0]


def test_kernels_of_the_cpu_refuse_it() -> None:
    x = mc.tensor(np.ones((1, 1, 4, 4)), dtype="bfloat16")
    with pytest.raises(TypeError, match="float32 or float64, got bfloat16"):
        mc.ops.avg_pool2d(x, 2)
    with pytest.raises(TypeError, match="input must be float32 or float64"):
        mc.ops.conv2d(x, x)


def test_numpy_does_not_export_it_and_the_remedy_is_named() -> None:
    with pytest.raises(BufferError, match=r"NumPy exports no bfloat16; export \.float\(\)"):
        np.from_dlpack(mc.tensor([1.0], dtype="bfloat16"))


def test_modules_go_to_it() -> None:
    layer = mc.nn.Linear(2, 3).to(mc.bfloat16)
    assert {p.dtype for p in layer.parameters()} == {BFLOAT16}
    assert mc.nn.Linear(2, 3).to("bfloat16").weight.dtype == BFLOAT16


MADE = (
    "zeros(2)", "ones(2)", "full((2,), 1.5)", "rand(2)", "randn(2)", "eye(2)", "arange(2)", "linspace(0, 1, 2)",
    "tensor(1.0)",
)  # fmt: skip


@pytest.mark.parametrize("made", MADE)
def test_it_is_known_by_name_before_anybody_imported_its_package(made: str) -> None:
    call = f"import minicnn as mc; print(mc.{made[:-1]}, dtype='bfloat16').dtype)"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=False)
    assert done.stdout == "bfloat16\n", done.stderr


NUMBERS: dict[str, Any] = {"int": 2, "float": 0.5, "bool": True, "numpy": np.float32(0.5), "0-d": np.array(0.5, "f4")}
OPERATORS = ("add", "sub", "mul", "truediv", "pow", "mod", "floordiv", "eq", "ne", "lt", "le", "gt", "ge")


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("number", NUMBERS)
def test_on_a_gpu_operators_give_the_dtype_that_float16_gives(device: str, name: str, number: str) -> None:
    function, other = getattr(operator, name), NUMBERS[number]
    if number == "0-d":
        other = mc.tensor(other, device=device)
    values = [0.5, 2.0, -3.0]
    half, brain = (function(mc.tensor(values, dtype=d, device=device), other) for d in ("float16", "bfloat16"))
    assert brain.dtype.name == {"float16": "bfloat16"}.get(half.dtype.name, half.dtype.name)
    np.testing.assert_allclose(brain.numpy().astype(float), half.numpy(), rtol=2**-8)


def test_numbers_are_rounded_to_it_before_they_are_compared(device: str) -> None:
    x = mc.tensor([0.1], dtype="bfloat16", device=device)
    assert (x == 0.1).tolist() == (x <= 0.1).tolist() == [True]
