"""Gradient clipping."""

import math

import numpy as np
import pytest

import minicnn as mc


def params():
    rng = np.random.default_rng(0)
    made = [mc.tensor(rng.normal(size=s), requires_grad=True) for s in ((3, 4), (5,), (2,))]
    for p in made[:2]:
        p.grad = mc.tensor(rng.normal(size=p.shape) * 3)
    return made  # the last has no gradient


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, math.inf])
def test_the_joint_norm_is_returned_and_brought_down(norm_type):
    made = params()
    flat = np.concatenate([p.grad.numpy().ravel() for p in made[:2]])
    total = mc.optim.clip_grad_norm_(made, 0.5, norm_type)
    assert total.item() == pytest.approx(np.linalg.norm(flat, norm_type), rel=1e-12)
    after = np.concatenate([p.grad.numpy().ravel() for p in made[:2]])
    np.testing.assert_allclose(after, flat * 0.5 / (total.item() + 1e-6), rtol=1e-12)


def test_small_gradients_are_left_alone():
    made = params()
    before = [p.grad for p in made[:2]]
    mc.optim.clip_grad_norm_(made, 1e6)
    assert all(p.grad is g for p, g in zip(made[:2], before, strict=True))


def test_a_gradient_that_two_leaves_share_is_scaled_once_for_each():
    a, b = mc.tensor([1.0], requires_grad=True), mc.tensor([1.0], requires_grad=True)
    a.grad = b.grad = mc.tensor([3.0])
    mc.optim.clip_grad_norm_([a, b], 1.0)
    assert a.grad.item() == pytest.approx(1 / math.sqrt(2), rel=1e-5)
    assert b.grad.item() == pytest.approx(1 / math.sqrt(2), rel=1e-5)


def test_a_norm_that_is_not_finite_can_raise():
    w = mc.tensor([1.0], requires_grad=True)
    w.grad = mc.tensor([math.nan])
    with pytest.raises(RuntimeError, match="norm of the gradients is nan"):
        mc.optim.clip_grad_norm_([w], 1.0, error_if_nonfinite=True)


def test_a_large_tensors_norm_does_not_depend_on_blocks():
    w = mc.tensor(np.zeros(100_003, np.float32), requires_grad=True)
    w.grad = mc.tensor(np.random.default_rng(1).normal(size=100_003).astype(np.float32))
    total = mc.optim.clip_grad_norm_(w, math.inf).item()
    assert total == pytest.approx(np.linalg.norm(w.grad.numpy().astype(np.float64)), rel=1e-6)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, math.inf])
def test_gradients_of_a_device_are_read_once_however_many(device, norm_type, monkeypatch):
    made, reads = params(), []
    expected = mc.optim.clip_grad_norm_(params(), 0.5, norm_type).item()
    there = [p.detach().to(device) for p in made[:2]]
    for p, q in zip(there, made, strict=False):
        p.grad = q.grad.to(device)
    runtime = type(there[0].device.backend.runtime)
    to_host = runtime.to_host
    monkeypatch.setattr(runtime, "to_host", lambda self, array: reads.append(array.shape) or to_host(self, array))
    total = mc.optim.clip_grad_norm_(there, 0.5, norm_type)
    assert reads == [(2,)]
    assert total.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("norm_type", [1.0, 3.0, math.inf])
def test_norms_of_halves_do_not_overflow(kind, norm_type):
    w = mc.tensor(np.zeros(4096), dtype=kind, requires_grad=True)
    w.grad = mc.tensor(np.full(4096, 40.0), dtype=kind)
    total = mc.optim.clip_grad_norm_(w, 1e9, norm_type).item()
    assert total == pytest.approx(np.linalg.norm(np.full(4096, 40.0), norm_type), rel=1e-2)


def test_values_are_cut():
    made = params()
    before = made[0].grad.numpy().copy()
    mc.optim.clip_grad_value_(made, 0.5)
    np.testing.assert_array_equal(made[0].grad.numpy(), np.clip(before, -0.5, 0.5))


def test_nothing_to_clip():
    assert mc.optim.clip_grad_norm_([], 1.0).item() == 0.0
