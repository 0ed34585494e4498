"""Masks and indices that are written to between forward and backward: the right gradient, or an error."""

from collections.abc import Callable

import numpy as np
import pytest

import minicnn as mc
from minicnn import ops

X = np.arange(6.0).reshape(2, 3)
MASK = [[True, False, True], [False, True, False]]


@pytest.mark.parametrize(
    "choose",
    [
        lambda m, x: ops.where(m, x, 0.0),
        lambda m, x: ops.where(m, 0.0, x),
        lambda m, x: ops.masked_fill(x, m, 0.0),
    ],
)
def test_a_mask_written_before_backward_is_noticed(choose: Callable[..., mc.Tensor]) -> None:
    mask, x = mc.tensor(MASK), mc.tensor(X, requires_grad=True)
    y = choose(mask, x)
    mask.fill_(False)
    with pytest.raises(RuntimeError, match="where: an input of shape .2, 3. that backward needs was changed"):
        y.sum().backward()


INDEXED = {
    "getitem": (lambda i, x: x[i], [0, 0, 1]),
    "getitem_mask": (lambda i, x: x[i], MASK),
    "getitem_tuple": (lambda i, x: x[i, 1:], [1, 1]),
    "masked_select": (lambda i, x: ops.masked_select(x, i), MASK),
    "gather": (lambda i, x: ops.gather(x, 1, i), [[2, 2], [1, 0]]),
    "scatter": (lambda i, x: ops.scatter(x, 1, i, 7.0), [[2], [1]]),
    "scatter_src": (lambda i, x: ops.scatter(ops.zeros_like(x), 1, i, x), [[2, 1], [1, 0]]),
    "scatter_add": (lambda i, x: ops.scatter_add(ops.zeros_like(x), 1, i, x * x), [[2, 2], [1, 0]]),
    "index_select": (lambda i, x: ops.index_select(x, 1, i), [2, 2]),
    "take": (lambda i, x: ops.take(x, i), [5, 5, 1]),
    "scatter_flat": (lambda i, x: ops.square(ops.scatter_flat(x, i, (6,))), [[5, 4, 3], [2, 1, 1]]),
    "embedding": (lambda i, x: ops.embedding(i, x), [1, 1]),
}


@pytest.mark.parametrize("name", INDEXED)
def test_an_index_written_before_backward_leaves_the_gradient_right(name: str) -> None:
    read, value = INDEXED[name]
    expected, got = mc.tensor(X, requires_grad=True), mc.tensor(X, requires_grad=True)
    read(mc.tensor(value), expected).sum().backward()
    index = mc.tensor(value)
    y = read(index, got)
    index.fill_(0)
    y.sum().backward()
    np.testing.assert_array_equal(got.grad.numpy(), expected.grad.numpy())


def test_numbers_beside_a_mask_keep_the_precision_of_the_array() -> None:
    x = mc.tensor(X, requires_grad=True)
    y = ops.where(mc.tensor(MASK), 0.1, x)
    assert y.dtype == np.float64 and y[0, 0].item() == 0.1
    assert ops.where(mc.tensor([True]), 1, 2).dtype == np.int64


def test_a_condition_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match="where: condition must be a Tensor, got ndarray"):
        ops.where(np.array([True]), mc.tensor([1.0]), 0.0)  # type: ignore[arg-type]
