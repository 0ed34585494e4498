"""Contracts that every op keeps, whatever it computes: laws that a test can read off nodes and calls."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicnn.core import events
from minicnn.core.function import Function
from minicnn.core.tensor import Tensor

#: Attributes through which the engine itself holds arrays that it tracks.
_ENGINE = {"_saved_inputs", "_saved_outputs", "backend", "xp", "device", "edges", "hooks", "segment"}


def smuggled_arrays(node: Function) -> list[str]:
    """Attributes of a node that hold float arrays or Tensors without being declared as constants.

    What backward reads and what depends on an input must be kept through ``keep_inputs`` or ``keep_outputs``, or the
    second derivative is silently wrong. A true constant (a dropout mask) is named in the class attribute
    ``constant_arrays``, a tuple of attribute names.

    Parameters
    ----------
    node : Function
        After its forward ran.

    Returns
    -------
    list of str
        Names of the offending attributes; empty where the law is kept.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.core.function import Function
    >>> from minicnn.testing.contracts import smuggled_arrays
    >>> node = Function()
    >>> node.inv_std = np.ones(3)
    >>> smuggled_arrays(node)
    ['inv_std']
    """
    declared = set(getattr(node, "constant_arrays", ()))
    return [
        name for name, value in vars(node).items()
        if name not in _ENGINE and name not in declared and _holds_float(value)
    ]


def _holds_float(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.dtype.kind == "f"
    if isinstance(value, (list, tuple)):
        return any(_holds_float(v) for v in value)
    if isinstance(value, dict):
        return any(_holds_float(v) for v in value.values())
    dtype = getattr(value, "dtype", None)
    return isinstance(dtype, np.dtype) and dtype.kind == "f" and not isinstance(value, np.generic)


@contextmanager
def nodes_run() -> Iterator[list[Function]]:
    """Collect every Function whose forward runs inside the block, also those of gradients."""
    seen: list[Function] = []

    def listener(kind: str, *args: Any) -> None:
        if kind == "forward":
            seen.append(args[0])

    with events.listen(listener):
        yield seen


def functions_of(package: str = "minicnn.ops") -> dict[str, type[Function]]:
    """Registered Functions that are defined in a package, by their full name; without private base classes.

    Loads every module of the package, for those that load lazily register their Functions only then.
    """
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
    return {
        key: cls
        for key, cls in Function.registry.items()
        if key.startswith(package + ".") and not (cls.__name__.startswith("_") and cls.__subclasses__())
    }
