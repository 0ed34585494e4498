"""What concerns a GPU as a whole, as far as the emulated one shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minicnn as mc
from minicnn.backends.cuda import emulator


@pytest.fixture
def launched() -> Iterator[list[str]]:
    names: list[str] = []

    def note(kernel: Any, *_: Any) -> None:
        names.append(kernel.name)

    emulator.LISTENERS.append(note)
    yield names
    emulator.LISTENERS.remove(note)


def embed(device: str) -> Any:
    weight = mc.tensor(np.ones((3, 2)), device=device, requires_grad=True)
    mc.ops.embedding(mc.tensor([2, 0, 2], device=device), weight).sum().backward()
    return weight.grad


def unpool(device: str) -> Any:
    x = mc.tensor(np.arange(1.0, 9).reshape(1, 2, 2, 2), device=device)
    return mc.ops.max_unpool2d(x, mc.tensor(np.array([[[[0, 5], [2, 3]]] * 2]).reshape(1, 2, 2, 2), device=device), 2)


def align(device: str) -> Any:
    x = mc.tensor(np.ones((1, 2, 4, 4)), device=device, requires_grad=True)
    mc.ops.roi_align(x, mc.tensor([[0.0, 0.0, 0.0, 3.0, 3.0]], device=device), 2).sum().backward()
    return x.grad


SUMS: dict[str, Callable[[str], Any]] = {
    "add_rows_atomic": embed,
    "scatter_planes_atomic": unpool,
    "roi_align_adjoint_atomic": align,
}


@pytest.mark.skipif(emulator.compiler() is None, reason="needs a C++20 compiler")
@pytest.mark.parametrize("kernel", SUMS)
def test_atomics_are_used_only_where_they_are_allowed(launched: list[str], kernel: str) -> None:
    ordered = SUMS[kernel]("cuda-emulated")
    assert kernel not in launched
    with mc.cuda.atomics():
        summed = SUMS[kernel]("cuda-emulated")
    assert kernel in launched
    np.testing.assert_allclose(summed.numpy(), ordered.numpy(), rtol=1e-12)
    launched.clear()
    SUMS[kernel]("cuda-emulated")
    assert kernel not in launched
