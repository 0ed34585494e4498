"""One derivative order at one point: gradients of ``<v, F(x)>`` against its slopes along lines."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from minicnn.core.types import Array, Shape
from minicnn.testing.numeric import EPS, Slope, entries, noise_level, reach, slope
from minicnn.testing.report import VERDICTS, Comparison, Finding
from minicnn.testing.subjects import OUTSIDE, GradientCountError, Gradients, IntegerGradientError, Subject

_COTANGENTS = 2
_RTOL = 1e-8  # of the larger value: rounding in a sound backward, far below what a forgotten eps does
_ATOL = 1e-10  # of the typical entry: an entry may be a cancelled sum of such terms
_WIDE = 1e-4  # a bar wider than this, relative to the values, leaves the question open
_COMPLEX_STEP = 1e-30
_ENTRIES = 8  # inputs of at most this many elements are checked along every coordinate too
_SINGLES = 4  # coordinates drawn from larger ones


class Clock:
    """Time that a check may take."""

    def __init__(self, budget: float | None) -> None:
        self.start, self.budget = time.perf_counter(), budget

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.perf_counter() - self.start

    @property
    def over(self) -> bool:
        """Whether the budget is spent."""
        return self.budget is not None and self.seconds > self.budget


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


class Check:
    """Gradients and slopes of a subject at one point.

    Parameters
    ----------
    subject : Subject
    arrays : list of numpy.ndarray
        The differentiated inputs.
    names, outputs : list of str
        Labels of inputs; outputs are labelled ``output i``, or by ``outputs``.
    order : int
        Derivative order, for the report.
    random : numpy.random.Generator
        Draws cotangents and directions.
    clock : Clock
    exact_bits : bool
        Whether backward must give the same bits twice.
    writable : set of int
        Inputs that f may write.
    """

    def __init__(
        self, subject: Subject, arrays: list[Array], names: list[str], outputs: list[str] | None, order: int,
        random: np.random.Generator, clock: Clock, *, exact_bits: bool = True, writable: frozenset[int] = frozenset(),
    ) -> None:
        self.subject, self.arrays, self.names, self.order = subject, arrays, names, order
        self.random, self.clock, self.exact_bits, self.writable = random, clock, exact_bits, writable
        self.findings: list[Finding] = []
        self.results = self.values(arrays)
        self.outputs = outputs or [f"output {j}" for j in range(len(self.results))]
        self.cotangents = [[random.standard_normal(y.shape) for y in self.results] for _ in range(_COTANGENTS)]
        self.reach = [reach(a) for a in arrays]
        self.gradient: list[list[Array]] = []  # per component, per input
        self.sound: list[bool] = [True] * len(arrays)  # gradients that can be compared at all
        self.missing: list[bool] = [False] * len(arrays)
        self.odd_shapes: dict[str, Shape] = {}  # of gradients that have another shape than their input
        self.comparisons = 0
        self.outcomes: dict[tuple[int, int], Outcome] = {}

    def find(self, kind: str, where: str, message: str) -> None:
        """Note what is wrong."""
        self.findings.append(Finding(kind, self.order, where, message))

    # -- values ---------------------------------------------------------------------------------------------------

    def values(self, arrays: Sequence[Array]) -> list[Array]:
        """The float outputs, with NumPy's warnings silenced."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.subject.values(arrays)

    def dots(self, arrays: Sequence[Array]) -> Array:
        """``<v, F>`` for every cotangent and output, (cotangents * outputs,); NaN where F is not defined."""
        try:
            results = self.values(arrays)
        except OUTSIDE:
            results = []
        if len(results) != len(self.results) or any(
            y.shape != z.shape for y, z in zip(results, self.results, strict=True)
        ):
            return np.full(_COTANGENTS * len(self.results), np.nan)
        with np.errstate(all="ignore"):
            return np.array([np.sum(y * v) for vs in self.cotangents for y, v in zip(results, vs, strict=True)])

    def moved(self, block: int, change: Array) -> list[Array]:
        """The inputs, one of them changed."""
        return [a + change if i == block else a for i, a in enumerate(self.arrays)]

    # -- what can be said without numbers -------------------------------------------------------------------------

    def prepare(self) -> bool:
        """Gradients of all components; False where there is nothing to compare."""
        for j, y in enumerate(self.results):
            if not np.all(np.isfinite(y)):
                self.find("edge", self.outputs[j], "f is not finite here")
        if self.findings:
            return False
        sets = self.separate()
        found = self.pull([sets[0], *sets])
        if found is None:
            return False
        self.compare_bits(found[0], found[1], "backward again")
        self.report_writes()
        self.gradient = [self.validated(g, first=i == 0) for i, g in enumerate(found[1:])]
        return True

    def separate(self) -> list[list[Array]]:
        """Cotangents that reach one output each, in the order of :meth:`dots`."""
        return [
            [v if i == j else np.zeros(v.shape) for i, v in enumerate(vs)]
            for vs in self.cotangents for j in range(len(vs))
        ]

    def pull(self, sets: Sequence[Sequence[Array]], arrays: Sequence[Array] | None = None) -> list[Gradients] | None:
        """Gradients for sets of cotangents, at this point or other arrays; a finding and None where backward fails."""
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self.subject.gradients(self.arrays if arrays is None else arrays, sets)
        except GradientCountError as error:
            self.find("count", "backward", str(error))
        except IntegerGradientError as error:
            self.find("integer gradient", "backward", str(error))
        except Exception as error:  # noqa: BLE001 (a rule under test may raise anything)
            self.find("raises", "backward", f"{type(error).__name__}: {error}")
        return None

    def validated(self, gradients: Gradients, *, first: bool) -> list[Array]:
        """Gradients as arrays of the inputs' shapes, with findings for those that are not."""
        result = []
        for i, (name, x, g) in enumerate(zip(self.names, self.arrays, gradients, strict=True)):
            if g is None:
                self.missing[i] = True
                result.append(np.zeros(x.shape))
                continue
            problem = ""
            message = ""
            if g.shape != x.shape:
                problem = "shape"
                self.odd_shapes[name] = g.shape
                message = f"the gradient has shape {g.shape}, the input {x.shape}"
            elif g.dtype != x.dtype:
                problem = "dtype"
                message = f"the gradient is {g.dtype}, the input {x.dtype}"
            elif not np.all(np.isfinite(g)):
                problem = "not finite"
                bad = np.argwhere(~np.isfinite(g))[0].tolist()
                message = f"{np.sum(~np.isfinite(g))} of {g.size} entries are not finite, first at {bad}"
            if problem and self.sound[i] and first:
                self.find(problem, name, message)
            self.sound[i] &= not problem
            result.append(np.zeros(x.shape) if problem else g)
        return result

    def compare_bits(self, one: Gradients, two: Gradients, what: str) -> None:
        """A finding where gradients that should be the same are not."""
        for name, a, b in zip(self.names, one, two, strict=True):
            if a is None or b is None or same(a, b):
                continue
            size = float(np.max(np.abs(b), initial=0.0))
            close = a.shape == b.shape and bool(np.all(np.abs(a - b) <= 1e-11 * size))
            if close and not self.exact_bits:
                continue
            if a.shape == b.shape and not close and np.allclose(b, 2 * a, rtol=1e-9, atol=0):
                self.find("accumulates", name, f"{what} gave twice the first result")
            else:
                self.find("nondeterministic", name, f"{what} gave other {'bits' if close else 'values'}")
            return

    def repeatable(self) -> None:
        """Compare with the gradients of a fresh forward pass, after f was called elsewhere."""
        again = self.pull([self.separate()[0]])
        if again is not None:
            known = [g if ok else None for g, ok in zip(self.gradient[0], self.sound, strict=True)]
            self.compare_bits(known, again[0], "forward and backward again, after calls elsewhere,")

    def report_writes(self) -> None:
        """Findings for what f or backward wrote."""
        for block in sorted(self.subject.writes):
            if block < 0:
                self.find("cotangent modified", "backward", "it wrote into the incoming gradient")
            elif block not in self.writable:
                self.find("input modified", self.names[block], "f or its backward wrote into it")
        self.subject.writes.clear()

    # -- numbers --------------------------------------------------------------------------------------------------

    def run(self, *, directions: int, coordinates: bool) -> None:
        """Compare along random directions, and along coordinates where asked."""
        self.middle = self.dots(self.arrays)
        if not same(self.middle, again := self.dots(self.arrays)):
            spread = np.max(np.abs(self.middle - again) / np.maximum(np.abs(self.middle), 1e-300))
            if not spread < 1e-12:
                self.find("random", "f", "two calls at the same point gave different values")
                return
        # how large a slope would be if f were of first degree: slopes far below are rounding
        self.natural = np.array([
            float(np.sum(np.abs(y * v))) for vs in self.cotangents for y, v in zip(self.results, vs, strict=True)
        ])
        line = [r * self.random.uniform(-1, 1, r.shape) for r in self.reach]
        self.noise = noise_level(
            lambda t: self.dots([a + t * d for a, d in zip(self.arrays, line, strict=True)]), self.middle
        )
        for block, x in enumerate(self.arrays):
            if not self.sound[block]:
                continue
            for j in range(len(self.results)):
                self.outcomes[block, j] = Outcome(flat=x.size > 0)
            if x.size == 0:
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

    def find_once(self, kind: str, where: str, message: str) -> None:
        """Note it unless it is known."""
        if not any(f.kind == kind for f in self.findings):
            self.find(kind, where, message)

    def probes(self, block: int, directions: int, coordinates: bool) -> Iterator[tuple[str, Array, int | None]]:
        """Directions in units of each element's reach: name, direction, and the flat index of a single element."""
        x, far = self.arrays[block], self.reach[block]
        for i in range(directions):
            u = self.random.uniform(0.2, 1.0, x.shape) * self.random.choice([-1.0, 1.0], x.shape) * far
            yield f"along direction {i}", u * self.balance(block, u) if i else u, None
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
        share = np.max([np.abs(g[block] * u) for g in self.gradient], axis=0)
        small = float(np.quantile(share, 0.1))
        return np.minimum(1.0, np.maximum(small, 1e-6 * float(np.max(share))) / np.maximum(share, 1e-300))

    def probe(self, block: int, where: str, u: Array, column: int | None) -> None:
        """One direction: every component's slope against its gradient."""
        exact = np.array([float(np.sum(g[block] * u)) for g in self.gradient])
        if column is None:
            scale = np.array([float(np.linalg.norm(g[block] * u)) for g in self.gradient])
        else:
            far = self.reach[block]
            scale = np.array([float(np.sqrt(np.mean((g[block] * far) ** 2))) for g in self.gradient])
        found = slope(
            lambda t: self.dots(self.moved(block, t * u)), self.middle, self.noise,
            scale=scale, expected=exact, floor=1e-10 * np.max(self.natural),
        )
        method = self.refine(block, u, found, scale)
        size = np.maximum(np.abs(exact), np.abs(found.value))
        zero = 4 * found.error + 16 * (EPS * self.natural + self.noise)  # what cannot be told from nothing
        allowed = _RTOL * size + _ATOL * scale + zero
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
            ratio = float(abs(exact[c] - found.value[c]) / max(allowed[c], np.finfo(float).tiny))
            unit = float(np.max(np.abs(u))) if column is not None else 1.0  # back to the slope per unit of the element
            values = (float(v[c]) / unit for v in (exact, found.value, found.error, allowed))
            judged = max(size[c], scale[c], 1e-2 * float(np.max(self.natural)))
            wide = found.error[c] > _WIDE * judged and max(size[c], scale[c]) > zero[c]
            verdict = "FAIL" if ratio > 1 else "INCONCLUSIVE" if wide else "PASS"
            if verdict == "FAIL" and column is not None:
                outcome.columns.append(column)
            if (VERDICTS.index(verdict), -ratio) < (VERDICTS.index(outcome.verdict), -outcome.ratio):
                outcome.verdict, outcome.ratio, outcome.where, outcome.method = verdict, ratio, where, method
                outcome.analytic, outcome.numeric, outcome.error, outcome.allowed = values

    def refine(self, block: int, u: Array, found: Slope, scale: Array) -> str:
        """Sharpen wide error bars by a complex step or by extended precision, where f allows them and they agree."""
        imprecise = found.error > _RTOL * np.maximum(np.abs(found.value), scale)
        if not self.subject.complex_ok or not np.any(imprecise & np.isfinite(found.error)):
            return "central differences"
        try:
            moved = [a + (_COMPLEX_STEP * 1j) * u if i == block else a for i, a in enumerate(self.arrays)]
            value = self.dots(moved).imag / _COMPLEX_STEP
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
                scale=scale, eps=float(np.finfo(np.longdouble).eps),
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


def same(a: Array, b: Array) -> bool:
    """Equal bit for bit, NaN included (but not the sign of zero)."""
    return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
