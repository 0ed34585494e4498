"""What the wrong entries have in common: a border, a sign, one branch, the diagonal."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.diagnosis.view import View, number


def describe(view: View, where: Array) -> str:
    """Where a set of Jacobian entries lies, in words; empty if nothing simple says it."""
    live = view.usable & (view.in_numeric | view.in_analytic)
    inside, outside = where & live, ~where & live
    if not inside.any() or not outside.any():
        return ""
    if view.elementwise_shapes:
        if np.array_equal(inside, view.diagonal & live):
            return "on the diagonal (each output element by its own input element)"
        if np.array_equal(inside, ~view.diagonal & live):
            return "off the diagonal (each output element by the other input elements)"
    for axis, index, label, shape, values in (
        (0, view.columns, view.pair.input, view.x_shape, _flat(view.x, view.pair.columns)),
        (1, view.rows, view.pair.output, view.y_shape, _flat(view.y, view.pair.rows)),
    ):
        hit, free = inside.any(axis), outside.any(axis)
        if (hit & free).any():
            continue
        for test, words in _tests(values):
            if np.all(test[hit]) and not np.any(test[free]):
                return f"where {label} {words}"
        for a, along in enumerate(index):
            for edge, words in ((0, "first"), (shape[a] - 1, "last")):
                if np.all(along[hit] == edge) and not np.any(along[free] == edge):
                    return f"at the {words} index along axis {a} of {label}"
        border = _border(index, shape)
        if np.all(border[hit]) and not np.any(border[free]):
            return f"at the border of {label}"
        lo, hi = values[hit], values[free]
        if lo.size and hi.size and (lo.max() < hi.min() or lo.min() > hi.max()) and min(lo.size, hi.size) > 1:
            below = lo.max() < hi.min()
            middle = (lo.max() + hi.min()) / 2 if below else (lo.min() + hi.max()) / 2
            return f"where {label} is {'below' if below else 'above'} about {number(float(middle))}"
    return ""


def _flat(array: Array, index: Array) -> Array:
    return np.asarray(array, np.float64).reshape(-1)[np.asarray(index)]


def _tests(values: Array) -> list[tuple[Array, str]]:
    return [
        (values < 0, "is negative"),
        (values > 0, "is positive"),
        (values == 0, "is zero"),
        (np.abs(values) > 1, "is beyond ±1"),
        (np.abs(values) < 1, "is within ±1"),
    ]


def _border(index: tuple[Array, ...], shape: tuple[int, ...]) -> Array:
    """Elements that touch an edge of the last two axes."""
    on = np.zeros(len(index[0]) if index else 1, bool)
    for along, size in list(zip(index, shape, strict=True))[-2:]:
        on |= (along == 0) | (along == size - 1)
    return on
