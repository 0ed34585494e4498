import numpy as np
import pytest

import minicnn as mc
from minicnn import ops
from tests.ops.agreement import assert_agrees, covered
from tests.oracles import elementwise as oracles


@pytest.mark.parametrize("name", covered(oracles))
def test_op_equals_its_oracle(name: str) -> None:
    assert_agrees(oracles, name)


def test_big_arrays_equal_small_ones_computed_in_parts() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 300_000), dtype=np.float32)
    whole = ((mc.tensor(a) * b[0] + mc.tensor(b)).exp() - 0.5).numpy()
    parts = [
        ((mc.tensor(x) * b[0] + mc.tensor(y)).exp() - 0.5).numpy()
        for x, y in zip(a.reshape(300, -1), b.reshape(300, -1), strict=True)
    ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (np.ones(2, np.float32), np.float64(2), "float32"),
        (np.ones(2, np.float32), 2, "float32"),
        (np.ones(2, np.float32), True, "float32"),
        (np.ones(2, np.float32), np.array(2.0), "float32"),
        (np.array(2.0), np.ones(2, np.float32), "float32"),
        (np.ones(2, np.float32), np.ones(2, np.float64), "float64"),
        (np.ones(2, np.int64), np.ones(2, np.float32), "float32"),
        (np.ones(2, np.int64), np.float32(2.5), "float32"),
        (np.ones(2, np.int64), 2.5, "float32"),
        (np.ones(2, np.int64), 2, "int64"),
        (np.ones(2, np.int64), np.array(2, np.int32), "int64"),
        (np.ones(2, np.uint8), np.ones(2, np.int64), "int64"),
        (np.ones(2, bool), 2, "int64"),
        (np.ones(2, bool), np.ones(2, np.float64), "float64"),
    ],
)
def test_numbers_and_0d_tensors_never_promote_an_array(a: object, b: object, expected: str) -> None:
    first = mc.tensor(a)
    second = mc.tensor(b) if isinstance(b, np.ndarray) else b
    for y in (
        first + second,
        first * second,
        ops.maximum(first, second),
        ops.where(mc.tensor([True, False]), first, second),
    ):
        assert y.dtype == expected
        assert y.shape == (2,)


def test_a_float_number_is_not_truncated_by_an_integer_tensor() -> None:
    assert (mc.tensor([1, 2]) * 2.5).tolist() == [2.5, 5.0]
    assert (2.5 + mc.tensor([1, 2])).tolist() == [3.5, 4.5]
    assert (mc.tensor([1, 2]) < 1.5).tolist() == [True, False]


def test_gradients_come_back_in_the_dtype_and_shape_of_their_operand() -> None:
    a = mc.tensor(np.ones((2, 3), np.float32), requires_grad=True)
    b = mc.tensor(np.float64(2.0), requires_grad=True)
    c = mc.tensor(np.ones((3,), np.float64), requires_grad=True)
    (a * b + a / c - b * c + ops.where(a > 0, b, c) + a**b).sum().backward()
    for x in (a, b, c):
        assert x.grad is not None
        assert x.grad.dtype == x.dtype
        assert x.grad.shape == x.shape


def test_integers_divide_and_transform_as_float32() -> None:
    x = mc.tensor([1, 4])
    assert (x / 2).dtype == np.float32
    assert (x / x).dtype == np.float32
    for op in (ops.exp, ops.log, ops.sqrt, ops.sin, ops.erf, ops.reciprocal):
        assert op(x).dtype == np.float32


def test_reflected_operators_keep_the_order_of_operands() -> None:
    x = mc.tensor([2.0, 4.0])
    assert (1 - x).tolist() == [-1.0, -3.0]
    assert (8 / x).tolist() == [4.0, 2.0]
    assert (2**x).tolist() == [4.0, 16.0]
    assert (5 % mc.tensor([2, 3])).tolist() == [1, 2]
    assert (np.float32(1) - x).tolist() == [-1.0, -3.0]


def test_an_array_beside_a_tensor_is_refused_with_the_remedy() -> None:
    with pytest.raises(TypeError, match=r"mul: argument 1 must be a Tensor or a number.*mc\.tensor"):
        mc.tensor([1.0]) * np.ones(1)


def test_maximum_splits_ties_evenly_and_spreads_nan() -> None:
    a = mc.tensor([1.0, 2.0, float("nan"), 0.0], requires_grad=True)
    b = mc.tensor([1.0, 3.0, 0.0, float("nan")], requires_grad=True)
    y = ops.maximum(a, b)
    np.testing.assert_array_equal(y.detach().numpy(), [1.0, 3.0, np.nan, np.nan])
    y.sum().backward()
    assert a.grad.tolist()[:2] == [0.5, 0.0]
    assert b.grad.tolist()[:2] == [0.5, 1.0]
    c = mc.tensor([1.0, 2.0], requires_grad=True)
    ops.minimum(c, mc.tensor([1.0, 3.0])).sum().backward()
    assert c.grad.tolist() == [0.5, 1.0]


def test_kinks_have_the_documented_gradients() -> None:
    x = mc.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    ops.abs(x).sum().backward()
    assert x.grad.tolist() == [-1.0, 0.0, 1.0]
    y = mc.tensor([0.0, 0.5, 1.0, 2.0, float("nan")], requires_grad=True)
    z = ops.clamp(y, 0.0, 1.0)
    np.testing.assert_array_equal(z.detach().numpy(), np.float32([0, 0.5, 1, 1, np.nan]))
    z.sum().backward()
    assert y.grad.tolist() == [1.0, 1.0, 1.0, 0.0, 1.0]


def test_clamp_with_crossed_bounds_gives_max_and_without_bounds_raises() -> None:
    assert ops.clamp(mc.tensor([0.0, 5.0]), 3.0, 1.0).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="clamp: at least one of min and max"):
        ops.clamp(mc.tensor([0.0]))


@pytest.mark.parametrize(
    ("base", "exponent", "to_base", "to_exponent"),
    [(0.0, 0.0, 0.0, 0.0), (0.0, 2.0, 0.0, 0.0), (2.0, 0.0, 0.0, np.log(2))],
)
def test_power_at_zero_has_finite_gradients(base: float, exponent: float, to_base: float, to_exponent: float) -> None:
    a, b = (mc.tensor(np.array([v]), requires_grad=True) for v in (base, exponent))
    (a**b).sum().backward()
    np.testing.assert_allclose([a.grad.item(), b.grad.item()], [to_base, to_exponent])


def test_a_square_of_zero_has_a_second_derivative() -> None:
    x = mc.tensor(np.array([0.0, -2.0]), requires_grad=True)
    (g,) = mc.grad((x**2).sum(), x, create_graph=True)
    (h,) = mc.grad(g.sum(), x)
    assert h.tolist() == [2.0, 2.0]


def test_where_lets_no_gradient_of_the_other_branch_through() -> None:
    x = mc.tensor([0.0, 4.0], requires_grad=True)
    ops.where(x > 0, ops.sqrt(ops.where(x > 0, x, 1.0)), 0.0).sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


def test_nan_compares_as_unequal() -> None:
    x = mc.tensor([float("nan"), 1.0])
    assert (x == x).tolist() == [False, True]
    assert (x != x).tolist() == [True, False]
    assert ops.allclose(x, x, equal_nan=True)
    assert not ops.equal(x, x)


def test_tensors_stay_hashable_although_they_compare_elementwise() -> None:
    x, y = mc.tensor([1.0]), mc.tensor([1.0])
    assert len({x, y, x}) == 2


def test_empty_and_0d_tensors_pass_through() -> None:
    empty = mc.tensor(np.zeros((0, 3)), requires_grad=True)
    ((empty * 2.0).exp() + 1).sum().backward()
    assert empty.grad.shape == (0, 3)
    scalar = mc.tensor(2.0, requires_grad=True)
    (scalar * scalar).log().backward()
    assert scalar.grad.item() == 1.0


def test_round_takes_halves_to_the_even_neighbour() -> None:
    assert ops.round(mc.tensor([0.5, 1.5, 2.5, -0.5])).tolist() == [0.0, 2.0, 2.0, -0.0]


def test_small_arguments_keep_their_digits() -> None:
    x = mc.tensor(np.array([1e-18]))
    assert ops.expm1(x).item() == 1e-18
    assert ops.log1p(x).item() == 1e-18


def test_a_scaled_tensor_does_not_hold_on_to_its_input() -> None:
    y = mc.tensor([1.0], requires_grad=True) * 2.0
    assert [t.shape for t in y.node.kept_inputs()] == [()]


def test_cast_keeps_the_graph_between_floats_and_ends_it_at_integers() -> None:
    x = mc.tensor([1.5, -2.5], requires_grad=True)
    assert x.float() is x
    x.double().sum().backward()
    assert x.grad.dtype == np.float32
    assert not x.long().requires_grad


def test_clone_has_memory_of_its_own() -> None:
    x = mc.tensor([1.0, 2.0])
    y = x.clone()
    y.zero_()
    assert x.tolist() == [1.0, 2.0]
    assert x.T.contiguous().numpy() is x.T.contiguous().numpy() or x.T.contiguous().data.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_where_on_big_arrays_equals_numpys(dtype: type) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 500, 300)).astype(dtype)
    a[0] = np.nan
    mask = rng.random(a.shape) < 0.5
    for x, y in ((a, b), (a, 2.0), (2.0, b), (a, b[:1]), (a.T, b.T)):
        condition = mask.T if np.shape(x) == (300, 500) else mask
        left, right = (mc.tensor(v) if isinstance(v, np.ndarray) else v for v in (x, y))
        np.testing.assert_array_equal(ops.where(mc.tensor(condition), left, right).data, np.where(condition, x, y))


def test_a_number_is_floor_divided_by_a_tensor() -> None:
    assert (7 // mc.tensor([2, -2])).tolist() == [3, -4]
    assert (7.5 // mc.tensor([2.0])).tolist() == [3.0]
