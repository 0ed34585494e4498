"""Moving between devices, on two names of the same backend: what no case of one device can reach."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest

import minicnn as mc
from minicnn.core import device


@pytest.fixture
def twin() -> Iterator[str]:
    device.register("cpu-twin", lambda: import_module("minicnn.backends.cpu"))
    yield "cpu-twin"
    device._LOADERS.pop("cpu-twin")
    device._DEVICES.pop("cpu-twin")


def test_the_gradient_travels_back(twin: str) -> None:
    x = mc.tensor([1.0, 2.0], requires_grad=True)
    y = x.to(twin)
    assert y.device == twin
    (y * y).sum().backward()
    assert x.grad is not None
    assert x.grad.device == "cpu"
    assert x.grad.tolist() == [2.0, 4.0]


def test_second_derivatives_pass_through_the_move(twin: str) -> None:
    x = mc.tensor([1.0, 2.0], requires_grad=True)
    (g,) = mc.grad((x.to(twin) ** 3).sum(), x, create_graph=True)
    (h,) = mc.grad(g.sum(), x)
    assert h.tolist() == [6.0, 12.0]


def test_an_op_refuses_inputs_of_two_devices(twin: str) -> None:
    x = mc.tensor([1.0])
    with pytest.raises(ValueError, match="different devices"):
        x + x.to(twin)
