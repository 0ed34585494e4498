"""Batches on a device, one ahead, and a place that counts only those handed out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minicnn as mc
from minicnn.backends.cuda.emulator import compiler
from minicnn.data import ArrayDataset, DataLoader, DeviceLoader

DEVICES = ["cpu", pytest.param("cuda-emulated", marks=pytest.mark.skipif(compiler() is None, reason="needs g++"))]


def loader(device: str) -> tuple[DataLoader, DeviceLoader]:
    plain = DataLoader(ArrayDataset(np.arange(10), np.arange(10.0)), batch_size=3, shuffle=True, seed=4)
    return plain, DeviceLoader(
        DataLoader(ArrayDataset(np.arange(10), np.arange(10.0)), batch_size=3, shuffle=True, seed=4), device
    )


def values(batches: Any) -> list[list[Any]]:
    return [[np.asarray(element).tolist() for element in batch] for batch in batches]


@pytest.mark.parametrize("device", DEVICES)
def test_the_batches_are_the_loaders_own_on_the_device(device: str) -> None:
    plain, there = loader(device)
    assert len(there) == len(plain)
    for _ in range(2):
        batches = list(there)
        assert all(isinstance(x, mc.Tensor) and x.device == device for batch in batches for x in batch)
        assert values(batches) == values(plain)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("stop", [1, 2, 4])
def test_a_saved_place_leaves_no_batch_out(device: str, stop: int) -> None:
    plain, there = loader(device)
    expected = values(plain) + values(plain)
    seen = []
    for batch in there:
        seen.append(batch)
        if len(seen) == stop:
            state = there.state_dict()
            break
    again = loader(device)[1]
    again.load_state_dict(state)
    assert values(seen) + values(again) + values(again) == expected  # the rest of the epoch, perhaps none, and the next


def test_leaving_the_loop_early_and_starting_again_gives_the_next_epoch() -> None:
    plain, there = loader("cpu")
    next(iter(plain))
    next(iter(there))
    assert values(there) == values(plain)
