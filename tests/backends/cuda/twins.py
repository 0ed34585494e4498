"""Runs a function of the CUDA backend on the emulated device beside its twin of the CPU backend."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from minicnn.backends import cpu
from minicnn.backends.cuda import Backend, load_emulated

TOLERANCE = {8: 1e-12, 4: 2e-5}


@cache
def emulated() -> Backend:
    return load_emulated()


def on_device(value: Any) -> Any:
    """Host arrays, also those in tuples, as arrays of the device."""
    if isinstance(value, np.ndarray):
        return emulated().arrays.array(value)
    return tuple(on_device(v) for v in value) if type(value) is tuple else value


def on_host(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(on_host(v) for v in value)
    return emulated().to_host(value) if hasattr(value, "host") else value


def device_result(name: str, *args: Any) -> Any:
    """What ``"module.function"`` of the device gives, on the host."""
    module, function = name.split(".")
    return on_host(getattr(getattr(emulated(), module), function)(*map(on_device, args)))


def assert_twins(name: str, *args: Any) -> Any:
    """The device's result, which must be the CPU's."""
    module, function = name.split(".")
    mine = device_result(name, *args)
    theirs = getattr(getattr(cpu, module), function)(*args)
    pairs = zip(mine, theirs, strict=True) if isinstance(theirs, tuple) else [(mine, theirs)]
    for m, t in pairs:
        if t is None:
            assert m is None
            continue
        tolerance = TOLERANCE[t.dtype.itemsize] if t.dtype.kind == "f" else 0
        finite = t[np.isfinite(t)] if t.dtype.kind == "f" else t
        scale = float(np.abs(finite).max(initial=1))
        np.testing.assert_allclose(m, t, rtol=0, atol=tolerance * scale, strict=True)
    return mine
