"""bfloat16, which NumPy has from another package: a float to the engine like any other."""

from __future__ import annotations

import sys

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
    with pytest.raises(TypeError, match="pip install ml_dtypes"):
        _ = mc.bfloat16


def test_tensors_of_it_are_made_cast_printed_and_read() -> None:
    x = mc.tensor([1.0, 2.0**-9 + 1.0, -3.5], dtype="bfloat16")
    assert x.dtype == BFLOAT16
    assert x.tolist() == [1.0, 1.0, -3.5]
    assert x.numpy().dtype == BFLOAT16
    assert "bfloat16" in repr(x)
    assert x[2].item() == -3.5
    assert mc.tensor([1.0]).bfloat16().dtype == mc.tensor([1.0]).to(mc.bfloat16).dtype == BFLOAT16
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


def test_modules_go_to_it() -> None:
    layer = mc.nn.Linear(2, 3).to(mc.bfloat16)
    assert {p.dtype for p in layer.parameters()} == {BFLOAT16}
    assert mc.nn.Linear(2, 3).to("bfloat16").weight.dtype == BFLOAT16
