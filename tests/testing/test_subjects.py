"""One call checks them all: NumPy and CuPy pairs, torch functions and modules, autograd's functions, our modules."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

from minicnn.testing import gradcheck

A = np.random.default_rng(5).standard_normal((3, 4))
B = np.random.default_rng(6).standard_normal((4, 2))


# -- plain NumPy pairs ----------------------------------------------------------------------------------------------


def affine(x, w, bias=None):
    return x @ w if bias is None else x @ w + bias


def affine_backward(gy, x, w, bias=None):
    return gy @ w.T, x.T @ gy, None if bias is None else gy.sum(0)


def test_none_for_an_absent_input():
    assert gradcheck(affine, [A, B, None], backward=affine_backward)
    assert gradcheck(affine, [A, B, np.zeros(2)], backward=affine_backward)


def test_a_list_of_arrays_as_one_input():
    def stack(arrays, scale):
        return np.concatenate(arrays) * scale

    def backward(gy, arrays, scale):
        cuts = np.cumsum([len(a) for a in arrays])[:-1]
        return [g * scale for g in np.split(gy, cuts)], (gy * np.concatenate(arrays)).sum()

    assert gradcheck(stack, [[A, A[:1]], np.array(2.0)], backward=backward)
    wrong = gradcheck(stack, [[A, A[:1]], np.array(2.0)], backward=lambda gy, a, s: ([gy[:3], gy[3:]], None))
    assert {f.where.partition(" ")[0] for f in wrong.findings} and wrong.verdict == "FAIL"


def test_a_list_as_the_only_input():
    def backward(gy, arrays):
        return [gy * arrays[1], gy * arrays[0]]

    assert gradcheck(lambda arrays: arrays[0] * arrays[1], [[A, 2 * A]], backward=backward)


def test_integers_get_none_and_nothing_else():
    def backward(gy, x, index):
        gx = np.zeros_like(x)
        np.add.at(gx, index, gy)
        return gx, None

    index = np.array([2, 0, 2])
    assert gradcheck(lambda x, i: x[i], [A, index], backward=backward)
    wrong = gradcheck(lambda x, i: x[i], [A, index], backward=lambda gy, x, i: (backward(gy, x, i)[0], np.zeros(3)))
    assert wrong.verdict == "FAIL" and wrong.causes[0] == "gradient-of-integer"


def test_gy_is_a_tuple_where_f_returns_one():
    def f(x):
        return np.sin(x), x.sum(1), x.argmax(1)

    def backward(gy, x):
        assert isinstance(gy, tuple) and gy[2] is None  # an output that is not float has no cotangent
        return gy[0] * np.cos(x) + gy[1][:, None]

    assert gradcheck(f, [A], backward=backward)
    assert gradcheck(f, [A], backward=lambda gy, x: gy[0] * np.cos(x)).verdict == "FAIL"


def test_keyword_arguments_reach_both():
    def f(x, *, power, shift):
        return x**power + shift

    report = gradcheck(
        f, [A], backward=lambda gy, x, *, power, shift: gy * power * x ** (power - 1),
        kwargs={"power": 3, "shift": np.ones(4)},
    )
    assert report, str(report)


def test_a_python_float_is_differentiated_where_the_rule_does():
    def f(x, slope):
        return x * slope

    assert gradcheck(f, [A, 0.5], backward=lambda gy, x, s: (gy * s, (gy * x).sum()))
    assert gradcheck(f, [A, 0.5], backward=lambda gy, x, s: (gy * s, None))  # an option
    assert gradcheck(f, [A, 0.5], backward=lambda gy, x, s: (gy * s, gy.sum())).verdict == "FAIL"


def test_0d_inputs_and_outputs():
    report = gradcheck(
        lambda x, c: (x * c).sum(), [A, np.array(0.3)],
        backward=lambda gy, x, c: (gy * c * np.ones_like(x), gy * x.sum()),
    )
    assert report, str(report)


def test_float32_is_promoted_and_said():
    report = gradcheck(np.sin, [A.astype(np.float32)], backward=lambda gy, x: gy * np.cos(x))
    assert report and any("float32" in note for note in report.notes)


# -- what is refused ------------------------------------------------------------------------------------------------


def test_plain_arrays_without_a_rule_are_refused():
    with pytest.raises(TypeError, match="backward="):
        gradcheck(lambda x: np.zeros(3), [A])


def test_a_rule_on_plain_arrays_has_order_1_only():
    with pytest.raises(ValueError, match="order 2"):
        gradcheck(np.sin, [A], backward=lambda gy, x: gy * np.cos(x), order=2)


def test_complex_inputs_are_refused():
    with pytest.raises(ValueError, match="complex"):
        gradcheck(np.sin, [A + 1j], backward=lambda gy, x: gy * np.cos(x))


def test_complex_outputs_are_refused():
    with pytest.raises(ValueError, match="complex"):
        gradcheck(np.fft.fft, [A], backward=lambda gy, x: gy)


# -- CuPy, by a stand-in: no device is needed to see which arrays f and its rule are given ----------------------------


class OnDevice:
    """As much of a cupy.ndarray as a checker sees: NumPy will not take it, ``.get()`` copies it to the host."""

    __array_ufunc__ = None

    def __init__(self, array):
        self._array = np.array(array)

    @property
    def __cuda_array_interface__(self):
        return {"shape": self._array.shape, "typestr": self._array.dtype.str, "data": (0, False), "version": 3}

    def __array__(self, *_, **__):
        raise TypeError("implicit conversion to a NumPy array is not allowed; use .get()")

    def get(self):
        return self._array.copy()

    def __getitem__(self, key):
        return OnDevice(self._array[key])

    def __mul__(self, other):
        return OnDevice(self._array * other._array)

    @property
    def dtype(self):
        return self._array.dtype

    @property
    def shape(self):
        return self._array.shape


@pytest.fixture
def cupy(monkeypatch):
    module = types.ModuleType("cupy")
    module.asarray = OnDevice
    module.ndarray = OnDevice
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


@pytest.mark.usefixtures("cupy")
def test_cupy_pairs_get_device_arrays():
    def times(x, y):
        assert isinstance(x, OnDevice) and isinstance(y, OnDevice)
        return x * y

    def backward(gy, x, y):
        assert isinstance(gy, OnDevice) and isinstance(x, OnDevice)
        return gy * y, gy * x

    inputs = [OnDevice(A), OnDevice(2 * A + 1)]
    assert gradcheck(times, inputs, backward=backward)
    assert gradcheck(times, inputs, backward=lambda gy, x, y: (gy * y, gy * y)).verdict == "FAIL"


# -- torch ----------------------------------------------------------------------------------------------------------


def torch_cube(factor=3.0, *, once=False):
    """x³ as a torch.autograd.Function; the gradient's factor, and whether it forgets that it depends on x."""
    import torch

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, gy):
            (x,) = ctx.saved_tensors
            return gy * factor * (x.detach() if once else x) ** 2

    return Cube.apply


@pytest.mark.torch
@pytest.mark.parametrize("order", [1, 2])
def test_torch_functions(order):
    torch = pytest.importorskip("torch")
    assert gradcheck(torch_cube(), [torch.from_numpy(A)], order=order)
    assert gradcheck(torch_cube(), [A], order=order)  # an array will do once torch is imported
    assert gradcheck(torch_cube(2.0), [torch.from_numpy(A)], order=order).verdict == "FAIL"


@pytest.mark.torch
def test_a_torch_function_that_is_wrong_at_order_2_only():
    torch = pytest.importorskip("torch")
    forgetful = torch_cube(once=True)
    assert gradcheck(forgetful, [torch.from_numpy(A)])
    report = gradcheck(forgetful, [torch.from_numpy(A)], order=2)
    assert report.verdict == "FAIL" and {f.order for f in report.findings} == {2}, str(report)


@pytest.mark.torch
def test_torch_float32_and_integers():
    torch = pytest.importorskip("torch")
    index = torch.tensor([2, 0, 2])
    report = gradcheck(lambda x, i: torch.sin(x)[i], [torch.from_numpy(A).float(), index], order=2)
    assert report, str(report)


@pytest.mark.torch
def test_torch_modules_with_their_parameters():
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3), torch.nn.Tanh())
    report = gradcheck(net, [torch.from_numpy(A)], order=2)
    assert report, str(report)
    assert {c.input for c in report.compared} >= {"input 0", "0.weight", "0.bias", "1.weight", "1.bias"}


@pytest.mark.torch
def test_torch_batch_norm():
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    report = gradcheck(net, [torch.from_numpy(A)])
    assert report.flat == ["0.bias"], str(report)  # a shift before batch norm has no effect
    # PyTorch 2.13's backward on a CPU reads a strided weight as if it were contiguous
    assert {f.kind for f in report.findings} <= {"layout"}, str(report)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


@pytest.mark.torch
def test_a_torch_module_with_a_wrong_function_inside():
    torch = pytest.importorskip("torch")
    cube = torch_cube(2.0)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(4, 2)

        def forward(self, x):
            return cube(self.linear(x))

    report = gradcheck(Net(), [torch.from_numpy(A)])
    assert report.verdict == "FAIL"
    assert {"input 0", "linear.weight", "linear.bias"} == {c.input for c in report.compared if c.verdict == "FAIL"}


# -- HIPS/autograd --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2])
def test_autograd_functions(order):
    anp = pytest.importorskip("autograd.numpy")
    report = gradcheck(lambda x, w: anp.tanh(anp.dot(x, w)), [A, B], order=order)
    assert report, str(report)
    assert gradcheck(lambda x, i: anp.exp(x)[i], [A, np.array([0, 2, 2])], order=order)


def autograd_sine(slope):
    from autograd.extend import defvjp, primitive

    @primitive
    def sine(x):
        return np.sin(x)

    defvjp(sine, lambda _, x: lambda g: g * slope(x))
    return sine


@pytest.mark.parametrize("order", [1, 2])
def test_autograd_primitives(order):
    anp = pytest.importorskip("autograd.numpy")
    assert gradcheck(autograd_sine(anp.cos), [A], order=order)
    wrong = gradcheck(autograd_sine(lambda x: -anp.cos(x)), [A], order=order)
    assert wrong.verdict == "FAIL" and wrong.causes[0] == "sign-flipped"


def test_an_autograd_primitive_that_is_wrong_at_order_2_only():
    pytest.importorskip("autograd")
    frozen = autograd_sine(lambda x: np.cos(getattr(x, "_value", x)))
    assert gradcheck(frozen, [A])
    report = gradcheck(frozen, [A], order=2)
    assert report.verdict == "FAIL" and {f.order for f in report.findings} == {2}, str(report)


# -- our own --------------------------------------------------------------------------------------------------------


def test_our_modules_with_their_parameters():
    from minicnn import nn

    report = gradcheck(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)), [A], order=2)
    assert report, str(report)
    assert {"input 0", "0.weight", "0.bias", "2.weight", "2.bias"} <= {c.input for c in report.compared}


def test_our_batch_norm_keeps_its_statistics():
    from minicnn import nn

    norm = nn.BatchNorm1d(4)
    before = {name: value.numpy().copy() for name, value in norm.named_buffers()}
    assert gradcheck(norm, [A], order=2)
    assert all(np.array_equal(before[name], value.numpy()) for name, value in norm.named_buffers())


@pytest.mark.torch
def test_a_torch_function_given_numpy_arrays_is_asked_for_its_own_backward() -> None:
    torch = pytest.importorskip("torch")

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx: Any, gy: Any) -> Any:
            (x,) = ctx.saved_tensors
            return gy * x  # the factor 2 is forgotten

    for f in (Square.apply, lambda x: Square.apply(x)):
        assert gradcheck(f, [np.array([1.0, 2.0])], seed=0).verdict == "FAIL"


@pytest.mark.torch
@pytest.mark.parametrize("given", ["arrays", "tensors"])
def test_torch_losses_pass_at_order_2(given: str) -> None:
    torch = pytest.importorskip("torch")
    x, y = np.random.default_rng(0).normal(size=(2, 3, 4))
    inputs = [x, y] if given == "arrays" else [torch.tensor(x), torch.tensor(y)]
    for f in (torch.nn.functional.mse_loss, lambda a, b: ((a - b) ** 2 * torch.exp(a)).sum()):
        assert gradcheck(f, inputs, order=2, seed=0).verdict == "PASS"
