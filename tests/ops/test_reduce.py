import numpy as np
import pytest

import minicnn as mc
from minicnn import ops
from tests.ops.agreement import assert_agrees, covered
from tests.oracles import reduce as oracles

NAN = float("nan")


@pytest.mark.parametrize("name", covered(oracles))
def test_op_equals_its_oracle(name: str) -> None:
    assert_agrees(oracles, name)


def test_max_over_an_axis_gives_the_gradient_to_the_first_maximum() -> None:
    x = mc.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], requires_grad=True)
    values, indices = ops.max(x, 1)
    values.sum().backward()
    assert indices.tolist() == [1, 0]
    assert x.grad.tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]


@pytest.mark.parametrize("op", [ops.amax, ops.max])
def test_max_of_everything_splits_evenly(op: object) -> None:
    x = mc.tensor([[1.0, 3.0, 3.0], [2.0, 3.0, 2.0]], requires_grad=True)
    op(x).backward()  # type: ignore[operator]
    np.testing.assert_allclose(x.grad.data, np.array([[0, 1, 1], [0, 1, 0]]) / 3, rtol=1e-6)


def test_nan_wins_every_extreme() -> None:
    x = mc.tensor([[1.0, NAN, 2.0]])
    for op in (ops.amax, ops.amin):
        assert np.isnan(op(x).item())
    for op in (ops.max, ops.min):
        values, indices = op(x, 1)
        assert np.isnan(values.item())
        assert indices.tolist() == [1]


def test_all_negative_rows_have_a_negative_maximum() -> None:
    assert ops.amax(mc.tensor([[-5.0, -3.0]]), 1).tolist() == [-3.0]


@pytest.mark.parametrize("op", ["amax", "amin", "argmax", "argmin"])
def test_nothing_to_choose_from_is_an_error(op: str) -> None:
    with pytest.raises(ValueError, match="nothing to choose from"):
        getattr(ops, op)(mc.tensor(np.zeros((2, 0))))
    with pytest.raises(ValueError, match="nothing to choose from"):
        getattr(ops, op)(mc.tensor(np.zeros((2, 0))), 1)
    assert getattr(ops, op)(mc.tensor(np.zeros((2, 0))), 0).shape == (0,)


def test_sums_and_products_of_nothing() -> None:
    x = mc.tensor(np.zeros((2, 0)), requires_grad=True)
    assert ops.sum(x, 1).tolist() == [0.0, 0.0]
    assert ops.prod(x, 1).tolist() == [1.0, 1.0]
    ops.sum(x).backward()
    assert x.grad.shape == (2, 0)
    with np.errstate(invalid="ignore"):
        assert np.isnan(ops.mean(x.detach()).item())


@pytest.mark.parametrize("op", ["sum", "mean", "amax", "prod"])
def test_0d_inputs_reduce_to_themselves(op: str) -> None:
    x = mc.tensor(3.0, requires_grad=True)
    y = getattr(ops, op)(x)
    y.backward()
    assert (y.item(), y.shape, x.grad.item()) == (3.0, (), 1.0)
    assert getattr(ops, op)(x, -1).shape == ()
    assert ops.max(x, 0).indices.item() == 0


def test_small_integers_and_bools_add_up_as_int64() -> None:
    for dtype in (np.uint8, np.int8, bool, np.int32):
        y = ops.sum(mc.tensor(np.ones(300, dtype)))
        assert (y.item(), y.dtype) == (300, np.int64)


def test_mean_of_integers_names_the_remedy() -> None:
    with pytest.raises(TypeError, match="mean: input must be floating; cast it first"):
        ops.mean(mc.tensor([1, 2]))


def test_axes_are_checked() -> None:
    x = mc.tensor(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="sum: dim 2 is out of range"):
        ops.sum(x, 2)
    with pytest.raises(ValueError, match="names an axis twice"):
        ops.sum(x, (0, -2))


def test_variance_is_computed_in_two_passes() -> None:
    x = np.array([1e8 + 1, 1e8 + 2, 1e8 + 3])
    assert ops.var(mc.tensor(x)).item() == 1.0


def test_std_of_equal_numbers_has_gradient_zero() -> None:
    x = mc.tensor(np.ones(4), requires_grad=True)
    ops.std(x).backward()
    assert x.grad.tolist() == [0.0] * 4


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_the_norm_of_zeros_has_gradient_zero(p: float) -> None:
    x = mc.tensor(np.zeros((2, 3)), requires_grad=True)
    ops.norm(x, p, 1).sum().backward()
    assert x.grad.tolist() == [[0.0] * 3] * 2


def test_prod_differentiates_where_elements_are_zero() -> None:
    x = mc.tensor(np.array([0.0, 2.0, 0.0, 3.0]), requires_grad=True)
    (g,) = mc.grad(ops.prod(x), x, create_graph=True)
    assert g.tolist() == [0.0, 0.0, 0.0, 0.0]
    (h,) = mc.grad(g[0], x)
    assert h.tolist() == [0.0, 0.0, 6.0, 0.0]


def test_sorting_is_stable_both_ways_and_counts_nan_as_largest() -> None:
    x = mc.tensor([2.0, 1.0, 2.0, NAN, 1.0])
    assert ops.argsort(x).tolist() == [1, 4, 0, 2, 3]
    assert ops.argsort(x, descending=True).tolist() == [3, 0, 2, 1, 4]
    assert ops.topk(x, 3).indices.tolist() == [3, 0, 2]
    assert ops.topk(x, 2, largest=False).indices.tolist() == [1, 4]


def test_topk_checks_k() -> None:
    with pytest.raises(ValueError, match=r"topk: k 4 is out of range 0\.\.3"):
        ops.topk(mc.tensor([1.0, 2.0, 3.0]), 4)
    assert ops.topk(mc.tensor([1.0, 2.0, 3.0]), 0).values.shape == (0,)


@pytest.mark.parametrize("dim", [None, 0, 1, 2, (0, 2), (1, 2)])
def test_big_sums_do_not_depend_on_the_number_of_threads(dim: object) -> None:
    x = mc.tensor(np.random.default_rng(0).standard_normal((4, 300, 200), dtype=np.float32))
    before = mc.get_num_threads()
    try:
        mc.set_num_threads(1)
        one = ops.sum(x, dim).data  # type: ignore[arg-type]
        mc.set_num_threads(2)
        two = ops.sum(x, dim).data  # type: ignore[arg-type]
    finally:
        mc.set_num_threads(before)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one, x.data.astype(np.float64).sum(dim), rtol=1e-4, atol=1e-3)
