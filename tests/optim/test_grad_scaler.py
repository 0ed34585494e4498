"""Loss scaling, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minicnn as mc


def scaled(scaler: Any, w: Any, slope: float, optimizer: Any) -> None:
    optimizer.zero_grad()
    scaler.scale((w * slope).sum()).backward()
    scaler.step(optimizer)
    scaler.update()


def test_a_step_is_that_without_scaling() -> None:
    w = mc.tensor([1.0, 2.0], requires_grad=True)
    optimizer, scaler = mc.optim.SGD([w], lr=0.5), mc.GradScaler("cpu")
    scaled(scaler, w, 3.0, optimizer)
    assert w.tolist() == [-0.5, 0.5]
    assert scaler.get_scale() == 65536.0


def test_the_scale_backs_off_and_grows() -> None:
    w = mc.tensor([1.0], requires_grad=True)
    optimizer, scaler = mc.optim.SGD([w], lr=0.5), mc.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    scaled(scaler, w, float("inf"), optimizer)
    assert (w.item(), scaler.get_scale()) == (1.0, 4.0)
    scaled(scaler, w, float("nan"), optimizer)
    assert (w.item(), scaler.get_scale()) == (1.0, 2.0)
    scaled(scaler, w, 1.0, optimizer)
    assert scaler.get_scale() == 2.0
    scaled(scaler, w, 1.0, optimizer)
    assert (w.item(), scaler.get_scale()) == (0.0, 4.0)
    scaled(scaler, w, float("inf"), optimizer)  # a fault sets the count of good steps back, too
    scaled(scaler, w, 1.0, optimizer)
    assert scaler.get_scale() == 2.0
    scaler.update(32.0)
    assert scaler.get_scale() == 32.0


def test_gradients_may_be_clipped_after_unscaling() -> None:
    w = mc.tensor([1.0], requires_grad=True)
    optimizer, scaler = mc.optim.SGD([w], lr=1.0), mc.GradScaler("cpu", init_scale=8.0)
    scaler.scale((w * 100.0).sum()).backward()
    before = w.grad
    scaler.unscale_(optimizer)
    assert before.item() == 800.0
    assert mc.optim.clip_grad_norm_([w], 0.5).item() == 100.0
    scaler.step(optimizer)
    scaler.update()
    assert w.item() == pytest.approx(0.5)


def test_one_bad_optimizer_does_not_stop_another() -> None:
    a, b = mc.tensor([1.0], requires_grad=True), mc.tensor([1.0], requires_grad=True)
    first, second, scaler = mc.optim.SGD([a], lr=1.0), mc.optim.SGD([b], lr=1.0), mc.GradScaler("cpu", init_scale=2.0)
    for loss in scaler.scale([(a * float("inf")).sum(), (b * 1.0).sum()]):
        loss.backward()
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    assert (a.item(), b.item(), scaler.get_scale()) == (1.0, 0.0, 1.0)


def test_calls_in_the_wrong_order_are_errors() -> None:
    w = mc.tensor([1.0], requires_grad=True)
    optimizer, scaler = mc.optim.SGD([w], lr=1.0), mc.GradScaler("cpu")
    with pytest.raises(RuntimeError, match="no gradients were looked at"):
        scaler.update()
    scaler.scale(w.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="unscale_ was already called"):
        scaler.unscale_(optimizer)
    with pytest.raises(TypeError, match="does not take a closure"):
        scaler.step(optimizer, lambda: None)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="step was already called"):
        scaler.step(optimizer)
    for bad in ({"init_scale": 0.0}, {"growth_factor": 1.0}, {"backoff_factor": 1.0}, {"growth_interval": 0}):
        with pytest.raises(ValueError, match="GradScaler: needs init_scale > 0"):
            mc.GradScaler("cpu", **bad)


def test_half_gradients_and_other_devices_are_errors() -> None:
    w = mc.tensor([1.0], dtype="float16", requires_grad=True)
    scaler = mc.GradScaler("cpu", init_scale=2.0)
    scaler.scale(w.sum()).backward()
    with pytest.raises(ValueError, match="gradients must be float32"):
        scaler.unscale_(mc.optim.SGD([w], lr=1.0))
    with pytest.raises(ValueError, match="a parameter lives on cpu, the scaler on cuda"):
        mc.GradScaler("cuda").unscale_(mc.optim.SGD([w], lr=1.0))


def test_the_state_continues() -> None:
    w = mc.tensor([1.0], requires_grad=True)
    scaler = mc.GradScaler("cpu", init_scale=8.0, growth_interval=3)
    scaled(scaler, w, 1.0, mc.optim.SGD([w], lr=1.0))
    other = mc.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()
    assert other.state_dict() == {
        "scale": 8.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 3, "_growth_tracker": 1
    }  # fmt: skip
    with pytest.raises(ValueError, match="the state lacks _growth_tracker"):
        other.load_state_dict({k: v for k, v in scaler.state_dict().items() if k[0] != "_"})


def test_disabled_is_a_plain_loop() -> None:
    w = mc.tensor([1.0], requires_grad=True)
    optimizer, scaler = mc.optim.SGD([w], lr=1.0), mc.GradScaler("cpu", enabled=False)
    loss = w.sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert (w.item(), scaler.get_scale(), scaler.is_enabled(), scaler.state_dict()) == (0.0, 1.0, False, {})


def test_scaling_saves_gradients_that_half_would_lose(device: str) -> None:
    def gradient(scale: float) -> Any:
        w = mc.tensor(np.ones((2, 2), np.float32), device=device, requires_grad=True)
        scaler = mc.GradScaler(device, init_scale=scale)
        with mc.autocast(device):
            loss = mc.ops.linear(mc.tensor(np.ones((1, 2), np.float32), device=device), w).sum() * 1e-8
        scaler.scale(loss).backward()
        scaler.unscale_(mc.optim.SGD([w], lr=1.0))
        return w.grad.numpy()

    assert (gradient(1.0) == 0).all()
    np.testing.assert_allclose(gradient(65536.0), 1e-8, rtol=1e-3)
