"""Recomputation gives the plain call's gradients, of every order, and leaves side effects alone."""

import numpy as np
import pytest

import minicnn as mc
from minicnn.core import rng


def leaf(seed, *shape):
    return mc.tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True)


def block(x, w):
    return ((x * w).exp() * x).tanh()


def test_gradients_of_inputs_and_closed_over_parameters_equal_the_plain_call():
    x, w = leaf(0, 4), leaf(1, 4)
    expected = mc.grad(block(x, w).sum(), [x, w])
    found = mc.grad(mc.checkpoint(lambda v: block(v, w), x).sum(), [x, w])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_second_derivatives_equal_the_plain_call():
    x, w = leaf(0, 4), leaf(1, 4)

    def curvature(f):
        (g,) = mc.grad(f(x).sum(), x, create_graph=True)
        return mc.grad((g * g).sum(), [x, w])

    expected = curvature(lambda v: block(v * v, w))
    found = curvature(lambda v: mc.checkpoint(lambda u: block(u, w), v * v))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-13)


def test_intermediate_values_are_not_kept_until_backward_asks():
    x = leaf(0, 4)
    y = mc.checkpoint(lambda v: v.exp().exp(), x)
    assert y.node._saved_outputs is None
    assert y.node.segment is not None


def test_the_segment_runs_once_more_and_not_more_often():
    runs = []

    def f(v):
        runs.append(1)
        return v.exp().tanh().exp()

    x = leaf(0, 3)
    mc.checkpoint(f, x).sum().backward()
    assert len(runs) == 2


def test_nested_segments_work():
    x, w = leaf(0, 4), leaf(1, 4)
    inner = lambda v: mc.checkpoint(lambda u: block(u, w), v) * v  # noqa: E731
    expected = mc.grad(block(x, w).__mul__(x).exp().sum(), x)[0]
    found = mc.grad(mc.checkpoint(lambda v: inner(v).exp(), x).sum(), x)[0]
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_dropout_masks_repeat_and_the_random_state_moves_on_once():
    x = leaf(0, 50)
    rng.manual_seed(3)
    plain = mc.grad((mc.ops.dropout(x, 0.5) * x).sum(), x)[0]
    after = rng.get_state()
    rng.manual_seed(3)
    y = mc.checkpoint(lambda v: mc.ops.dropout(v, 0.5) * v, x).sum()
    rng.stream("dropout").bits(1)  # somebody else draws before backward
    (found,) = mc.grad(y, x)
    np.testing.assert_array_equal(found.numpy(), plain.numpy())
    after["calls"]["dropout"] += 1
    assert rng.get_state() == after


def test_batch_norm_statistics_are_updated_once():
    def run(wrap):
        x = leaf(0, 6, 2)
        mean, var = mc.tensor(np.zeros(2)), mc.tensor(np.ones(2))
        f = lambda v: mc.ops.batch_norm(v, mean, var, training=True).exp()  # noqa: E731
        (mc.checkpoint(f, x) if wrap else f(x)).sum().backward()
        return mean.numpy(), var.numpy(), x.grad.numpy()

    for plain, recomputed in zip(run(False), run(True), strict=True):
        np.testing.assert_array_equal(plain, recomputed)


def test_a_function_that_does_not_repeat_itself_is_named():
    calls = []

    def f(v):
        calls.append(1)
        return v.exp() if len(calls) == 1 else v.tanh()

    y = mc.checkpoint(f, leaf(0, 3)).sum()
    with pytest.raises(RuntimeError, match="checkpoint: exp became tanh"):
        y.backward()


def test_an_input_changed_in_between_is_named():
    x = leaf(0, 3)
    w = mc.tensor(np.ones(3))
    y = mc.checkpoint(lambda v, u: (v * u).exp(), x, w).sum()
    w.zero_()
    with pytest.raises(RuntimeError, match="checkpoint: an input or parameter of shape .* was changed in place"):
        y.backward()


def test_a_closed_over_parameter_changed_in_between_is_named():
    x, w = leaf(0, 3), leaf(1, 3)
    y = mc.checkpoint(lambda v: (v * w).exp(), x).sum()
    with mc.no_grad():
        w.fill_(0.0)
    with pytest.raises(RuntimeError, match="checkpoint: an input or parameter"):
        y.backward()


def test_a_replay_is_not_noticed_by_held_streams():
    x = leaf(0, 20)
    held = rng.stream("dropout")
    y = mc.checkpoint(lambda v: mc.ops.dropout(v, 0.5) * v, x).sum()
    before = held.call
    y.backward()
    assert rng.stream("dropout") is held
    assert held.call == before
