"""What a gradient check found, in words."""

from __future__ import annotations

from dataclasses import dataclass, field


class GradientError(AssertionError):
    """A gradient check did not pass; the message is the report."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Parameters
    ----------
    kind : str
        ``mismatch``, ``shape``, ``dtype``, ``not finite``, ``input modified``, ``nondeterministic``, ``error bar``.
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
    findings : list of Finding
    flat : list of str
        Order-1 inputs along which the numerical derivative is zero within its error, in every probe.
    expected_flat : bool
        The caller declared the function flat.
    comparisons : int
        Numbers compared.
    worst : float
        Largest difference in units of its tolerance; at most 1 in a check that passes.
    seed : int
        Reproduces the check.
    """

    seed: int = 0
    expected_flat: bool = False
    findings: list[Finding] = field(default_factory=list)
    flat: list[str] = field(default_factory=list)
    comparisons: int = 0
    worst: float = 0.0

    @property
    def vacuous(self) -> bool:
        """Whether the check could not have failed for some input, or compared nothing."""
        return self.comparisons == 0 or (bool(self.flat) and not self.expected_flat)

    @property
    def verdict(self) -> str:
        """``PASS``, ``FAIL``, or ``INCONCLUSIVE`` where only error bars were too wide."""
        if not self.findings:
            return "PASS"
        return "INCONCLUSIVE" if all(f.kind == "error bar" for f in self.findings) else "FAIL"

    def __bool__(self) -> bool:
        return self.verdict == "PASS" and not self.vacuous

    def __str__(self) -> str:
        lines = [f"{self.verdict}{', VACUOUS' if self.vacuous else ''} (seed {self.seed})"]
        lines.append(f"  {self.comparisons} comparisons, worst difference {self.worst:.2g} of its tolerance")
        lines += [f"  {finding}" for finding in self.findings]
        if self.vacuous:
            what = ", ".join(self.flat) or "every input (nothing was compared)"
            lines.append(f"  vacuous: the numerical derivative is zero along every probe of {what}")
        return "\n".join(lines)

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
