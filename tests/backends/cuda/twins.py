"""Runs a function of the CUDA backend on a device beside its twin of the CPU backend."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from minicnn.backends import cpu
from minicnn.backends.cuda import Backend, load_emulated
from minicnn.core.device import device as find_device

TOLERANCE = {8: 1e-12, 4: 2e-5}


@cache
def emulated() -> Backend:
    """The emulated device, for tests that look behind its arrays."""
    return load_emulated()


class Twins:
    """The functions of one device, with host arrays in and out."""

    def __init__(self, device: str) -> None:
        self.backend = find_device(device).backend

    def there(self, value: Any) -> Any:
        """Host arrays, also those in tuples, as arrays of the device."""
        if isinstance(value, np.ndarray):
            return self.backend.arrays.array(value)
        return tuple(self.there(v) for v in value) if type(value) is tuple else value

    def here(self, value: Any) -> Any:
        if isinstance(value, tuple | list):
            return tuple(self.here(v) for v in value)
        return self.backend.to_host(value) if self.backend.runtime.is_array(value) else value

    def result(self, name: str, *args: Any) -> Any:
        """What ``"module.function"`` of the device gives, on the host."""
        module, function = name.split(".")
        return self.here(getattr(getattr(self.backend, module), function)(*map(self.there, args)))

    def agree(self, name: str, *args: Any) -> Any:
        """The device's result, which must be the CPU's."""
        module, function = name.split(".")
        mine = self.result(name, *args)
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
