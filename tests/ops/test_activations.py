import numpy as np
import pytest

import minicnn as mc
from minicnn import ops
from tests.ops.agreement import assert_agrees, covered
from tests.oracles import activations as oracles

SMOOTH = ["sigmoid", "tanh", "scaled_tanh", "silu", "gelu", "softplus", "logsigmoid"]
ALL = [*SMOOTH, "relu", "relu6", "leaky_relu", "elu", "selu", "hardtanh"]


@pytest.mark.parametrize("name", covered(oracles))
def test_op_equals_its_oracle(name: str) -> None:
    assert_agrees(oracles, name)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", ALL)
def test_huge_inputs_give_finite_values_and_gradients_without_warnings(op: str, dtype: type) -> None:
    x = mc.tensor(np.array([-1e4, -700, -90, 0, 90, 700, 1e4], dtype), requires_grad=True)
    y = getattr(ops, op)(x)
    (g,) = mc.grad(y.sum(), x, create_graph=True)
    (h,) = mc.grad((g * g).sum(), x, allow_unused=True) if g.requires_grad else (g,)
    assert all(np.isfinite(t.data).all() for t in (y, g, h) if t is not None)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("op", ["softmax", "log_softmax", "logsumexp"])
def test_the_softmax_family_is_stable_at_plus_and_minus_ten_thousand(op: str) -> None:
    x = mc.tensor(np.array([[-1e4, 0.0, 1e4], [1e4, 1e4, -1e4], [-1e4, -1e4, -1e4]], np.float32), requires_grad=True)
    y = getattr(ops, op)(x, 1)
    y.sum().backward()
    assert np.isfinite(y.data).all()
    assert np.isfinite(x.grad.data).all()


def test_log_softmax_keeps_what_log_of_softmax_loses() -> None:
    x = mc.tensor(np.array([0.0, 1e4]))
    assert ops.log_softmax(x, 0).tolist() == [-1e4, 0.0]
    assert ops.logsumexp(x, 0).item() == 1e4


def test_logsumexp_of_minus_infinity_and_of_nothing() -> None:
    x = mc.tensor(np.full((2, 3), -np.inf), requires_grad=True)
    with np.errstate(divide="ignore"):
        y = ops.logsumexp(x, 1)
    y.sum().backward()
    assert y.tolist() == [-np.inf, -np.inf]
    assert x.grad.tolist() == [[0.0] * 3] * 2
    assert ops.logsumexp(mc.tensor(np.zeros((2, 0))), 1).tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize("op", ALL)
def test_nan_goes_through(op: str) -> None:
    assert np.isnan(getattr(ops, op)(mc.tensor([float("nan")])).item())


def test_relu_and_its_kin_have_gradient_zero_or_slope_at_zero() -> None:
    for op, expected in ((ops.relu, 0.0), (ops.relu6, 0.0), (ops.leaky_relu, 0.01), (ops.elu, 1.0)):
        x = mc.tensor(np.array([0.0]), requires_grad=True)
        op(x).backward()
        assert x.grad.item() == pytest.approx(expected)
    x = mc.tensor([-1.0, 1.0], requires_grad=True)
    ops.hardtanh(x).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]  # clamp would give 1 at its ends


@pytest.mark.parametrize("op", ["relu", "leaky_relu", "tanh", "scaled_tanh", "sigmoid", "gelu", "softplus"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_arrays_take_other_loops_and_give_the_same_bits(op: str, dtype: type) -> None:
    x = np.random.default_rng(0).standard_normal((7, 40_000)).astype(dtype)
    gy = np.random.default_rng(1).standard_normal(x.shape).astype(dtype)
    whole = mc.tensor(x.T, requires_grad=True)
    y = getattr(ops, op)(whole)
    y.backward(mc.tensor(gy.T))
    for part in (slice(100), slice(-100, None)):
        small = mc.tensor(x.T[part], requires_grad=True)
        z = getattr(ops, op)(small)
        z.backward(mc.tensor(gy.T[part]))
        np.testing.assert_array_equal(y.data[part], z.data)
        np.testing.assert_array_equal(whole.grad.data[part], small.grad.data)


def test_scaled_tanh_is_lenets() -> None:
    x = mc.tensor(np.array([-1.0, 0.0, 1.0]), requires_grad=True)
    y = ops.scaled_tanh(x)
    np.testing.assert_allclose(y.data, [-1, 0, 1], atol=1e-4)
    (g,) = mc.grad(y.sum(), x, create_graph=True)
    np.testing.assert_allclose(g.data[1], 1.7159 * 2 / 3)
    (h,) = mc.grad(g.sum(), x)
    assert h.data[1] == 0
    np.testing.assert_allclose(-h.data[2] / h.data[0], 1)


def test_sigmoid_is_exact_in_the_lower_tail() -> None:
    np.testing.assert_allclose(ops.sigmoid(mc.tensor(np.array([-100.0]))).data, np.exp(-100.0), rtol=1e-14)


@pytest.mark.filterwarnings("error")
def test_empty_inputs_give_empty_outputs() -> None:
    for op in ALL:
        assert getattr(ops, op)(mc.tensor(np.zeros((0, 2)))).shape == (0, 2)
    assert ops.softmax(mc.tensor(np.zeros((0, 2))), 1).shape == (0, 2)
    assert ops.log_softmax(mc.tensor(np.zeros((2, 0))), 1).shape == (2, 0)


def test_integers_become_float32() -> None:
    for op in (ops.sigmoid, ops.tanh, ops.gelu):
        assert op(mc.tensor([1, 2])).dtype == np.float32
    assert ops.softmax(mc.tensor([1, 2]), 0).dtype == np.float32


def test_wrong_options_are_named() -> None:
    x = mc.tensor(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="prelu: weight must hold 1 or 3 slopes"):
        ops.prelu(x, mc.tensor(np.zeros(2)))
    with pytest.raises(ValueError, match="gelu: approximate must be"):
        ops.gelu(x, "erf")
    with pytest.raises(ValueError, match="hardtanh: min_val"):
        ops.hardtanh(x, 1.0, 1.0)
    with pytest.raises(ValueError, match="softmax: dim 2 is out of range"):
        ops.softmax(x, 2)


@pytest.mark.parametrize("op", ALL)
def test_half_precision_stays_half_at_any_size(op: str) -> None:
    for size in (3, 20_000):
        x = mc.tensor(np.linspace(-4, 4, size).astype(np.float16), requires_grad=True)
        y = getattr(ops, op)(x)
        y.sum().backward()
        assert y.dtype == x.grad.dtype == np.float16


def test_leaky_relu_without_slope_passes_infinity() -> None:
    y = ops.leaky_relu(mc.tensor([float("inf"), float("nan"), -2.0, 3.0]), 0.0).tolist()
    assert y[0] == float("inf") and y[1] != y[1] and y[2:] == [0.0, 3.0]


def test_big_relu_keeps_nan_and_takes_slices_of_channels():
    x = np.random.default_rng(0).normal(size=(2, 6, 64, 80)).astype(np.float32)
    x[0, 0, 0, :3] = np.nan, -0.0, 0.0
    t = mc.tensor(x, requires_grad=True)
    y = mc.ops.relu(t)
    want = np.where(x <= 0, np.float32(0), x)
    assert np.array_equal(y.detach().numpy(), want, equal_nan=True)
    gy = np.random.default_rng(1).normal(size=(2, 9, 64, 80)).astype(np.float32)[:, 2:8]
    (gx,) = mc.grad(y, [t], mc.Tensor(gy))
    assert np.array_equal(gx.numpy(), np.where(x <= 0, np.float32(0), gy))
