"""Whole nets on the device: the same start, the same masks, and steps that agree with the CPU's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minicnn as mc

OPTIMISERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda p: mc.optim.SGD(p, lr=0.1),
    "sgd-momentum": lambda p: mc.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "sgd-nesterov": lambda p: mc.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "sgd-maximize": lambda p: mc.optim.SGD(p, lr=0.01, momentum=0.5, maximize=True),
    "lars": lambda p: mc.optim.LARS(p, lr=1.0, trust_coefficient=0.1, weight_decay=0.01),
    "adagrad": lambda p: mc.optim.Adagrad(p, lr=0.1, lr_decay=0.1, initial_accumulator_value=0.1),
    "adadelta": lambda p: mc.optim.Adadelta(p, weight_decay=0.01),
    "rmsprop": lambda p: mc.optim.RMSprop(p, lr=0.01, eps=0.01),
    "rmsprop-centered": lambda p: mc.optim.RMSprop(
        p, lr=0.01, momentum=0.9, centered=True, eps_inside_root=True, eps=0.1
    ),
    "adam": lambda p: mc.optim.Adam(p, lr=0.01, eps=1e-3, weight_decay=0.01),
    "adam-amsgrad": lambda p: mc.optim.Adam(p, lr=0.01, eps=1e-3, amsgrad=True),
    "adamw": lambda p: mc.optim.AdamW(p, lr=0.01, eps=1e-3, weight_decay=0.1),
    "lbfgs": lambda p: mc.optim.LBFGS(p, lr=0.5, max_iter=3, line_search_fn="strong_wolfe"),
}


def perceptron() -> Any:
    """Pooling, both kinds of norm, dropout."""
    mc.manual_seed(3)
    return mc.nn.Sequential(
        mc.nn.MaxPool2d(2),
        mc.nn.GroupNorm(1, 2),
        mc.nn.Flatten(),
        mc.nn.Linear(18, 12),
        mc.nn.BatchNorm1d(12),
        mc.nn.ReLU(),
        mc.nn.Dropout(0.25),
        mc.nn.Linear(12, 5),
    )


def lenet() -> Any:
    """Two convolutions; needs the convolution module."""
    mc.manual_seed(4)
    return mc.nn.Sequential(
        mc.nn.Conv2d(2, 4, 3, padding=1),
        mc.nn.BatchNorm2d(4),
        mc.nn.Tanh(),
        mc.nn.MaxPool2d(2),
        mc.nn.Conv2d(4, 6, 3),
        mc.nn.ReLU(),
        mc.nn.Flatten(),
        mc.nn.Linear(6, 5),
    )


def batches(count: int = 3) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    return [
        (rng.standard_normal((7, 2, 6, 6)).astype(np.float32), rng.integers(0, 5, 7).astype(np.int64))
        for _ in range(count)
    ]


def weights(net: Any) -> dict[str, Any]:
    return {name: value.numpy().copy() for name, value in net.state_dict().items()}


def train(
    make: Callable[[], Any], optimiser: Callable[[Any], Any], device: str, after: Callable[[Any], None] | None = None
) -> tuple[list[float], dict[str, Any], Any]:
    """Losses of three steps, the weights then, and the logits in eval mode."""
    net = make().to(device)
    steps, losses = optimiser(net.parameters()), []
    for x, labels in batches():
        images, target = mc.tensor(x, device=device), mc.tensor(labels, device=device)

        def closure(images: Any = images, target: Any = target) -> Any:
            steps.zero_grad()
            loss = mc.ops.cross_entropy(net(images), target)
            loss.backward()
            if after:
                after(net)
            return loss

        losses.append(steps.step(closure).item())
    net.eval()
    with mc.no_grad():
        logits = net(mc.tensor(batches()[0][0], device=device))
    assert logits.device == device
    return losses, weights(net), logits.numpy()


def assert_close(mine: Any, theirs: Any, tolerance: float = 2e-4) -> None:
    np.testing.assert_allclose(mine[0], theirs[0], rtol=tolerance, atol=tolerance)
    for name, value in theirs[1].items():
        np.testing.assert_allclose(mine[1][name], value, rtol=tolerance, atol=tolerance, err_msg=name)
    np.testing.assert_allclose(mine[2], theirs[2], rtol=tolerance, atol=10 * tolerance)


def test_weights_start_bit_identical(device: str) -> None:
    mc.manual_seed(3)
    there, here = weights(perceptron().to(device)), weights(perceptron())
    assert list(there) == list(here)
    for name, value in here.items():
        np.testing.assert_array_equal(there[name], value)


def test_masks_are_bit_identical(device: str) -> None:
    x = np.ones((3, 5, 7), np.float32)
    for p in (0.0, 0.3, 0.5, 1.0):
        mc.manual_seed(9)
        here = [mc.ops.dropout(mc.tensor(x), p).numpy() for _ in range(3)]
        mc.manual_seed(9)
        there = [mc.ops.dropout(mc.tensor(x, device=device), p).numpy() for _ in range(3)]
        np.testing.assert_array_equal(there, here)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_steps_agree_with_the_cpus(device: str, name: str) -> None:
    found = train(perceptron, OPTIMISERS[name], device)
    # a line search compares losses: what rounding decides there moves the point by the root of the precision
    assert_close(found, train(perceptron, OPTIMISERS[name], "cpu"), 2e-2 if name == "lbfgs" else 2e-4)


def test_a_net_with_convolutions_trains(device: str) -> None:
    found = train(lenet, OPTIMISERS["sgd-momentum"], device)
    assert_close(found, train(lenet, OPTIMISERS["sgd-momentum"], "cpu"))


@pytest.mark.parametrize("norm_type", [2.0, 1.0, math.inf])
def test_clipped_gradients_agree(device: str, norm_type: float) -> None:
    norms: dict[str, list[float]] = {"cpu": [], device: []}

    def clip(net: Any) -> None:
        first = next(net.parameters())
        norms[str(first.device)].append(mc.optim.clip_grad_norm_(net.parameters(), 0.1, norm_type).item())
        mc.optim.clip_grad_value_(net.parameters(), 0.05)

    found = train(perceptron, OPTIMISERS["sgd-momentum"], device, clip)
    assert_close(found, train(perceptron, OPTIMISERS["sgd-momentum"], "cpu", clip))
    np.testing.assert_allclose(norms[device], norms["cpu"], rtol=1e-4)
    assert max(norms["cpu"]) > 0.1


def test_averages_follow_the_weights_of_the_device(device: str) -> None:
    def averaged(device: str) -> list[Any]:
        net = perceptron().to(device)
        kept = [mc.optim.EMA(net.parameters(), 0.5), mc.optim.SWA(net.parameters())]
        steps = mc.optim.SGD(net.parameters(), lr=0.1)
        for x, labels in batches():
            steps.zero_grad()
            mc.ops.cross_entropy(net(mc.tensor(x, device=device)), mc.tensor(labels, device=device)).backward()
            steps.step()
            for average in kept:
                average.update()
        found = []
        for average in kept:
            restored = type(average)(net.parameters())
            restored.load_state_dict(average.state_dict())
            with restored.applied():
                found.append(weights(net))
        return found

    for mine, theirs in zip(averaged(device), averaged("cpu"), strict=True):
        for name, value in theirs.items():
            np.testing.assert_allclose(mine[name], value, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("towards", ["the device", "the cpu"])
def test_training_continues_on_another_device(device: str, towards: str) -> None:
    source, target = ("cpu", device) if towards == "the device" else (device, "cpu")

    def step(net: Any, steps: Any, batch: tuple[Any, Any], device: str) -> None:
        steps.zero_grad()
        mc.ops.cross_entropy(net(mc.tensor(batch[0], device=device)), mc.tensor(batch[1], device=device)).backward()
        steps.step()

    first, second, third = batches()
    net = perceptron().to(source)
    steps = mc.optim.Adam(net.parameters(), lr=0.01, eps=1e-3)
    step(net, steps, first, source)
    step(net, steps, second, source)
    kept, state = net.state_dict(), steps.state_dict()

    moved = perceptron().to(target)
    moved.load_state_dict(kept)
    for name, value in weights(net).items():
        np.testing.assert_array_equal(weights(moved)[name], value)
    again = mc.optim.Adam(moved.parameters(), lr=0.01, eps=1e-3)
    again.load_state_dict(state)
    mc.manual_seed(5)
    step(moved, again, third, target)
    mc.manual_seed(5)
    step(net, steps, third, source)
    for name, value in weights(net).items():
        np.testing.assert_allclose(weights(moved)[name], value, rtol=2e-4, atol=2e-4)
