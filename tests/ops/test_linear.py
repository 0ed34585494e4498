import numpy as np
import pytest

import minicnn as mc
from minicnn import ops
from tests.ops.agreement import assert_agrees, covered
from tests.oracles import linear as oracles

WITHOUT_ELLIPSIS = [name for name in covered(oracles) if "..." not in name]


@pytest.mark.parametrize("name", WITHOUT_ELLIPSIS)
def test_op_equals_its_oracle(name: str) -> None:
    assert_agrees(oracles, name)


def x(*shape: int) -> mc.Tensor:
    return mc.tensor(np.random.default_rng(0).standard_normal(shape))


@pytest.mark.parametrize(
    "equation", ["...ij,jk->...ik", "i...,i...->...", "...,...->...", "a...b->b...a", "...ii->...i"]
)
def test_einsum_with_leading_axes_equals_numpys(equation: str) -> None:
    shapes = {1: [(2, 3, 3)], 2: [(2, 3), (3, 4)] if "jk" in equation else [(2, 3), (2, 3)]}[equation.count(",") + 1]
    arrays = [x(*s) for s in shapes]
    np.testing.assert_allclose(ops.einsum(equation, *arrays).data, np.einsum(equation, *[a.data for a in arrays]))


@pytest.mark.parametrize(
    ("equation", "shapes", "message"),
    [
        ("ij,jk->ik", [(2, 3)], "names 2 operands, got 1"),
        ("ij->i", [(2, 3, 4)], "does not fit a 3-d operand"),
        ("ij,jk->ik", [(2, 3), (4, 2)], "index 'j' has sizes 3 and 4"),
        ("ij->k", [(2, 3)], "must name indices of the operands"),
        ("ij->ii", [(2, 3)], "must name indices of the operands"),
    ],
)
def test_einsum_names_what_does_not_fit(equation: str, shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.einsum(equation, *[x(*s) for s in shapes])


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"matmul: shapes \(2, 3\) and \(2, 3\) do not fit"):
        x(2, 3) @ x(2, 3)
    with pytest.raises(ValueError, match="matmul: operands must be at least 1-d"):
        mc.tensor(1.0) @ x(2)
    with pytest.raises(ValueError, match=r"linear: expected .*input\.shape=\(2, 3\), weight\.shape=\(4, 2\)"):
        ops.linear(x(2, 3), x(4, 2))
    with pytest.raises(ValueError, match=r"linear: .*bias\.shape=\(3,\)"):
        ops.linear(x(2, 3), x(4, 3), x(3))
    with pytest.raises(TypeError, match="linear: input, weight and bias must share a dtype"):
        ops.linear(x(2, 3), x(4, 3).float())
    with pytest.raises(ValueError, match="bmm: input must be 3-d"):
        ops.bmm(x(2, 3), x(2, 3))


def test_an_empty_batch_has_zero_gradients() -> None:
    w, b = mc.tensor(np.ones((4, 3)), requires_grad=True), mc.tensor(np.ones(4), requires_grad=True)
    y = ops.linear(x(0, 3), w, b)
    y.sum().backward()
    assert y.shape == (0, 4)
    assert not w.grad.data.any()
    assert not b.grad.data.any()
    assert ops.matmul(x(2, 0), x(0, 3)).tolist() == [[0.0] * 3] * 2
    assert ops.matmul(x(0, 2, 3), x(3, 4)).shape == (0, 2, 4)


def test_linear_is_one_node() -> None:
    y = ops.linear(x(2, 3), mc.tensor(np.ones((4, 3)), requires_grad=True), x(4))
    assert y.node.name == "linear"
    assert [edge is None for edge in y.node.edges] == [True, False, True]


def test_a_stack_times_a_matrix_equals_the_products_one_by_one() -> None:
    a, b = x(5, 2, 3), x(3, 4)
    np.testing.assert_allclose(ops.matmul(a, b).data, np.stack([m @ b.data for m in a.data]), rtol=1e-14)


def test_integer_products_stay_integers() -> None:
    assert (mc.tensor([[1, 2]]) @ mc.tensor([[3], [4]])).tolist() == [[11]]


def test_second_derivative_of_linear_mixes_input_and_weight() -> None:
    a, w = (mc.tensor(v.data, requires_grad=True) for v in (x(2, 3), x(4, 3)))
    (ga,) = mc.grad(ops.linear(a, w).sum(), a, create_graph=True)
    (gw,) = mc.grad(ga.sum(), w)
    np.testing.assert_allclose(gw.data, np.full((4, 3), 2.0))
