import numpy as np
import pytest

import minicnn as mc
from minicnn import ops
from tests.ops.agreement import assert_agrees, covered
from tests.oracles import shape as oracles


@pytest.mark.parametrize("name", covered(oracles))
def test_op_equals_its_oracle(name: str) -> None:
    assert_agrees(oracles, name)


def x(*shape: int) -> mc.Tensor:
    return mc.tensor(np.arange(float(np.prod(shape))).reshape(shape))


def test_methods_take_sizes_one_by_one_or_together() -> None:
    assert x(2, 3).reshape(3, 2).shape == x(2, 3).reshape((3, 2)).shape == x(2, 3).view(3, -1).shape == (3, 2)
    assert x(2, 3).permute(1, 0).shape == x(2, 3).T.shape == x(2, 3).mT.shape == (3, 2)
    assert x(2, 1).expand(-1, 4).shape == (2, 4)
    assert x(2, 3).flip(0, 1).data[0, 0] == 5
    assert x(2).repeat(2, 2).shape == (2, 4)
    assert x(1).reshape(()).shape == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.reshape(x(2, 3), (4, 2)), r"reshape: 6 elements do not fit shape \(4, 2\)"),
        (lambda: ops.broadcast_to(x(2, 3), (2, 4)), r"broadcast_to: \(2, 3\) does not broadcast to \(2, 4\)"),
        (lambda: ops.sum_to(x(2, 3), (2, 2)), r"sum_to: \(2, 2\) does not broadcast"),
        (lambda: ops.permute(x(2, 3), (0,)), "permute: dims .* must name each axis once"),
        (lambda: ops.permute(x(2, 3), (0, 0)), "permute: dim .* names an axis twice"),
        (lambda: ops.flatten(x(2, 3), 1, 0), "flatten: start_dim 1 comes after end_dim 0"),
        (lambda: ops.unsqueeze(x(2), 2), "unsqueeze: dim 2 is out of range"),
        (lambda: ops.expand(x(2), (-1, 2)), "expand: sizes"),
        (lambda: ops.repeat(x(2, 2), (2,)), "repeat: sizes .* fewer entries"),
        (lambda: ops.cat([]), "cat: expected at least one tensor"),
        (lambda: ops.cat([x(2, 3), x(3, 2)]), r"cat: shapes .* differ outside dim 0"),
        (lambda: ops.stack([x(2), x(3)]), r"stack: shapes .* must be equal"),
        (lambda: ops.split(x(5), [2, 2]), "split: sections .* do not add up to 5"),
        (lambda: ops.split(x(5), 0), "split: split size must be positive"),
        (lambda: ops.pad(x(3), (1,)), "pad: pad .* must hold a pair"),
        (lambda: ops.pad(x(3), (3, 0), "reflect"), "pad: mode 'reflect' cannot pad"),
        (lambda: ops.pad(x(3), (4, 0), "circular"), "pad: mode 'circular' cannot pad"),
        (lambda: ops.pad(x(3), (1, 0), "mirror"), "pad: mode must be constant"),
        (lambda: ops.pad(x(3), (-2, -2)), "pad: .* cuts off more than there is"),
    ],
)
def test_what_does_not_fit_is_named(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


def test_reshape_of_contiguous_memory_is_a_view_that_shares_its_version() -> None:
    base = x(2, 3)
    view = base.reshape(-1)
    view.fill_(7.0)
    assert base.tolist() == [[7.0] * 3] * 2
    assert base.storage is view.storage


def test_broadcast_to_copies_nothing() -> None:
    assert ops.broadcast_to(x(1), (1000, 1000)).data.strides == (0, 0)


def test_sum_to_and_broadcast_to_are_adjoint() -> None:
    rng = np.random.default_rng(0)
    small, big = rng.standard_normal((3, 1)), rng.standard_normal((2, 3, 4))
    left = (ops.broadcast_to(mc.tensor(small), (2, 3, 4)).data * big).sum()
    right = (small * ops.sum_to(mc.tensor(big), (3, 1)).data).sum()
    np.testing.assert_allclose(left, right)


def test_cat_meets_in_a_common_dtype_and_sends_each_its_own_back() -> None:
    a = mc.tensor(np.ones(2, np.float32), requires_grad=True)
    b = mc.tensor(np.ones(1, np.float64), requires_grad=True)
    y = ops.cat([a, b, mc.tensor([1])])
    assert y.dtype == np.float64
    y.sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)


def test_the_same_tensor_may_be_joined_with_itself() -> None:
    a = mc.tensor([1.0, 2.0], requires_grad=True)
    (ops.cat([a, a]) * mc.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert a.grad.tolist() == [4.0, 6.0]


def test_unused_parts_of_a_split_get_zeros() -> None:
    a = mc.tensor([1.0, 2.0, 3.0], requires_grad=True)
    ops.split(a, 1)[1].sum().backward()
    assert a.grad.tolist() == [0.0, 1.0, 0.0]


def test_empty_and_0d_tensors() -> None:
    assert ops.cat([x(0, 3), x(2, 3)]).shape == (2, 3)
    assert ops.split(x(0, 2), 3)[0].shape == (0, 2)
    assert ops.flatten(mc.tensor(1.0)).shape == (1,)
    assert ops.stack([mc.tensor(1.0), mc.tensor(2.0)]).tolist() == [1.0, 2.0]
    assert ops.unbind(x(0, 3)) == ()
    assert ops.pad(x(0, 2), (1, 1)).shape == (0, 4)
    assert mc.tensor(1.0).T.shape == ()
    with pytest.raises(ValueError, match="0-d tensors cannot be joined; use stack"):
        ops.cat([mc.tensor(1.0)])


def test_chunk_gives_at_most_the_number_asked_for() -> None:
    assert [c.shape[0] for c in ops.chunk(x(7), 4)] == [2, 2, 2, 1]
    assert [c.shape[0] for c in ops.chunk(x(3), 5)] == [1, 1, 1]


def test_undoing_gives_back_the_original() -> None:
    a = x(2, 3, 4)
    for there, back in (
        (lambda t: ops.movedim(t, 0, 2), lambda t: ops.movedim(t, 2, 0)),
        (lambda t: ops.roll(t, (1, 2), (0, 2)), lambda t: ops.roll(t, (-1, -2), (0, 2))),
        (lambda t: ops.flip(t, (0, 2)), lambda t: ops.flip(t, (0, 2))),
        (lambda t: ops.pad(t, (1, 2, 3, 0)), lambda t: ops.pad(t, (-1, -2, -3, 0))),
        (lambda t: ops.unbind(t, 1), lambda t: ops.stack(t, 1)),
        (lambda t: ops.split(t, 2, 2), lambda t: ops.cat(t, 2)),
    ):
        assert ops.equal(back(there(a)), a)


def test_numpy_ints_are_sizes_and_axes_too() -> None:
    one, two = np.int64(1), np.int64(2)
    x = mc.tensor(np.arange(4.0))
    m = ops.reshape(x, [two, two])
    assert m.shape == (2, 2) and ops.reshape(m, np.int64(-1)).shape == (4,)
    assert ops.reshape(x, np.array([2, -1])).shape == (2, 2)
    assert [part.tolist() for part in ops.split(x, two)] == [[0, 1], [2, 3]]
    assert [part.shape for part in ops.split(x, np.array([1, 3]))] == [(1,), (3,)]
    assert ops.chunk(x, two)[1].tolist() == [2, 3]
    assert ops.flip(m, one).tolist() == [[1, 0], [3, 2]]
    assert ops.roll(x, one).tolist() == [3, 0, 1, 2]
    assert ops.roll(m, one, one).tolist() == [[1, 0], [3, 2]]
    assert ops.tile(x, two).shape == (8,) and ops.repeat(x, [two]).shape == (8,)
    assert ops.squeeze(ops.unsqueeze(m, one), one).shape == (2, 2)
    assert ops.movedim(m, one, np.int64(0)).tolist() == [[0, 2], [1, 3]]
    assert ops.expand(ops.reshape(x, (4, 1)), (np.int64(-1), two)).shape == (4, 2)
    assert ops.broadcast_to(mc.tensor(1.0), two).shape == ops.sum_to(m, two).shape == (2,)
    assert ops.pad(x, (one, two)).shape == (7,) and ops.sum(m, one).tolist() == [1, 5]
