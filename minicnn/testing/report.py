"""What a gradient check found: verdicts, values, causes, in words and in JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from minicnn.testing.evidence import Diagnosis, JacobianPair

PASS = "PASS"  # noqa: S105 (no password)
FAIL = "FAIL"
NONDIFFERENTIABLE = "NONDIFFERENTIABLE"
INCONCLUSIVE = "INCONCLUSIVE"

#: Worst first: the verdict of a whole is the first of these that one of its parts has.
VERDICTS = (FAIL, NONDIFFERENTIABLE, INCONCLUSIVE, PASS)


class GradientError(AssertionError):
    """A gradient check did not pass; the message is the report."""


@dataclass(frozen=True)
class Comparison:
    """One input against one output at one derivative order.

    Parameters
    ----------
    input, output : str
        Their labels: ``input 0``, ``bias``, ``output 0``.
    order : int
        Derivative order.
    verdict : str
        ``PASS``, ``FAIL``, ``NONDIFFERENTIABLE`` or ``INCONCLUSIVE``.
    vacuous : bool
        The numerical derivative is zero within its error along every probe.
    where : str
        The worst element (``[0, 3]``) or direction.
    analytic, numeric, error, allowed : float
        At the worst place: backward's value, the numerical one, its error bar, and the allowed difference.
    method : str
        What the numerical value comes from: ``central differences``, ``complex step``, ``extended precision``.
    """

    input: str
    output: str
    order: int
    verdict: str
    vacuous: bool
    where: str
    analytic: float
    numeric: float
    error: float
    allowed: float
    method: str = "central differences"

    @property
    def values(self) -> str:
        """Both numbers, and the bar of the second."""
        return f"backward {self.analytic:.10g}, numerical {self.numeric:.10g} ± {self.error:.1g}"

    def __str__(self) -> str:
        flag = ", VACUOUS" if self.vacuous else ""
        return f"order {self.order}, {self.input} → {self.output}: {self.verdict}{flag} ({self.where}: {self.values})"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or that keeps the check from a conclusion.

    Parameters
    ----------
    kind : str
        ``mismatch``, ``shape``, ``dtype``, ``count``, ``integer gradient``, ``not finite``, ``input modified``,
        ``cotangent modified``, ``not linear``, ``nondeterministic``, ``accumulates``, ``layout``, ``raises``,
        ``kink``, ``edge``, ``jump``, ``error bar``, ``random``, ``budget``.
    order : int
        The derivative order at which it showed.
    where : str
        The input, and the worst element or direction.
    message : str
        Both values, and what they should have been.
    """

    kind: str
    order: int
    where: str
    message: str

    def __str__(self) -> str:
        return f"order {self.order}, {self.where}: {self.kind}: {self.message}"


@dataclass
class Report:
    """The outcome of a check; true only if everything agreed and the check could have failed.

    Attributes
    ----------
    name : str
        What was checked.
    seed : int
        Reproduces the check.
    order : int
        The highest derivative order asked for.
    expected_flat : bool
        The caller declared the function constant around its inputs.
    compared : list of Comparison
        Per input, output and order.
    findings : list of Finding
        What is wrong, or keeps the check from a conclusion; empty in a check that passes.
    diagnoses : list of Diagnosis
        Probable causes, best first.
    jacobians : list of JacobianPair
        Of the inputs and outputs that failed, to show where.
    notes : list of str
        What the reader should know: whose gradients were checked, promotions, layouts that were refused.
    comparisons : int
        Numbers compared.
    seconds : float
        Time taken; not part of the JSON, which is the same for the same seed.
    """

    name: str = ""
    seed: int = 0
    order: int = 1
    expected_flat: bool = False
    compared: list[Comparison] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    diagnoses: list[Diagnosis] = field(default_factory=list)
    jacobians: list[JacobianPair] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    comparisons: int = 0
    seconds: float = field(default=0.0, compare=False)

    #: Findings that leave the question open, and those that say the point has no derivative; all others are failures.
    OPEN: ClassVar = frozenset({"error bar", "random", "budget"})
    EDGES: ClassVar = frozenset({"kink", "edge", "jump"})

    @property
    def verdict(self) -> str:
        """``PASS``, ``FAIL``, ``NONDIFFERENTIABLE`` or ``INCONCLUSIVE``."""
        kinds = {finding.kind for finding in self.findings}
        if kinds - self.OPEN - self.EDGES:
            return FAIL
        if kinds & self.EDGES:
            return NONDIFFERENTIABLE
        return INCONCLUSIVE if kinds else PASS

    @property
    def vacuous(self) -> bool:
        """Whether the check could not have failed for some input, or compared nothing."""
        return self.comparisons == 0 or (bool(self.flat) and not self.expected_flat)

    @property
    def flat(self) -> list[str]:
        """Inputs whose numerical derivative is zero within its error in every probe, for every output."""
        inputs = dict.fromkeys(c.input for c in self.compared if c.order == 1)
        return [name for name in inputs if all(c.vacuous for c in self.compared if c.input == name and c.order == 1)]

    @property
    def causes(self) -> list[str]:
        """Identifiers of the probable causes, best first, each once."""
        return list(dict.fromkeys(d.cause for d in self.diagnoses))

    def __bool__(self) -> bool:
        return self.verdict == PASS and not self.vacuous

    def __str__(self) -> str:
        flag = ", VACUOUS" if self.vacuous and self.verdict == PASS else ""
        lines = [f"{self.name or 'gradcheck'}: {self.verdict}{flag}"]
        lines[0] += f" (order {self.order}, seed {self.seed}, {self.comparisons} comparisons)"
        lines += [f"  cause: {diagnosis}" for diagnosis in self.diagnoses]
        lines += [f"  {finding}" for finding in self.findings]
        if self.comparisons == 0 and self.verdict == PASS:
            lines.append("  vacuous: nothing was compared")
        elif self.vacuous and self.flat:
            lines.append(f"  vacuous: the slope is zero along every probe of {', '.join(self.flat)}")
        lines += [_excerpt(pair) for pair in self.jacobians]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(line for line in lines if line)

    def require(self) -> Report:
        """The report itself, if it is true.

        Raises
        ------
        GradientError
            With the report as its message, if the check failed or proved nothing.
        """
        if not self:
            raise GradientError(str(self))
        return self

    def to_json(self, *, indent: int | None = 2) -> str:
        """All of the report but the time it took and the Jacobians, as JSON text; NaN and infinities as strings."""
        data = {
            "name": self.name, "verdict": self.verdict, "vacuous": self.vacuous, "causes": self.causes,
            "seed": self.seed, "order": self.order, "comparisons": self.comparisons, "flat": self.flat,
            "compared": [asdict(c) for c in self.compared],
            "findings": [asdict(f) for f in self.findings],
            "diagnoses": [asdict(d) for d in self.diagnoses],
            "notes": self.notes,
        }
        return json.dumps(_finite(data), indent=indent, ensure_ascii=False)

    def to_html(self) -> str:
        """One self-contained page with a heat map of each wrong Jacobian."""
        from minicnn.testing.rendering import html

        return html([self], title=self.name or "Gradient check")


def _excerpt(pair: JacobianPair) -> str:
    """The worst entry, and where the others are."""
    wrong = pair.wrong
    if not wrong.any():
        return ""
    gap = np.where(wrong, np.abs(pair.analytic - pair.numeric), -1.0)
    row, column = np.unravel_index(int(np.argmax(gap)), gap.shape)
    at = [int(i) for i in np.unravel_index(int(pair.columns[column]), pair.input_shape)]
    out = [int(i) for i in np.unravel_index(int(pair.rows[row]), pair.output_shape)]
    return (
        f"  Jacobian of {pair.output} {list(pair.output_shape)} by {pair.input} {list(pair.input_shape)}: "
        f"{int(wrong.sum())} of {wrong.size} entries differ; worst: d {pair.output}{out} / d {pair.input}{at}: "
        f"backward {pair.analytic[row, column]:.8g}, numerical {pair.numeric[row, column]:.8g}"
    )


def _finite(value: Any) -> Any:
    """The same with NaN and infinities as strings, for JSON has neither."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
