"""A subject at one point: values, gradients, and the rules of conduct that a backward must keep."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minicnn.core.types import Array, Shape
from minicnn.testing.layouts import LAYOUTS
from minicnn.testing.report import Finding
from minicnn.testing.subjects import (
    COTANGENT,
    OTHER,
    OUTSIDE,
    GradientCountError,
    Gradients,
    IntegerGradientError,
    Subject,
)

COTANGENTS = 2
_FACTOR = -8192.0


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


class Point:
    """A subject at one point: its values, its gradients, and whether these keep the rules of conduct.

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
    fixed : set of int
        Inputs whose memory layout is not varied: parameters of a module.
    """

    def __init__(
        self, subject: Subject, arrays: list[Array], names: list[str], outputs: list[str] | None, order: int,
        random: np.random.Generator, clock: Clock, *, exact_bits: bool = True, writable: frozenset[int] = frozenset(),
        fixed: frozenset[int] = frozenset(),
    ) -> None:
        self.subject, self.arrays, self.names, self.order = subject, arrays, names, order
        self.random, self.clock, self.exact_bits = random, clock, exact_bits
        self.writable, self.fixed = writable, fixed
        self.findings: list[Finding] = []
        self.results = self.values(arrays)
        self.outputs = outputs or [f"output {j}" for j in range(len(self.results))]
        self.cotangents = [
            [np.asarray(random.standard_normal(y.shape)) for y in self.results] for _ in range(COTANGENTS)
        ]
        # the last one lets small outputs count as much as large ones
        self.cotangents[-1] = [v * balance(np.abs(y)) for v, y in zip(self.cotangents[-1], self.results, strict=True)]
        self.gradient: list[list[Array]] = []  # per component, per input
        self.sound: list[bool] = [True] * len(arrays)  # gradients that can be compared at all
        self.infinite: dict[int, Array] = {}  # per input, entries of the gradient that are not finite
        self.missing: list[bool] = [False] * len(arrays)
        self.odd_shapes: dict[str, Shape] = {}  # of gradients that have another shape than their input

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
        """``<v, F(arrays) - F(x)>`` for every cotangent and output, (cotangents * outputs,); NaN where F is undefined.

        The difference is taken element by element, so that large constant outputs, infinite ones too, take no digits.
        """
        try:
            results = self.values(arrays)
        except OUTSIDE:
            results = []
        if len(results) != len(self.results) or any(
            y.shape != z.shape for y, z in zip(results, self.results, strict=True)
        ):
            return np.full(COTANGENTS * len(self.results), np.nan)
        with np.errstate(all="ignore"):
            rises = [np.where(y == z, 0.0, y - z) for y, z in zip(results, self.results, strict=True)]
            return np.array([np.sum(rise * v) for vs in self.cotangents for rise, v in zip(rises, vs, strict=True)])

    def moved(self, block: int, change: Array) -> list[Array]:
        """The inputs, one of them changed."""
        return [np.asarray(a + change) if i == block else a for i, a in enumerate(self.arrays)]

    # -- what can be said without numbers -------------------------------------------------------------------------

    def prepare(self) -> bool:
        """Gradients of all components; False where there is nothing to compare."""
        for j, y in enumerate(self.results):
            if np.any(np.isnan(y)) or (y.size and not np.any(np.isfinite(y))):
                self.find("edge", self.outputs[j], "f is not finite here")
        if self.findings:
            return False
        sets = self.separate()
        outputs = len(self.results)
        scaled = [[_FACTOR * v for v in vs] for vs in sets[:outputs]]
        found = self.pull([sets[0], *sets, *scaled])
        if found is None:
            return False
        self.compare_bits(found[0], found[1], "backward again")
        self.report_writes()
        self.gradient = [self.validated(g, first=i == 0) for i, g in enumerate(found[1 : len(sets) + 1])]
        if not self.findings:
            self.check_linearity(found[len(sets) + 1 :])
        return True

    def check_linearity(self, scaled: list[Gradients]) -> None:
        """Backward is linear in its cotangent; by a power of two even to the last bit."""
        for gradients, known in zip(scaled, self.gradient, strict=False):
            for i, (g, h) in enumerate(zip(gradients, known, strict=True)):
                if g is None or not self.comparable(i) or g.shape != h.shape:
                    continue
                size = float(np.max(np.abs(h), initial=0.0))
                if not np.all(np.abs(g / _FACTOR - h) <= 1e-10 * size):
                    self.find("not linear", self.names[i], f"{_FACTOR:g} times the cotangent gives another gradient")
                    return

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
            self.find("raises", "backward", f"{type(error).__name__}: {error}{_place(error)}")
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
                self.infinite[i] = ~np.isfinite(g) | self.infinite.get(i, False)
                g = np.where(np.isfinite(g), g, 0.0)
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

    def comparable(self, block: int) -> bool:
        """Whether that gradient has the right shape and dtype, and is finite."""
        return self.sound[block] and block not in self.infinite

    def repeatable(self) -> None:
        """Compare with the gradients of a fresh forward pass, after f was called elsewhere."""
        again = self.pull([self.separate()[0]])
        if again is not None:
            known = [g if self.comparable(i) else None for i, g in enumerate(self.gradient[0])]
            self.compare_bits(known, again[0], "forward and backward again, after calls elsewhere,")

    def report_writes(self) -> None:
        """Findings for what f or backward wrote."""
        for block in sorted(self.subject.writes):
            if block == OTHER:
                self.find("input modified", "another argument", "f or backward wrote into it")
            elif block == COTANGENT:
                self.find("cotangent modified", "backward", "it wrote into the incoming gradient")
            elif block not in self.writable:
                self.find("input modified", self.names[block], "f or its backward wrote into it")
        self.subject.writes.clear()

    def laid_out_otherwise(self) -> list[str]:
        """Check that values and gradients do not depend on how the inputs lie in memory; notes on what was refused."""
        notes = []
        base, vs = self.gradient[0], self.separate()[0]
        size = max((float(np.max(np.abs(g), initial=0.0)) for g in base), default=0.0)
        for layout, arrange in LAYOUTS.items():
            arrays = [a if i in self.fixed else arrange(a) for i, a in enumerate(self.arrays)]
            try:
                values = self.values(arrays)
            except Exception as error:  # noqa: BLE001 (a function under test may raise anything)
                notes.append(f"{layout} inputs were refused ({type(error).__name__}: {error})")
                continue
            moved = self.pull([[arrange(v) for v in vs]], arrays)
            if moved is None:
                break
            if not all(_close(a, b) for a, b in zip(values, self.results, strict=True)):
                notes.append(f"f itself gives other values for {layout} inputs")
                continue
            for i, (g, h) in enumerate(zip(base, moved[0], strict=True)):
                if self.comparable(i) and h is not None and not _close(h, g, size):
                    self.find("layout", self.names[i], f"another gradient for {layout} inputs of the same values")
                    return notes
        return notes


def balance(share: Array) -> Array:
    """Weights up to 1 that let small shares count as much as large ones."""
    finite = share[np.isfinite(share) & (share > 0)]
    if not finite.size:
        return np.ones(share.shape)
    small = float(np.quantile(finite, 0.1, method="lower"))
    return np.minimum(1.0, small / np.where(np.isfinite(share) & (share > 0), share, small))


def _place(error: BaseException) -> str:
    """Where the user's code raised, and how a rule is called if it seems to have been called wrongly."""
    frames = traceback.extract_tb(error.__traceback__)
    said = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, TypeError) and "argument" in str(error):
        said += "; it is called as backward(gy, *inputs, **kwargs)"
    return said


def same(a: Array, b: Array) -> bool:
    """Equal bit for bit, NaN included (but not the sign of zero)."""
    return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


def _close(a: Array, b: Array, size: float = 0.0) -> bool:
    size = max(size, 1e-9, float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b))))
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-6, atol=1e-6 * size, equal_nan=True))
