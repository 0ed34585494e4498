"""Results beside what they should be: the first difference, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.core.types import Array

_RTOL = 1e-9


def as_results(value: Any) -> list[Any]:
    """What a function returned, as a list of arrays; None and what is no array stay."""
    values = value if isinstance(value, tuple) else (value,)
    return [np.asarray(v) if isinstance(v, list | float | int | np.generic) else v for v in values]


def modified(names: Sequence[str], values: Sequence[Any], kept: Sequence[Array]) -> str:
    """Name of the first argument that is no longer what it was, or nothing."""
    for name, value, old in zip(names, values, kept, strict=True):
        if not np.array_equal(value, old, equal_nan=old.dtype.kind == "f"):
            return name
    return ""


def difference(got: Sequence[Any], right: Sequence[Any], names: Sequence[str] = (), *, values_too: bool = True) -> str:
    """The first difference between results, in words; nothing if there is none.

    Parameters
    ----------
    got, right : sequence of arrays
    names : sequence of str
        What the results are called.
    values_too : bool
        False: number, kind and shape of the results only.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.testing.exercises.comparing import difference
    >>> difference([np.array([1.0, 2.0])], [np.array([1.0, 3.0])])
    'element [1] of your result is 2, it should be 3 (1 of 2 are wrong)'
    """
    if len(got) != len(right):
        expected = f"{len(right)} ({', '.join(names)})" if len(names) == len(right) else str(len(right))
        return f"you return {len(got)} result{'s' * (len(got) != 1)}, expected {expected}"
    for position, (mine, theirs) in enumerate(zip(got, right, strict=True)):
        name = names[position] if names else "your result" if len(right) == 1 else f"your result {position + 1}"
        if found := _first(mine, np.asarray(theirs), name, values_too=values_too):
            return found
    return ""


def _first(mine: Any, theirs: Array, name: str, *, values_too: bool) -> str:
    if not isinstance(mine, np.ndarray):
        return f"{name} is {'None' if mine is None else 'a ' + type(mine).__name__}, expected an array {theirs.shape}"
    if mine.shape != theirs.shape:
        return f"{name} has shape {mine.shape}, it should have {theirs.shape}"
    if mine.size == 0:
        return ""
    if theirs.dtype.kind in "iu" and mine.dtype.kind not in "iu":
        return f"{name} holds {mine.dtype} numbers, expected whole ones"
    if mine.dtype.kind == "c":
        return f"{name} holds complex numbers"
    if not values_too:
        return ""
    scale = np.max(np.abs(theirs), initial=0.0)
    wrong = ~np.isclose(mine.astype(float), theirs.astype(float), rtol=_RTOL, atol=_RTOL * scale, equal_nan=True)
    if not wrong.any():
        return ""
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = f"element {list(place)} of {name}" if place else name
    values = f"is {mine[place] + 0:.6g}, it should be {theirs[place] + 0:.6g}"  # no -0
    return f"{where} {values} ({int(wrong.sum())} of {wrong.size} are wrong)"
