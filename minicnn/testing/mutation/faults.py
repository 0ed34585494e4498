"""Named bug classes, as what they do to the gradients that a correct backward returns.

Each fault changes the gradient of one input (its slot), or what goes into the whole of backward. It applies where the
suite shows it something to spoil: a gradient with two equal axes can be transposed unnoticed by its shape, one of a
single number cannot lose its border.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.core.function import constant
from minicnn.core.tensor import Tensor
from minicnn.core.types import Shape

Gradients = list[Tensor | None]


def _masked(g: Tensor, index: Any, keep: bool) -> Tensor:
    """Zeros at the index, or everywhere else."""
    mask = np.full(g.shape, 0.0 if keep else 1.0, g.dtype)
    mask[index] = 1.0 if keep else 0.0
    return g * constant(mask, g)


def _long(shape: Shape) -> list[int]:
    return [axis for axis, n in enumerate(shape) if n > 1]


def _twins(shape: Shape) -> tuple[int, int] | None:
    """The first two axes of one size above 1."""
    long = _long(shape)
    return next(((i, j) for i in long for j in long if i < j and shape[i] == shape[j]), None)


def _exchanged(g: Tensor) -> Tensor:
    from minicnn.ops import transpose

    pair = _twins(g.shape)
    return g if pair is None else transpose(g, *pair)


def _rolled(g: Tensor) -> Tensor:
    from minicnn.ops import roll

    long = _long(g.shape)
    return roll(g, 1, long[-1]) if long else g


def _flipped(g: Tensor) -> Tensor:
    from minicnn.ops import flip

    long = _long(g.shape)
    return flip(g, (long[-1],)) if long else g


def _first_slice(g: Tensor) -> Tensor:
    long = _long(g.shape)
    return _masked(g, (slice(None),) * long[0] + (0,), keep=True) if long else g


def _border(g: Tensor) -> Tensor:
    long = _long(g.shape)
    return _masked(g, (..., -1, *(slice(None),) * (g.ndim - 1 - long[-1])), keep=False) if long else g


def _corner(g: Tensor) -> Tensor:
    return _masked(g, (-1,) * g.ndim, keep=False) if g.numel() > 1 else g


def _averaged(g: Tensor) -> Tensor:
    found: Tensor = g.mean() + g * 0.0
    return found


def _narrowed(g: Tensor) -> Tensor:
    from minicnn.ops import cast

    return cast(cast(g, "float32"), g.dtype)


def _always(shape: Shape) -> bool:
    return True


def _several(shape: Shape) -> bool:
    return bool(_long(shape))


#: Per slot: what it does to the gradient, and the shapes of gradients it applies to.
SPOILT: dict[str, tuple[Callable[[Tensor], Tensor | None], Callable[[Shape], bool]]] = {
    "sign flipped": (lambda g: -g, _always),
    "doubled": (lambda g: g * 2.0, _always),
    "off by a thousandth": (lambda g: g * 1.001, _always),
    "zero": (lambda g: g * 0.0, _always),
    "ones": (lambda g: g * 0.0 + 1.0, _always),
    "raised by a tenth": (lambda g: g + 0.1, _always),
    "missing": (lambda g: None, _always),
    "detached": (lambda g: g.detach(), _always),
    "rounded to float32": (_narrowed, _always),
    "divided by the batch": (lambda g: g * (1.0 / g.shape[0]) if g.ndim else g, lambda s: bool(s) and s[0] > 1),
    "divided by the size": (lambda g: g * (1.0 / max(1, g.numel())), _several),
    "averaged": (_averaged, _several),
    "equal axes exchanged": (_exchanged, lambda s: _twins(s) is not None),
    "rolled by one": (_rolled, _several),
    "flipped": (_flipped, _several),
    "first slice only": (_first_slice, _several),
    "border dropped": (_border, _several),
    "last element dropped": (_corner, _several),
}

#: Of the whole of backward.
UPSTREAM_IGNORED, UPSTREAM_STALE, UPSTREAM_WRITTEN, PASSED_THROUGH, ACCUMULATED, SWAPPED = (
    "upstream ignored", "upstream of the last call", "upstream overwritten", "upstream passed through",
    "added to the last call's", "swapped",
)
#: Faults that a single backward does not show: they spoil the next one, or an array of the caller.
REMEMBERING = frozenset({UPSTREAM_STALE, UPSTREAM_WRITTEN, ACCUMULATED})

#: All of them.
NAMED = frozenset({*SPOILT, UPSTREAM_IGNORED, PASSED_THROUGH, SWAPPED, *REMEMBERING})


def spoil(backward: Callable[..., Any], rule: str, slot: int) -> Callable[..., Any]:
    """A backward with a fault.

    Parameters
    ----------
    backward : callable
        ``backward(self, *gys)`` of a Function.
    rule : str
        Of :data:`SPOILT`, or one of those of the whole of backward.
    slot : int
        Input whose gradient is spoilt; with ``swapped`` the first of the two, ``slot // 100``, and the second,
        ``slot % 100``.
    """
    last: dict[tuple[Any, ...], Any] = {}

    def spoilt(self: Any, *gys: Any) -> Any:
        given = gys
        if rule == UPSTREAM_IGNORED:
            gys = tuple(None if g is None else constant(np.ones(g.shape, g.dtype), g) for g in gys)
        elif rule == UPSTREAM_STALE:
            shapes = tuple(None if g is None else g.shape for g in gys)
            gys, last[shapes] = last.get(shapes, gys), gys
        result = backward(self, *gys)
        found: Gradients = list(result) if isinstance(result, (tuple, list)) else [result]
        if rule in SPOILT:
            g = found[slot]
            found[slot] = None if g is None else SPOILT[rule][0](g)
        elif rule == SWAPPED:
            i, j = divmod(slot, 100)
            a, b = found[i], found[j]
            if a is not None and b is not None and a.shape == b.shape:
                found[i], found[j] = b, a
        elif rule == PASSED_THROUGH:
            alike = {g.shape: g for g in given if g is not None}
            found = [None if g is None else alike.get(g.shape, g) for g in found]
        elif rule == ACCUMULATED:
            for i, g in enumerate(found):
                if g is not None:
                    key = (i, g.shape)
                    found[i] = g + last[key] if key in last else g
                    last[key] = constant(g.data.copy(), g)
        elif rule == UPSTREAM_WRITTEN:
            found = [None if g is None else g * 1.0 for g in found]
            for g in given:
                if g is not None:
                    g.data[...] = 0.0
        return tuple(found)

    return spoilt


def faults(
    shapes: dict[int, set[Shape]], joint: set[tuple[int, int]], alike: bool = False
) -> list[tuple[str, int]]:
    """The (rule, slot) pairs that apply.

    Parameters
    ----------
    shapes : dict of int to set of shapes
        Those of the gradients that the suite asks for, by slot.
    joint : set of (int, int)
        Slots whose gradients were returned together in one shape.
    alike : bool
        Some gradient had the shape of an incoming one, and other values.

    Examples
    --------
    >>> from minicnn.testing.mutation.faults import faults
    >>> [rule for rule, _ in faults({0: {()}}, set())][:3]
    ['sign flipped', 'doubled', 'off by a thousandth']
    """
    found = [
        (rule, slot)
        for slot in sorted(shapes)
        for rule, (_, applies) in SPOILT.items()
        if any(applies(shape) for shape in shapes[slot])
    ]
    if shapes:
        found += [(rule, 0) for rule in (UPSTREAM_IGNORED, *sorted(REMEMBERING))]
    if alike:
        found.append((PASSED_THROUGH, 0))
    return found + [(SWAPPED, 100 * i + j) for i, j in sorted(joint)]
