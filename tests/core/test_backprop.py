"""The tape: order, accumulation, what is kept and freed, derivatives of every order, and its errors."""

from typing import ClassVar

import numpy as np
import pytest

import minicnn as mc
from minicnn.core import events


class Multiply(mc.Function):
    """A product written here, so that these tests stand on the engine alone."""

    def forward(self, a, b):
        self.keep_inputs(0, 1)
        return self.xp.multiply(a, b)

    def backward(self, gy):
        a, b = self.kept_inputs()
        return (times(gy, b) if self.needs(0) else None), (times(gy, a) if self.needs(1) else None)


class Plus(mc.Function):
    def forward(self, a, b):
        return self.xp.add(a, b)

    def backward(self, gy):
        return gy, gy


class Halves(mc.Function):
    """Two outputs, of which a caller may use one."""

    def forward(self, x):
        n = x.shape[0] // 2
        return x[:n], x[n:]

    def backward(self, first, second):
        some = first if first is not None else second
        xp = some.device.xp
        parts = [xp.zeros_like(some.data) if g is None else g.data for g in (first, second)]
        return mc.Tensor(xp.concatenate(parts), some.device)


def times(a, b):
    return Multiply()(a, b)


def plus(a, b):
    return Plus()(a, b)


def leaf(*values, dtype=np.float64):
    return mc.tensor(np.array(values, dtype), requires_grad=True)


def test_a_value_used_twice_gets_the_sum_of_both_gradients():
    x = leaf(3.0)
    plus(times(x, x), x).backward()
    assert x.grad.item() == 7.0


def test_gradients_of_a_shared_cotangent_do_not_share_memory():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = mc.tensor(np.ones(2))
    plus(a, b).backward(seed)
    a.grad.zero_()
    np.testing.assert_array_equal(b.grad.numpy(), 1.0)
    np.testing.assert_array_equal(seed.numpy(), 1.0)


def test_adding_up_many_gradients_leaves_every_partial_array_alone():
    x = leaf(1.0, 2.0)
    y = times(x, 1.0)
    seen = []
    y.register_hook(lambda g: seen.append(g.numpy().copy()))
    out = plus(plus(plus(y, y), y), y)
    seed = mc.tensor(np.array([1.0, 10.0]))
    out.backward(seed)
    np.testing.assert_array_equal(seed.numpy(), [1.0, 10.0])
    np.testing.assert_array_equal(seen[0], [4.0, 40.0])
    np.testing.assert_array_equal(x.grad.numpy(), [4.0, 40.0])


def test_backward_twice_accumulates_into_grad():
    x = leaf(2.0)
    y = times(x, x)
    y.backward(retain_graph=True)
    first = x.grad
    y.backward()
    assert (first.item(), x.grad.item()) == (4.0, 8.0)


def test_a_chain_of_100_000_nodes_does_not_recurse():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = plus(y, 0.0)
    y.backward()
    assert x.grad.item() == 1.0
    del y


def test_derivatives_of_every_order_of_a_cube():
    x = leaf(3.0)
    values = [times(times(x, x), x)]
    for _ in range(3):
        values += mc.grad(values[-1], x, create_graph=True)
    assert [v.item() for v in values] == [27.0, 27.0, 18.0, 6.0]


def test_grad_of_an_intermediate_value_and_no_side_effect_on_leaves():
    x = leaf(2.0)
    y = times(x, 3.0)
    z = times(y, y)
    gy, gx = mc.grad(z, [y, x])
    assert (gy.item(), gx.item(), x.grad) == (12.0, 36.0, None)


def test_grad_runs_only_the_nodes_between_outputs_and_inputs():
    x, w = leaf(2.0), leaf(5.0)
    hidden = times(x, 3.0)
    for _ in range(5):
        hidden = times(hidden, 1.0)
    z = times(w, hidden)
    ran = []
    with events.listen(lambda kind, *args: ran.append(kind)):
        mc.grad(z, w)
    assert ran.count("backward") == 1


def test_backward_calls_at_most_one_backward_for_each_forward():
    x = leaf(2.0)
    kinds = []
    with events.listen(lambda kind, *args: kinds.append((kind, type(args[0]).__name__))):
        y = times(x, x)
        z = plus(times(y, y), y)
        z.backward()
    forward = sum(k == "forward" and n != "Accumulate" for k, n in kinds[:3])
    assert forward == 3
    assert sum(k == "backward" for k, _ in kinds) == forward


def test_an_output_that_is_not_used_sends_none():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    first, _ = Halves()(x)
    first.backward(mc.tensor(np.array([5.0, 6.0])))
    np.testing.assert_array_equal(x.grad.numpy(), [5.0, 6.0, 0.0, 0.0])


def test_freed_values_are_named_with_the_remedy():
    x = leaf(2.0)
    y = times(x, x)
    y.backward()
    with pytest.raises(RuntimeError, match="multiply: the values saved for backward were freed.*retain_graph=True"):
        y.backward()


def test_an_input_changed_in_place_is_noticed():
    x = leaf(2.0)
    w = mc.tensor(np.array([3.0]))
    y = times(x, w)
    w.zero_()
    with pytest.raises(RuntimeError, match="multiply: an input of shape .* was changed in place"):
        y.backward()


def test_a_change_through_a_view_or_detach_is_noticed():
    class Reshape(mc.Function):
        def forward(self, x):
            return x.reshape(1, -1)

        def backward(self, gy):
            raise NotImplementedError

    for alias in (lambda t: Reshape()(t), lambda t: t.detach()):
        x, w = leaf(2.0, 3.0), mc.tensor(np.array([3.0, 4.0]))
        y = times(x, w)
        alias(w).fill_(0.0)
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward(mc.tensor(np.ones(2)))


def test_in_place_maths_on_history_and_on_leaves_is_refused_with_the_remedy():
    x = leaf(2.0)
    with pytest.raises(RuntimeError, match="leaf that requires grad.*no_grad"):
        x.zero_()
    with pytest.raises(RuntimeError, match="in-place maths on a tensor with history.*x = x \\+ y"):
        times(x, x).zero_()
    with mc.no_grad():
        x.fill_(4.0)
    assert x.item() == 4.0


def test_hooks_see_and_replace_gradients_and_can_be_removed():
    x = leaf(2.0)
    y = times(x, 3.0)
    remove = y.register_hook(lambda g: times(g, 10.0))
    y.retain_grad()
    times(y, 1.0).backward(retain_graph=True)
    assert (x.grad.item(), y.grad.item()) == (30.0, 10.0)
    x.grad = None
    remove()
    z = times(times(x, 3.0), 1.0)
    x.register_hook(lambda g: times(g, -1.0))
    z.backward()
    assert x.grad.item() == -3.0


def test_a_gradient_of_order_one_raises_when_it_is_differentiated_again():
    class Once(mc.Function):
        order = 1

        def forward(self, x):
            self.keep_inputs(0)
            return x * x

        def backward(self, gy):
            (x,) = self.kept_inputs()
            return mc.Tensor(2 * x.data * gy.data, x.device)

    x = leaf(3.0)
    (g,) = mc.grad(Once()(x), x, create_graph=True)
    assert g.item() == 6.0
    with pytest.raises(RuntimeError, match="once: its gradient is of order 1.*compose"):
        mc.grad(times(g, g), x)


def test_a_constant_input_that_requires_grad_is_refused_by_name():
    class Pick(mc.Function):
        constants: ClassVar = {1: "boxes are read, not differentiated"}

        def forward(self, x, boxes):
            return x

        def backward(self, gy):
            return gy, None

    with pytest.raises(RuntimeError, match=r"pick: input 1 is not differentiated \(boxes are read.*detach"):
        Pick()(leaf(1.0), leaf(2.0))


@pytest.mark.parametrize("wrong", ["shape", "dtype", "count"])
def test_a_backward_of_wrong_shape_dtype_or_count_is_named(wrong):
    class Wrong(mc.Function):
        def forward(self, x):
            return x * 1.0

        def backward(self, gy):
            if wrong == "count":
                return gy, gy
            return mc.Tensor(gy.data[:1] if wrong == "shape" else gy.data.astype(np.float32), gy.device)

    y = Wrong()(leaf(1.0, 2.0))
    with pytest.raises(RuntimeError, match="wrong: backward returned"):
        y.backward(mc.tensor(np.ones(2)))


def test_backward_needs_a_gradient_for_more_than_one_element():
    with pytest.raises(RuntimeError, match=r"output of shape \(2,\) needs a gradient"):
        times(leaf(1.0, 2.0), 1.0).backward()
    with pytest.raises(ValueError, match=r"gradient is \(3,\)"):
        times(leaf(1.0, 2.0), 1.0).backward(mc.tensor(np.ones(3)))
    with pytest.raises(RuntimeError, match="does not require grad"):
        mc.tensor(1.0).backward()


def test_unused_inputs_are_named_or_allowed():
    x, y = leaf(1.0), leaf(2.0)
    with pytest.raises(RuntimeError, match="grad: input 1 was not used"):
        mc.grad(times(x, x), [x, y])
    assert mc.grad(times(x, x), [x, y], allow_unused=True)[1] is None
    with pytest.raises(RuntimeError, match="input 0 does not require grad"):
        mc.grad(times(x, x), mc.tensor(1.0))


def test_nothing_is_recorded_under_no_grad_and_again_under_enable_grad():
    x = leaf(1.0)
    with mc.no_grad():
        assert times(x, x).node is None
        with mc.enable_grad():
            assert times(x, x).requires_grad
    assert mc.no_grad()(lambda: mc.is_grad_enabled())() is False
    assert mc.is_grad_enabled()


def test_mixed_devices_and_foreign_values_are_refused():
    with pytest.raises(TypeError, match=r"multiply: argument 1 must be a Tensor or a number, got list.*mc\.tensor"):
        times(leaf(1.0), [1.0])
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        mc.tensor([1.0], device="tpu")


def test_auxiliary_outputs_are_hidden_and_differentiable():
    class Exp(mc.Function):
        """exp with its logarithm's square as an auxiliary output that backward reads."""

        aux = 1

        def forward(self, x):
            self.keep_outputs(0, 1)
            return np.exp(x), x * x

        def backward(self, gy, gsquare):
            y, square = self.kept_outputs()
            assert square.node is self
            # d exp = y; written as y * (1 + square - square) so that the auxiliary output carries a gradient
            g = times(gy, plus(times(y, plus(square, 1.0)), times(times(y, square), -1.0)))
            if gsquare is not None:
                g = plus(g, times(gsquare, times(log(y), 2.0)))
            return g

    class Log(mc.Function):
        def forward(self, x):
            self.keep_inputs(0)
            return np.log(x)

        def backward(self, gy):
            raise NotImplementedError

    def log(t):
        return Log()(t)

    x = leaf(0.5)
    y = Exp()(x)
    (g,) = mc.grad(y, x, create_graph=True)
    (h,) = mc.grad(g, x)
    np.testing.assert_allclose([g.item(), h.item()], np.exp(0.5), rtol=1e-12)


def random_graph(seed):
    """Vectors and a shared scalar, added and multiplied at random: many values have several uses."""
    draw = np.random.default_rng(seed)
    x, s = leaf(1.0, 2.0, 3.0), mc.tensor(np.array(0.5), requires_grad=True)
    vectors, total = [times(x, 1.0), times(x, 2.0)], times(x, x).sum()
    for _ in range(draw.integers(3, 16)):
        a, b = (vectors[i] for i in draw.integers(0, len(vectors), 2))
        kind = draw.integers(0, 4)
        if kind == 0:
            vectors.append(plus(a, b))
        elif kind == 1:
            vectors.append(a * s)
        elif kind == 2:
            vectors.append(times(a, 0.5) - b)
        else:
            total = total * s + s * s - s + a.sum() * s
    for v in vectors[-4:]:
        total = total + v.sum() * s + s
    return x, s, total


@pytest.mark.parametrize("seed", range(40))
def test_backward_equals_the_recorded_gradient_on_random_graphs(seed):
    x, s, total = random_graph(seed)
    expected = mc.grad(total, [x, s], create_graph=True)
    x, s, total = random_graph(seed)
    total.backward()
    for found, reference in zip((x.grad, s.grad), expected, strict=True):
        np.testing.assert_allclose(found.numpy(), reference.detach().numpy(), rtol=1e-12)


def test_a_node_is_called_once():
    f, a = Multiply(), leaf(2.0)
    f(a, a)
    with pytest.raises(RuntimeError, match="multiply: this node already stands in a graph; make a new one"):
        f(a, a)


def test_an_output_that_is_its_input_shares_its_version():
    class Same(mc.Function):
        def forward(self, x):
            return x

        def backward(self, gy):
            return gy

    x = leaf(2.0)
    h = times(x, 1.0)
    y, z = Same()(h), times(h, h)
    with mc.no_grad():
        y.fill_(100.0)
    with pytest.raises(RuntimeError, match="changed in place"):
        z.backward()


def test_replacing_the_data_of_a_saved_input_is_noticed():
    x = leaf(3.0)
    y = times(x, x)
    x.data = np.array([100.0])
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_history_is_not_lost_by_writing_into_a_buffer():
    x, buffer = leaf(2.0), mc.tensor(np.zeros(2))
    with pytest.raises(RuntimeError, match="__setitem__: .*history would be lost"):
        buffer[0] = times(x, 3.0)[0]
    with pytest.raises(RuntimeError, match="copy_: .*detach"):
        buffer.copy_(times(x, 3.0))
    buffer[0:1] = times(x, 3.0).detach()
    assert buffer.tolist() == [6.0, 0.0]


def test_leaves_never_share_their_grad_also_with_create_graph():
    a, c = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = mc.tensor(np.ones(2))
    plus(a, c).backward(seed, create_graph=True)
    a.grad.zero_()
    assert c.grad.tolist() == seed.tolist() == [1.0, 1.0]


def test_operands_that_do_not_broadcast_are_named_with_the_op():
    with pytest.raises(ValueError, match=r"multiply: shapes \(2,\) and \(3,\) do not broadcast"):
        times(leaf(1.0, 2.0), leaf(1.0, 2.0, 3.0))


def test_infinities_are_values_and_not_warnings():
    with np.errstate(all="raise"):
        assert mc.ops.log(mc.tensor([0.0])).item() == -np.inf
        assert mc.ops.exp(mc.tensor([1000.0])).item() == np.inf


def test_a_leaf_takes_over_a_reshaped_gradient_only_if_nobody_else_holds_it():
    held = []

    class Reshaped(mc.Function):
        def __init__(self, keep):
            self.keep = keep

        def forward(self, x):
            return x.reshape(-1)

        def backward(self, gy):
            array = gy.data * 2.0
            if self.keep:
                held.append(array)
            return mc.Tensor(array.reshape(2, 3))

    for keep in (False, True):
        x = mc.tensor(np.ones((2, 3)), requires_grad=True)
        Reshaped(keep)(x).backward(mc.tensor(np.ones(6)))
        assert x.grad.tolist() == [[2.0] * 3] * 2
    x.grad.data[...] = 0
    assert held[0].tolist() == [2.0] * 6
