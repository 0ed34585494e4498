"""The CPU backend: NumPy for arrays, numba for kernels; kernel modules load when an op first asks for them."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from minicnn.backends.cpu import arrays, memory

memory.keep_freed_memory()


def sources() -> list[Path]:
    """The files that decide what this backend computes: its own, and those that it shares with other devices."""
    here = Path(__file__).parent
    return sorted([*here.rglob("*.py"), *here.parent.glob("*.py")])


def to_host(array: Any) -> Any:
    """The array as NumPy sees it; nothing to do on this device."""
    return array


class Uploader:
    """A batch is where it is needed: nothing to copy."""

    def mark(self) -> None:
        """Nothing is under way."""

    def start(self, hosts: Sequence[Any], mark: None) -> list[Any]:
        """The arrays."""
        return list(hosts)

    def finish(self, started: list[Any]) -> list[Any]:
        """The arrays."""
        return started

    def close(self) -> None:
        """Nothing to wait for."""


def uploader() -> Uploader:
    """What brings batches to this device ahead of their use."""
    return Uploader()


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name == f"{__name__}.{name}":
            raise AttributeError(f"minicnn.backends.cpu has no kernel module {name!r}") from None
        raise


__all__ = ["arrays", "sources", "to_host", "uploader"]
