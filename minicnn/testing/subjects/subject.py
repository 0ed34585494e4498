"""What the checker knows of a function: float arrays in, float arrays out, and gradients from cotangents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.arguments import Arguments

#: From the framework's values of all differentiated inputs to those of all float outputs.
Mapping = Callable[[list[Any]], list[Any]]
Gradients = list[Array | None]

#: In :attr:`Subject.writes`.
COTANGENT, OTHER = -1, -2

#: What a function may raise where it is not defined.
OUTSIDE = (ArithmeticError, ValueError, LookupError, RuntimeError)


class Subject:
    """Base of all subjects: plain arrays in, plain arrays out.

    Attributes
    ----------
    kind : str
        What it is, for the report.
    complex_ok : bool
        Whether :meth:`values` may be tried on complex and extended-precision arrays.
    writes : set of int
        Positions of input arrays that the function or its backward was seen to write; :data:`COTANGENT` and
        :data:`OTHER` for a cotangent and for an array that is not differentiated.
    """

    kind = "subject"
    source = "a rule"
    complex_ok = False

    def __init__(self) -> None:
        self.writes: set[int] = set()

    def note_writes(self, arrays: Sequence[Array], copies: Sequence[Any]) -> None:
        """Compare what was handed out with what it was a copy of."""
        for i, (array, copy) in enumerate(zip(arrays, copies, strict=True)):
            if not np.array_equal(copy, array, equal_nan=array.dtype.kind in "fc"):
                self.writes.add(i)

    def values(self, arrays: Sequence[Array]) -> list[Array]:
        """The float outputs."""
        raise NotImplementedError

    def gradients(self, arrays: Sequence[Array], cotangents: Sequence[Sequence[Array]]) -> list[Gradients]:
        """For each set of cotangents (one per output) the gradients of the inputs, as backward returns them."""
        raise NotImplementedError

    def derived(self, count: int) -> Subject:
        """The subject ``(inputs, cotangents) -> gradients``, of which the first ``count`` arrays are the inputs."""
        raise NotImplementedError


class Call:
    """A function and its arguments, some of which are differentiated.

    Parameters
    ----------
    f : callable
    arguments : Arguments
    wanted : list of int
        Positions of the differentiated leaves.
    written : set of int
        Positions of leaves that ``f`` may write; it gets copies.
    numbers : set of int
        Positions of 0-d leaves that ``f`` gets as plain numbers.
    """

    def __init__(
        self, f: Callable[..., Any], arguments: Arguments, wanted: list[int], written: set[int],
        numbers: set[int] | None = None,
    ) -> None:
        self.f, self.arguments, self.wanted, self.written = f, arguments, wanted, written
        self.numbers = numbers or set()

    def __call__(self, points: Sequence[Any], wrap: Callable[[Any], Any]) -> list[Any]:
        """Outputs as a list, the differentiated leaves being ``points`` and other arrays wrapped."""
        args, options = self.build(points, wrap)
        result = self.f(*args, **options)
        return list(result) if isinstance(result, (tuple, list)) else [result]

    def build(self, points: Sequence[Any], wrap: Callable[[Any], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments."""
        given = dict(zip(self.wanted, points, strict=True))
        leaves = []
        for i, leaf in enumerate(self.arguments.leaves):
            if i in self.numbers:
                leaves.append(given.get(i, leaf)[()])
            elif i in given:
                leaves.append(given[i])
            elif isinstance(leaf, np.ndarray):
                leaves.append(wrap(leaf.copy() if i in self.written else leaf))
            else:
                leaves.append(leaf)
        return self.arguments.build(leaves)


def as_laid_out(array: Array) -> Array:
    """A copy, with the same strides where these say something, so that a rule which relies on them is found out."""
    if array.flags.c_contiguous:
        return array.copy()
    base = np.lib.array_utils.byte_bounds(array)
    buffer = np.full(base[1] - base[0], 255, np.uint8)  # NaN between the elements
    offset = array.__array_interface__["data"][0] - base[0]
    view: Array = np.ndarray(array.shape, array.dtype, buffer, offset, array.strides)
    view[...] = array
    return view
