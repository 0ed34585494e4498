"""Causes of findings that need no Jacobian: shapes, dtypes, behaviour between calls."""

from __future__ import annotations

from typing import Protocol

from minicnn.core.types import Shape
from minicnn.testing.evidence import Diagnosis

_KINDS = {
    "dtype": "wrong-dtype",
    "count": "gradient-count",
    "integer gradient": "gradient-of-integer",
    "not finite": "non-finite-gradient",
    "input modified": "input-modified",
    "cotangent modified": "upstream-modified",
    "nondeterministic": "nondeterministic",
    "accumulates": "stale-buffer",
    "layout": "layout-dependent",
}


class _Finding(Protocol):
    """What a finding says, whoever made it."""

    @property
    def kind(self) -> str: ...
    @property
    def where(self) -> str: ...
    @property
    def message(self) -> str: ...


def from_finding(finding: _Finding, expected: Shape | None = None, got: Shape | None = None) -> Diagnosis | None:
    """The cause of a finding that needs no Jacobian.

    Parameters
    ----------
    finding : Finding
        Its ``kind``, ``where`` and ``message`` are read.
    expected, got : tuple of int, optional
        Shapes of the input and of the gradient, for a finding of the kind ``shape``.

    Returns
    -------
    Diagnosis or None
        None for kinds that are not failures, or that need more evidence (``mismatch``).

    Examples
    --------
    >>> from minicnn.testing.report import Finding
    >>> from_finding(Finding("shape", 1, "bias", "the gradient has shape (5, 3)"), (3,), (5, 3)).cause
    'broadcast-not-summed'
    """
    if finding.kind == "shape":
        if expected is None or got is None:
            return Diagnosis("wrong-shape", finding.where, finding.message)
        cause, sentence = _shape(tuple(expected), tuple(got))
        return Diagnosis(cause, finding.where, sentence)
    cause_of = _KINDS.get(finding.kind)
    return Diagnosis(cause_of, finding.where, finding.message) if cause_of else None


def _shape(expected: Shape, got: Shape) -> tuple[str, str]:
    seen = f"the gradient's shape is {got}, the input's {expected}"
    if _broadcasts(expected, got) and len(got) >= len(expected) and _size(got) > _size(expected):
        return (
            "broadcast-not-summed",
            f"{seen}: the input was broadcast, and its gradient is not summed over those axes",
        )
    if sorted(expected) == sorted(got) and len(expected) > 1:
        return "transposed-gradient", f"{seen}: the axes are exchanged"
    if _size(expected) == _size(got):
        return "wrong-shape", f"{seen}: the same elements, not brought back into the input's shape"
    if _broadcasts(got, expected):
        return "wrong-shape", f"{seen}: summed over axes that the input has, or without keepdims"
    return "wrong-shape", seen


def _broadcasts(small: Shape, large: Shape) -> bool:
    if len(small) > len(large):
        return False
    return all(a in {b, 1} for a, b in zip(small[::-1], large[::-1], strict=False))


def _size(shape: Shape) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
