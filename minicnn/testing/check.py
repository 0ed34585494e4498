"""One derivative order at one point: gradients of ``<v, F(x)>`` against its slopes along lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.numeric import EPS, Slope, entries, noise_level, reach, slope
from minicnn.testing.point import COTANGENTS, Point, balance
from minicnn.testing.report import VERDICTS, Comparison
from minicnn.testing.subjects import OUTSIDE

_RTOL = 1e-8  # of the larger value: rounding in a sound backward, far below what a forgotten eps does
_ATOL = 1e-10  # of the typical entry: an entry may be a cancelled sum of such terms
_WIDE = 1e-4  # a bar wider than this, relative to the values, leaves the question open
_COMPLEX_STEP = 1e-30
_ENTRIES = 8  # inputs of at most this many elements are checked along every coordinate too
_FIRST = "along direction 0"
_SINGLES = 4  # coordinates drawn from larger ones


def _norm(a: Array) -> float:
    """The 2-norm, without overflow on the way."""
    largest = float(np.max(np.abs(a), initial=0.0))
    return largest * float(np.sqrt(np.sum((a / largest) ** 2))) if largest > 0 else 0.0


@dataclass
class Outcome:
    """What is known of one input against one output."""

    verdict: str = "PASS"
    flat: bool = True
    ratio: float = -1.0  # the worst difference in units of its tolerance
    where: str = ""
    analytic: float = 0.0
    numeric: float = 0.0
    error: float = 0.0
    allowed: float = 0.0
    method: str = "central differences"
    detail: str = ""
    trouble: str = ""  # why there is no derivative: kink, jump or edge
    columns: list[int] = field(default_factory=list)  # elements seen to be wrong


class Check(Point):
    """A point whose gradients are compared with slopes; the parameters are those of :class:`Point`.

    Attributes
    ----------
    reach : list of numpy.ndarray
        How far each element of each input may be moved.
    outcomes : dict
        An :class:`Outcome` per input and output.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.reach = [reach(a) for a in self.arrays]
        self.comparisons = 0
        self.outcomes: dict[tuple[int, int], Outcome] = {}

    def run(self, *, directions: int, coordinates: bool) -> None:
        """Compare along random directions, and along coordinates where asked."""
        self.middle = self.dots(self.arrays)  # zero, or the rounding of a sum in varying order
        if not np.all(np.abs(self.middle) <= 1e-12 * self.sizes(None)):
            self.find("random", "f", "two calls at the same point gave different values")
            return
        line = [r * self.random.uniform(-1, 1, r.shape) for r in self.reach]

        def along(t: float) -> list[Array]:
            return [np.asarray(a + t * d) for a, d in zip(self.arrays, line, strict=True)]

        self.natural = self.sizes(along(1e-3))
        self.noise = noise_level(lambda t: self.dots(along(t)), self.natural)
        for block, x in enumerate(self.arrays):
            if not self.sound[block]:
                continue
            for j in range(len(self.results)):
                self.outcomes[block, j] = Outcome(flat=x.size > 0)
            if x.size == 0:
                continue
            if block in self.infinite:
                self.explain_infinite(block)
                continue
            for number, (where, u, column) in enumerate(self.probes(block, directions, coordinates)):
                if number and self.clock.over:
                    self.find_once("budget", "the check", f"stopped after {self.clock.seconds:.1f} s")
                    break
                self.probe(block, where, u, column)
            for j in range(len(self.results)):
                o = self.outcomes[block, j]
                if o.trouble and o.verdict == "FAIL" and not o.columns:  # several kinks may hide each other in a sum
                    o.verdict = "NONDIFFERENTIABLE"

    def sizes(self, elsewhere: list[Array] | None) -> Array:
        """How large each slope would be if F were of first degree; of the outputs that change on the way elsewhere."""
        try:
            others = [None] * len(self.results) if elsewhere is None else self.values(elsewhere)
        except OUTSIDE:
            others = [None] * len(self.results)
        found = []
        for vs in self.cotangents:
            for y, z, v in zip(self.results, others, vs, strict=True):
                counted = np.isfinite(y)
                if z is not None and z.shape == y.shape and np.any(counted & (y != z)):
                    counted = counted & (y != z)
                # small outputs may carry the rounding of larger ones, as 1 + tanh does far out
                typical = float(np.median(np.abs(y[counted]))) if np.any(counted) else 0.0
                with np.errstate(over="ignore"):
                    found.append(float(np.sum(np.where(counted, np.maximum(np.abs(y), typical), 0.0) * np.abs(v))))
        return np.array(found)

    def explain_infinite(self, block: int) -> None:
        """A gradient that is not finite is wrong, unless there is no derivative at those elements."""
        bad, far = self.infinite[block], self.reach[block]
        for column in np.flatnonzero(bad)[:_SINGLES]:
            unit = np.zeros(bad.shape)
            unit.flat[column] = far.flat[column]
            found = slope(lambda t, u=unit: self.dots(self.moved(block, t * u)), self.middle, self.noise)  # type: ignore[misc]
            troubled = np.flatnonzero(found.trouble != "")
            where = f"{[int(i) for i in np.unravel_index(int(column), bad.shape)]}"
            if not troubled.size:
                message = f"{np.sum(bad)} of {bad.size} entries of the gradient are not finite, as at {where}"
                self.find("not finite", self.names[block], f"{message}, where the slope is {found.value[0]:.6g}")
                return
            for c in troubled:
                o = self.outcomes[block, int(c) % len(self.results)]
                o.verdict, o.where, o.flat = "NONDIFFERENTIABLE", f"at {where}", False
                o.trouble, o.detail = found.trouble[c], found.detail[c]

    def find_once(self, kind: str, where: str, message: str) -> None:
        """Note it unless it is known."""
        if not any(f.kind == kind for f in self.findings):
            self.find(kind, where, message)

    def probes(self, block: int, directions: int, coordinates: bool) -> Iterator[tuple[str, Array, int | None]]:
        """Directions in units of each element's reach: name, direction, and the flat index of a single element."""
        x, far = self.arrays[block], self.reach[block]
        for i in range(directions):
            u = self.random.uniform(0.2, 1.0, x.shape) * self.random.choice([-1.0, 1.0], x.shape) * far
            yield _FIRST[:-1] + str(i), u * self.balance(block, u) if i else u, None
        if not coordinates:
            return
        if x.size <= _ENTRIES:
            for column, (name, unit) in enumerate(entries(x)):
                yield f"at {name}", unit * far, column
            return
        for column in sorted(self.random.choice(x.size, _SINGLES, replace=False).tolist()):
            unit = np.zeros(x.shape)
            unit.flat[column] = far.flat[column]
            yield f"at {list(map(int, np.unravel_index(column, x.shape)))}", unit, column

    def balance(self, block: int, u: Array) -> Array:
        """Weights up to 1 that let elements of small slope count as much as those of large slope."""
        return balance(np.max([np.abs(g[block] * u) for g in self.gradient], axis=0))

    def probe(self, block: int, where: str, u: Array, column: int | None) -> None:
        """One direction: every component's slope against its gradient."""
        exact = np.array([float(np.sum(g[block] * u)) for g in self.gradient])
        if column is None:
            scale = np.array([_norm(g[block] * u) for g in self.gradient])
        else:
            far = self.reach[block]
            scale = np.array([_norm(g[block] * far) / np.sqrt(u.size) for g in self.gradient])
        found = slope(
            lambda t: self.dots(self.moved(block, t * u)), self.middle, self.noise,
            scale=scale, expected=exact, floor=1e-10 * np.max(self.natural), eps=self.relative_noise(),
        )
        method = self.refine(block, u, found, scale)
        size = np.maximum(np.abs(exact), np.abs(found.value))
        nothing = 16 * (EPS * self.natural + self.noise)  # slopes below this are rounding, in backward too
        allowed = _RTOL * size + _ATOL * scale + 4 * found.error
        zero = np.maximum(4 * found.error, nothing)
        count = len(self.results)
        beside = self.natural.reshape(COTANGENTS, count)
        rounding = 1e-13 * np.array([  # an output that is zero beside others carries their rounding only
            np.max(np.delete(beside[c // count], c % count), initial=0.0) for c in range(len(exact))
        ])
        for c in range(len(exact)):
            outcome = self.outcomes[block, c % len(self.results)]
            self.comparisons += 1
            if found.trouble[c]:
                if outcome.verdict == "PASS":
                    outcome.verdict, outcome.where = "NONDIFFERENTIABLE", where
                outcome.trouble = outcome.trouble or found.trouble[c]
                outcome.detail = outcome.detail or found.detail[c]
                outcome.flat = False
                continue
            outcome.flat &= bool(abs(found.value[c]) <= zero[c])
            gap = 0.0 if size[c] <= nothing[c] else abs(exact[c] - found.value[c])
            ratio = float(gap / max(allowed[c], np.finfo(float).tiny))
            unit = float(np.max(np.abs(u))) if column is not None else 1.0  # back to the slope per unit of the element
            values = (float(v[c]) / unit for v in (exact, found.value, found.error, allowed))
            judged = max(size[c], scale[c])
            seen = abs(found.value[c]) if abs(found.value[c]) > 4 * found.error[c] else 0.0
            something = max(abs(exact[c]), scale[c], seen) > max(nothing[c], rounding[c])
            # balanced cotangents and directions look for errors only: where they are too noisy, the others decide
            plain = c < count * (COTANGENTS - 1) and (column is not None or where == _FIRST)
            wide = plain and something and 4 * found.error[c] > _WIDE * judged
            verdict = "FAIL" if ratio > 1 else "INCONCLUSIVE" if wide else "PASS"
            if verdict == "FAIL" and column is not None:
                outcome.columns.append(column)
            if (VERDICTS.index(verdict), -ratio) < (VERDICTS.index(outcome.verdict), -outcome.ratio):
                outcome.verdict, outcome.ratio, outcome.where, outcome.method = verdict, ratio, where, method
                outcome.analytic, outcome.numeric, outcome.error, outcome.allowed = values

    def relative_noise(self) -> Array:
        """Rounding of f relative to its size: that of float64, or the measured one where it is larger."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.natural > 0, np.clip(self.noise / self.natural, EPS, 1e-3), EPS)

    def refine(self, block: int, u: Array, found: Slope, scale: Array) -> str:
        """Sharpen wide error bars by a complex step or by extended precision, where f allows them and they agree."""
        imprecise = found.error > _RTOL * np.maximum(np.abs(found.value), scale)
        if not self.subject.complex_ok or not np.any(imprecise & np.isfinite(found.error)):
            return "central differences"
        try:
            moved = [a + (_COMPLEX_STEP * 1j) * u if i == block else a for i, a in enumerate(self.arrays)]
            value = self.dots(moved).imag / _COMPLEX_STEP
            value[value == 0] = np.nan  # a real result: f left the complex numbers on the way
            error = 64 * EPS * np.maximum(np.abs(value), scale) + 4 * (EPS * self.natural + self.noise)
            if self.adopt(found, value, error):
                return "complex step"
            wide = [a.astype(np.longdouble) for a in self.arrays]
            middle = self.dots(wide)
            if middle.dtype != np.longdouble:
                return "central differences"
            noise = self.noise * (np.finfo(np.longdouble).eps / EPS)
            finer = slope(
                lambda t: self.dots([a + t * u if i == block else a for i, a in enumerate(wide)]), middle, noise,
                scale=scale, eps=self.relative_noise() * (np.finfo(np.longdouble).eps / EPS),
            )
            if self.adopt(found, finer.value.astype(float), finer.error.astype(float)):
                return "extended precision"
        except (*OUTSIDE, TypeError):
            pass
        return "central differences"

    @staticmethod
    def adopt(found: Slope, value: Array, error: Array) -> bool:
        """Take values that agree with the central differences and are sharper; whether all did."""
        with np.errstate(invalid="ignore"):
            good = (np.abs(value - found.value) <= found.error + error) & (error < 0.1 * found.error)
            good &= found.error <= 0.1 * np.abs(value)  # agreement with a bar wider than that says nothing
        if not np.all(good | (found.error <= error)):
            return False
        found.value[good], found.error[good] = value[good], error[good]
        return True

    def comparison(self, block: int, j: int) -> Comparison:
        """The outcome of one input and output for the report."""
        o = self.outcomes[block, j]
        return Comparison(
            self.names[block], self.outputs[j], self.order, o.verdict, o.flat, o.where or "nowhere",
            o.analytic, o.numeric, o.error, o.allowed, o.method,
        )
