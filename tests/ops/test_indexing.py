import numpy as np
import pytest

import minicnn as mc
from minicnn import ops
from minicnn.backends.cpu import indexing as kernels
from tests.ops.agreement import assert_agrees, covered
from tests.oracles import indexing as oracles


@pytest.mark.parametrize("name", covered(oracles))
def test_op_equals_its_oracle(name: str) -> None:
    assert_agrees(oracles, name)


INDICES = [
    0,
    -1,
    slice(None, None, -2),
    (slice(1), 2),
    None,
    Ellipsis,
    (Ellipsis, 0),
    [0, 0, 1],
    np.array([[1, 0], [1, 1]]),
    (np.array([0, 1, 0]), np.array([2, -1, 2])),
    (slice(None), [0, 2, 0]),
    np.array([True, False]),
    (np.array([0, 1]), slice(None), np.array([1, 1])),
    (np.array([[0], [1]]), np.array([2, 2])),
    (0, [1, 1, 2], None),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_reading_is_numpys_and_its_gradient_counts_the_reads(index: object) -> None:
    array = np.random.default_rng(0).standard_normal((2, 3, 2))
    x = mc.tensor(array, requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.data, array[index])  # type: ignore[index]
    y.sum().backward()
    reads = np.zeros_like(array)
    np.add.at(reads, index, 1.0)  # type: ignore[arg-type]
    np.testing.assert_array_equal(x.grad.data, reads)


def test_tensors_index_tensors() -> None:
    x = mc.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x[mc.tensor([1, 0])].tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert x[x > 2].tolist() == [3.0, 4.0]
    assert x[mc.tensor(1)].tolist() == [3.0, 4.0]
    assert x[mc.tensor([0, 1]), mc.tensor([1, 0])].tolist() == [2.0, 3.0]


def test_rows_can_be_iterated_and_unpacked() -> None:
    a, b = mc.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert a.tolist() + b.tolist() == [1.0, 2.0, 3.0, 4.0]
    with pytest.raises(TypeError, match="0-d tensor cannot be iterated"):
        iter(mc.tensor(1.0))


def test_wrong_indices_are_named() -> None:
    x = mc.tensor(np.zeros((2, 3)))
    with pytest.raises(IndexError, match=r"getitem: .*out of bounds.*input\.shape=\(2, 3\)"):
        x[2]
    for index in ([0, 2], (slice(None), [[-4]]), (..., mc.tensor([1, 3])), (None, [True, False], [3])):
        with pytest.raises(
            IndexError, match=r"getitem: index (2|-4|3) is out of bounds for axis .*input\.shape=\(2, 3\)"
        ):
            x[index]
    assert x[(..., [-3, 2])].shape == (2, 2)
    with pytest.raises(TypeError, match="getitem: indices must be ints"):
        x[mc.tensor([0.5])]
    for call, message in (
        (lambda: ops.gather(x, 1, mc.tensor([[3]])), "gather: index 3 is out of range for size 3"),
        (lambda: ops.gather(x, 1, mc.tensor([0])), "gather: index must fit"),
        (lambda: ops.gather(x, 1, mc.tensor([[0], [0], [0]])), "gather: index must fit"),
        (lambda: ops.index_select(x, 0, mc.tensor([-1])), "index_select: index -1 is out of range for size 2"),
        (lambda: ops.take(x, mc.tensor([6])), "take: index 6 is out of range"),
        (lambda: ops.embedding(mc.tensor([2]), x), "embedding: index 2 is out of range for size 2"),
        (lambda: ops.one_hot(mc.tensor([-1, 2]), 3), "one_hot: index -1 is out of range"),
        (lambda: ops.one_hot(mc.tensor(np.zeros(0, np.int64))), "one_hot: num_classes must be given"),
        (lambda: ops.scatter_add(x, 0, mc.tensor([[0]]), mc.tensor(np.zeros((1, 0)))), "src must be at least"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="gather: index must hold integers"):
        ops.gather(x, 1, mc.tensor([[0.0]]))


def test_a_later_write_to_an_index_array_does_not_move_the_gradient() -> None:
    x = mc.tensor([1.0, 2.0], requires_grad=True)
    index = np.array([0, 0])
    y = x[index]
    index[:] = 1
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 0.0]


def test_basic_indices_give_views_that_share_their_version() -> None:
    x = mc.tensor([[1.0, 2.0], [3.0, 4.0]])
    x[1].fill_(0.0)
    assert x.tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert x[1].storage is x.storage


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_rows_added_at_repeated_places_equal_a_loop(dtype: type) -> None:
    rng = np.random.default_rng(0)
    for width in (1, 3):
        rows = rng.integers(-5, 5, (40, width)).astype(dtype)
        index = rng.integers(0, 6, 40)
        expected = np.zeros((8, width), dtype)
        for row, i in zip(rows, index, strict=True):
            expected[i] += row
        np.testing.assert_array_equal(kernels.add_rows(rows, index, 8), expected)


def test_reading_and_adding_are_adjoint() -> None:
    rng = np.random.default_rng(1)
    x, index = rng.standard_normal((3, 4)), rng.integers(0, 12, (5, 2))
    y = rng.standard_normal((5, 2))
    left = (ops.take(mc.tensor(x), mc.tensor(index)).data * y).sum()
    right = (x * ops.scatter_flat(mc.tensor(y), mc.tensor(index), (3, 4)).data).sum()
    np.testing.assert_allclose(left, right)


def test_embedding_leaves_the_padding_row_without_gradient() -> None:
    weight = mc.tensor(np.ones((3, 2)), requires_grad=True)
    ops.embedding(mc.tensor([0, 1, 1, 2]), weight, padding_idx=-2).sum().backward()
    assert weight.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]


def test_scatter_writes_numbers_and_tensors() -> None:
    x = mc.tensor([1.0, 1.0, 1.0], requires_grad=True)
    src = mc.tensor([5.0, 6.0], requires_grad=True)
    y = ops.scatter(x, 0, mc.tensor([2, 0]), src)
    assert y.tolist() == [6.0, 1.0, 5.0]
    (y * mc.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert (x.grad.tolist(), src.grad.tolist()) == ([0.0, 2.0, 0.0], [3.0, 1.0])


def test_empty_indices_read_nothing() -> None:
    x = mc.tensor(np.ones((2, 3)), requires_grad=True)
    none = mc.tensor(np.zeros(0, np.int64))
    y = ops.index_select(x, 0, none).sum() + x[none].sum() + x[[]].sum() + ops.take(x, none).sum()
    y.backward()
    assert x.grad.tolist() == [[0.0] * 3] * 2
    assert ops.embedding(none, x).shape == (0, 3)


@pytest.mark.parametrize("padding_idx", [3, -4])
def test_a_padding_row_outside_the_table_is_refused(padding_idx: int) -> None:
    with pytest.raises(ValueError, match=f"embedding: padding_idx {padding_idx} is out of range"):
        ops.embedding(mc.tensor([0]), mc.tensor(np.ones((3, 2))), padding_idx=padding_idx)
