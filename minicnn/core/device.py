"""Devices by name, and the backend module that computes on each.

The engine never imports a backend: rooms above it register a loader under the device's name, and the first
Tensor on that device loads it. A :class:`Device` is a ``str``, so ``x.device == "cpu"`` reads as in PyTorch.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

_LOADERS: dict[str, Callable[[], Any]] = {}
_DEVICES: dict[str, "Device"] = {}


class DeviceUnavailableError(RuntimeError):
    """The device is known, but this machine cannot serve it; the message says what is missing."""


class Device(str):  # noqa: SLOT000 - one object per device; it caches its backend
    """A device's name with the backend behind it; obtained from :func:`device`, one object per name."""

    @cached_property
    def backend(self) -> Any:
        """Kernel modules of this device (loaded on first use)."""
        return _LOADERS[self]()

    @cached_property
    def xp(self) -> Any:
        """Array namespace of this device: NumPy's names, this device's arrays."""
        return self.backend.arrays

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (str(self),)  # a copied or unpickled Tensor lives on the same object: one per name

    def __repr__(self) -> str:
        return f"device({str(self)!r})"


def register(name: str, load: Callable[[], Any]) -> None:
    """Make ``name`` a device; ``load`` returns its backend module and runs when it is first needed."""
    _LOADERS[name] = load
    _DEVICES[name] = Device(name)


def device(name: "str | None" = None) -> Device:
    """The device of that name (``"cpu"`` for ``None``).

    Raises
    ------
    ValueError
        If no backend registered the name.
    """
    found = _DEVICES.get(name or "cpu")
    if found is None:
        raise ValueError(f"device: unknown device {name!r}; known devices are {', '.join(sorted(_DEVICES))}")
    return found
