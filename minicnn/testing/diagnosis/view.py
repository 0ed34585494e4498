"""One failure as the hypotheses see it: both Jacobians, where they count as equal, and experiments that may fail."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minicnn.core.types import Array, Shape
from minicnn.testing.evidence import Evidence

#: What a user's function may raise at inputs it was not made for; the experiment then says nothing.
_REFUSALS = (ValueError, TypeError, IndexError, KeyError, ArithmeticError, AssertionError, RuntimeError)


@dataclass(frozen=True)
class Guess:
    """A cause with its plausibility: 0.8 to 1 explains every entry, below that a part of them."""

    score: float
    cause: str
    sentence: str


class View:
    """Evidence with the numbers that most hypotheses need, computed once."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        pair = evidence.jacobians
        self.pair = pair
        self.order = pair.order
        self.analytic = np.asarray(pair.analytic, np.float64)
        self.numeric = np.asarray(pair.numeric, np.float64)
        error = np.broadcast_to(np.asarray(pair.error, np.float64), self.numeric.shape)
        self.error = np.where(np.isfinite(error), error, 0.0)
        self.usable = np.isfinite(self.analytic) & np.isfinite(self.numeric) & np.isfinite(error)
        self.x_shape: Shape = tuple(pair.input_shape)
        self.y_shape: Shape = tuple(pair.output_shape)
        self.complete = pair.complete
        self._experiments: dict[Any, Array | None] = {}

    @cached_property
    def scale(self) -> float:
        """The largest number in sight."""
        both = np.maximum(np.abs(self.analytic), np.abs(self.numeric))
        return float(np.max(both, initial=0.0, where=self.usable))

    @cached_property
    def gap(self) -> float:
        """The largest difference."""
        return float(np.max(np.abs(self.analytic - self.numeric), initial=0.0, where=self.usable))

    @cached_property
    def wrong(self) -> Array:
        """Where the two differ, (m, n) of bool."""
        return ~self.equal(self.numeric) & self.usable

    @cached_property
    def small(self) -> float:
        """Below this an entry counts as zero."""
        return 1e-7 * self.scale + 4.0 * float(np.max(self.error, initial=0.0, where=self.usable))

    @cached_property
    def in_analytic(self) -> Array:
        """Where backward's entry is not zero."""
        return np.abs(self.analytic) > self.small

    @cached_property
    def in_numeric(self) -> Array:
        """Where the true entry is not zero."""
        return np.abs(self.numeric) > self.small

    def equal(self, other: Array) -> Array:
        """Where backward's entries are those of ``other``, (m, n) of bool."""
        size = np.maximum(np.abs(self.analytic), np.abs(other))
        allowed = np.minimum(1e-5 * size + 2e-8 * self.scale, 0.02 * self.gap) + 8.0 * self.error + 1e-12 * size
        return np.asarray(np.abs(self.analytic - other) <= allowed)

    def explains(self, other: Array | None, where: Array | None = None) -> bool:
        """Whether ``other`` is backward's Jacobian, entry by entry."""
        if other is None or other.shape != self.analytic.shape:
            return False
        mask = self.usable if where is None else self.usable & where
        if not mask.any():
            return False
        with np.errstate(all="ignore"):
            gap = np.abs(self.analytic - other)[mask]
            if not np.all(np.isfinite(gap)) or float(gap.max()) > 0.05 * self.gap:
                return False
            return bool(np.all(self.equal(other)[mask]))

    # where an entry lies

    @cached_property
    def rows(self) -> tuple[Array, ...]:
        """Index of each row's output element along every axis of the output."""
        return tuple(np.unravel_index(np.asarray(self.pair.rows), self.y_shape)) if self.y_shape else ()

    @cached_property
    def columns(self) -> tuple[Array, ...]:
        """Index of each column's input element along every axis of the input."""
        return tuple(np.unravel_index(np.asarray(self.pair.columns), self.x_shape)) if self.x_shape else ()

    @cached_property
    def elementwise_shapes(self) -> bool:
        """Whether input and output have one shape, so that element i of one belongs to element i of the other."""
        return self.x_shape == self.y_shape

    @cached_property
    def diagonal(self) -> Array:
        """Entries of an output element by the input element at its place, (m, n) of bool."""
        return np.equal.outer(np.asarray(self.pair.rows), np.asarray(self.pair.columns))

    def full(self, matrix: Array) -> Array:
        """A complete Jacobian with the axes of the output, then those of the input."""
        return matrix.reshape(*self.y_shape, *self.x_shape)

    # values

    @cached_property
    def x(self) -> Array:
        """The input."""
        return np.asarray(self.evidence.inputs.get(self.pair.input, np.zeros(self.x_shape)))

    @cached_property
    def y(self) -> Array:
        """The output."""
        return np.asarray(self.evidence.outputs.get(self.pair.output, np.zeros(self.y_shape)))

    @cached_property
    def others(self) -> dict[str, Array]:
        """Float inputs but the one that is differentiated."""
        items = self.evidence.inputs.items()
        return {k: np.asarray(v) for k, v in items if k != self.pair.input and np.asarray(v).dtype.kind == "f"}

    @cached_property
    def discrete(self) -> dict[str, Array]:
        """Integer and bool inputs: labels, indices, masks."""
        items = self.evidence.inputs.items()
        return {k: np.asarray(v) for k, v in items if np.asarray(v).dtype.kind in "iub"}

    @cached_property
    def numbers(self) -> dict[str, float]:
        """Options that are numbers, tuples of numbers by position."""
        found: dict[str, float] = {}
        for name, value in self.evidence.options.items():
            parts = value if isinstance(value, (tuple, list)) else [value]
            for i, part in enumerate(parts):
                if isinstance(part, (int, float, np.number)) and not isinstance(part, (bool, np.bool_)):
                    found[name if len(parts) == 1 else f"{name}[{i}]"] = float(part)
        return found

    # experiments

    def at(self, key: Any, replaced: dict[str, Array]) -> Array | None:
        """The true Jacobian at other inputs; None where the function refuses them or is not finite there."""
        if key not in self._experiments:
            try:
                result = self.evidence.numeric_at(replaced)
            except _REFUSALS:
                result = None
            if result is not None:
                result = np.asarray(result, np.float64)
                if result.shape != self.numeric.shape or not np.all(np.isfinite(result)):
                    result = None
            self._experiments[key] = result
        return self._experiments[key]

    @cached_property
    def direction(self) -> Array:
        """A fixed direction in the input, zero outside the columns that were looked at."""
        whole = np.zeros(int(np.prod(self.x_shape)))
        columns = np.asarray(self.pair.columns)
        whole[columns] = 0.5 + np.random.default_rng(1).random(len(columns))
        return whole.reshape(self.x_shape)

    def along(self, key: Any, replaced: dict[str, Array]) -> Array | None:
        """The derivative along the fixed direction at other inputs, (m,): a cheap first look before ``at``."""
        key = ("along", key)
        if key not in self._experiments:
            x = np.asarray(replaced.get(self.pair.input, self.x), np.float64)
            step = 1e-4
            total: Array | None = np.zeros(len(self.pair.rows))
            for shift, weight in ((-2, 1.0), (-1, -8.0), (1, 8.0), (2, -1.0)):  # fourth order
                y = self.value({**replaced, self.pair.input: x + shift * step * self.direction})
                if y is None or y.shape != self.y_shape or total is None:
                    total = None
                    break
                total = total + weight * y.reshape(-1)[np.asarray(self.pair.rows)]
            if total is not None:
                total = total / (12 * step)
                total = total if np.all(np.isfinite(total)) else None
            self._experiments[key] = total
        result: Array | None = self._experiments[key]
        return result

    def explained_at(self, key: Any, replaced: dict[str, Array]) -> bool:
        """Whether analytic is the true Jacobian at other inputs; one direction is looked at first."""
        quick = self.along(key, replaced)
        if quick is None:
            return False
        mine = self.analytic @ self.direction.reshape(-1)[np.asarray(self.pair.columns)]
        if not np.all(np.abs(quick - mine) <= 1e-5 * np.maximum(np.abs(mine), self.scale)):
            return False
        return self.explains(self.at(key, replaced))

    def gradient(self, cotangent: Array) -> Array | None:
        """Backward's answer to a cotangent."""
        try:
            result = self.evidence.gradient(np.array(cotangent))
        except _REFUSALS:
            return None
        return None if result is None else np.array(result, np.float64)

    def value(self, replaced: dict[str, Array]) -> Array | None:
        """The output at other inputs."""
        try:
            result = self.evidence.value(replaced)
        except _REFUSALS:
            return None
        return None if result is None else np.array(result, np.float64)

    def numeric_by(self, name: str, step: float = 1e-4) -> Array | None:
        """The true Jacobian by another float input, from central differences; None where it is too large."""
        other = self.evidence.inputs[name]
        if np.size(other) > 512:
            return None
        rows = np.asarray(self.pair.rows)
        result = np.zeros((len(rows), np.size(other)))
        for j in range(np.size(other)):
            weighted = np.zeros(len(rows))
            for shift, weight in ((-2, 1.0), (-1, -8.0), (1, 8.0), (2, -1.0)):  # fourth order
                moved = np.array(other, np.float64)
                moved.reshape(-1)[j] += shift * step
                y = self.value({name: moved})
                if y is None or y.size <= int(rows.max(initial=0)):
                    return None
                weighted += weight * y.reshape(-1)[rows]
            result[:, j] = weighted / (12 * step)
        return result if np.all(np.isfinite(result)) else None


def number(value: float) -> str:
    """A number as a sentence shows it."""
    return f"{value:.6g}"


def axes_text(axes: list[int] | tuple[int, ...]) -> str:
    """``axis 1`` or ``axes 0 and 2``."""
    names = [str(a) for a in axes]
    return f"axis {names[0]}" if len(names) == 1 else f"axes {', '.join(names[:-1])} and {names[-1]}"
