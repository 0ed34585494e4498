"""A call's arguments as a flat list of leaves: what the checker, the layouts and the torch comparison all walk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Path = tuple[int | str, ...]


class Arguments:
    """Positional and keyword arguments, flattened through lists and tuples.

    Parameters
    ----------
    args : tuple
    kwargs : dict or None

    Examples
    --------
    >>> from minicnn.testing.arguments import Arguments
    >>> Arguments(([1, 2], None), {"dim": 0}).paths
    [(0, 0), (0, 1), (1,), ('dim',)]
    """

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> None:
        self.args = tuple(args)
        self.kwargs = dict(kwargs or {})
        self.paths: list[Path] = []
        self.leaves: list[Any] = []
        for position, value in enumerate(self.args):
            self._flatten((position,), value)
        for key, value in self.kwargs.items():
            self._flatten((key,), value)

    def _flatten(self, path: Path, value: Any) -> None:
        if isinstance(value, (list, tuple)):
            for i, item in enumerate(value):
                self._flatten((*path, i), item)
        else:
            self.paths.append(path)
            self.leaves.append(value)

    def build(self, leaves: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments again, with these leaves in place of the own ones."""
        rest = iter(leaves)

        def rebuild(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                items = [rebuild(item) for item in value]
                return tuple(items) if isinstance(value, tuple) else items
            return next(rest)

        return tuple(rebuild(a) for a in self.args), {k: rebuild(v) for k, v in self.kwargs.items()}

    def map(self, f: Callable[[Any], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with ``f`` applied to every array; other values stay."""
        return self.build([f(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in self.leaves])

    def floats(self, constants: tuple[int | str, ...] = ()) -> list[int]:
        """Positions of the float arrays among the leaves, without those under a constant argument."""
        return [
            i
            for i, (path, leaf) in enumerate(zip(self.paths, self.leaves, strict=True))
            if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f" and path[0] not in constants
        ]


def label(path: Path) -> str:
    """How a leaf is named in a report: ``input 0``, ``input 0[1]``, ``bias``.

    Examples
    --------
    >>> from minicnn.testing.arguments import label
    >>> label((0, 1)), label(("bias",))
    ('input 0[1]', 'bias')
    """
    first = f"input {path[0]}" if isinstance(path[0], int) else path[0]
    return first + "".join(f"[{i}]" for i in path[1:])
