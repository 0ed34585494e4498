"""A gradient checker that says what it knows: PASS, FAIL and why, NONDIFFERENTIABLE, INCONCLUSIVE, and VACUOUS.

The gradient of ``<v, f(x)>`` for random cotangents ``v`` is compared with the slope of the same number along random
directions, and along coordinates where the input is small. Never a plain sum of the outputs: that of a softmax is
constant, and every rule passes. Order 2 checks the function ``(x, v) -> d<v, f(x)>/dx`` in the same way, and order 3
that function's gradient.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn.testing.check import Check
from minicnn.testing.diagnosis import diagnose_all, from_finding
from minicnn.testing.evidence import Diagnosis, Evidence
from minicnn.testing.jacobian import locate
from minicnn.testing.nearby import merged, nearby
from minicnn.testing.point import Clock, same
from minicnn.testing.problem import Problem
from minicnn.testing.report import FAIL, NONDIFFERENTIABLE, PASS, Comparison, Finding, Report
from minicnn.testing.subjects.pair import NO_SECOND_ORDER


def gradcheck(
    f: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    backward: Callable[..., Any] | None = None,
    order: int = 1,
    kwargs: dict[str, Any] | None = None,
    seed: int | None = None,
    budget_s: float | None = None,
    constants: tuple[int | str, ...] = (),
    writes: tuple[int | str, ...] = (),
    flat: bool = False,
    nondeterministic: bool = False,
    neighbours: bool = True,
    name: str = "",
) -> Report:
    """Check the gradients of ``f`` at ``inputs`` and near them, up to a derivative order.

    Parameters
    ----------
    f : callable
        A function of minicnn Tensors, of torch tensors (a ``torch.autograd.Function``'s ``apply``), or written with
        HIPS/autograd, recognised by what it returns; a module of minicnn or torch, whose parameters are checked too;
        or, with ``backward``, a function of plain NumPy or CuPy arrays. It returns an array or a tuple of arrays;
        outputs that are not float are ignored.
    inputs : sequence
        Positional arguments: arrays or tensors (floats are promoted to float64 and differentiated, integers passed
        on), lists of them, ``None`` and plain values.
    backward : callable, optional
        The hand-written rule ``backward(gy, *inputs, **kwargs)``. It returns one gradient for each input, ``None`` for
        those that have none; ``gy`` is a tuple if ``f`` returns one, with ``None`` in the place of an output that is
        not float. ``f`` is called at the same point right before. A Python float among the inputs is differentiated if
        the rule returns a gradient for it.
    order : int
        Highest derivative order to check.
    kwargs : dict, optional
        Keyword arguments. Float arrays among them are differentiated unless ``backward`` is given.
    seed : int, optional
        Of the cotangents and directions; the same seed gives the same verdict. Drawn and reported by default.
    budget_s : float, optional
        Seconds after which the check stops with what it knows.
    constants : tuple of int or str
        Float arguments, by position or keyword, that are not differentiated.
    writes : tuple of int or str
        Arguments that ``f`` may write; every other one must come back unchanged.
    flat : bool
        ``f`` is declared to be constant around its inputs, so that a zero gradient is no vacuous check.
    nondeterministic : bool
        Backward is declared to sum in varying order: results may differ by rounding from call to call.
    neighbours : bool
        Check slightly moved points too. A rule that is right only at special inputs (ones, zeros) fails there, and a
        kink at the given point does not hide a wrong rule.
    name : str
        How the report calls it; the function's own name by default.

    Returns
    -------
    Report
        True if everything agreed and could have disagreed; ``.require()`` raises otherwise.

    Raises
    ------
    ValueError
        If ``order`` is less than 1, or more than 1 for a hand-written rule; whatever ``f`` raises at the given inputs.
    TypeError
        If ``f`` is none of the above.

    Notes
    -----
    *The comparison.* Slopes are central differences of shrinking steps, extrapolated to step zero, with an error bar
    from their disagreement and from the measured rounding of ``f``; where the bar is wide, a complex step or extended
    precision sharpen it if ``f`` allows them. A value fails if it differs by more than 1e-8 of itself plus the bar.

    *Verdicts.* ``FAIL``: some value differs, or a rule of conduct is broken: shape, dtype and number of gradients, no
    gradient for integers, inputs and cotangents unmodified, the same bits twice, the same values for other memory
    layouts. ``NONDIFFERENTIABLE``: left and right slopes differ, the function jumps or ends at this point; points
    nearby were tried, and the rule was not wrong there. ``INCONCLUSIVE``: a bar too wide to tell. ``vacuous``: along
    every probe the slope is zero within its bar, so that a wrong rule might have passed.

    A check that passes takes about 120 calls of ``f`` for each input; one that fails, or whose bars are wide, up to
    several thousand.

    References
    ----------
    Ridders (1982) for the extrapolation; Moré and Wild (2011) for the noise; Squire and Trapp (1998) for the complex
    step.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.testing import gradcheck
    >>> def tanh_backward(gy, x):
    ...     return gy * (1 - np.tanh(x))  # the square is forgotten
    >>> report = gradcheck(np.tanh, [np.array([0.5, -1.0])], backward=tanh_backward, seed=0)
    >>> report.verdict, bool(report)
    ('FAIL', False)
    >>> bool(gradcheck(lambda x, y: x * y, [np.array([1.0, 2.0]), np.array([3.0, -1.0])], order=2))
    True
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"gradcheck: order must be at least 1, got {order!r}")
    if backward is not None and order > 1:
        raise ValueError(NO_SECOND_ORDER)
    clock = Clock(budget_s)
    seed = secrets.randbelow(2**31) if seed is None else seed
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"gradcheck: seed must be a whole number of at least 0, got {seed!r}")
    seed = int(seed)
    report = Report(name=name or _name_of(f), seed=seed, order=order, expected_flat=flat)
    problem = Problem(f, inputs, kwargs or {}, backward, constants, writes, report)
    random = np.random.default_rng(seed)
    before = [leaf.copy() if isinstance(leaf, np.ndarray) else None for leaf in problem.arguments.leaves]
    _check_orders(problem, order, random, clock, not nondeterministic, neighbours)
    for i, (leaf, copy) in enumerate(zip(problem.arguments.leaves, before, strict=True)):
        if copy is not None and i not in problem.call.written and not same(leaf, copy):
            where = problem.labels[i]
            if not any(f.kind == "input modified" and f.where == where for f in report.findings):
                report.findings.append(Finding("input modified", 1, where, "f or its backward wrote into it"))
    report.seconds = clock.seconds
    return report


def gradgradcheck(f: Callable[..., Any], inputs: Sequence[Any], **options: Any) -> Report:
    """:func:`gradcheck` at order 2: first and second derivatives."""
    return gradcheck(f, inputs, **{"order": 2} | options)


def _check_orders(
    problem: Problem, order: int, random: np.random.Generator, clock: Clock, exact_bits: bool, neighbours: bool
) -> None:
    report, subject = problem.report, problem.subject
    arrays, names, outputs = problem.arrays, problem.names, None
    if not arrays:
        report.notes.append("no float input to differentiate")
        return
    for level in range(1, order + 1):
        check = Check(
            subject, arrays, names, outputs, level, random, clock, exact_bits=exact_bits, writable=problem.writable,
            fixed=problem.fixed,
        )
        if not check.results:
            report.notes.append("no float output")
            return
        _check_point(problem, check, level, neighbours)
        if report.findings or level == order:
            return
        subject = subject.derived(len(arrays))
        outputs = [f"gradient of {name}" for name in names]
        arrays = [*arrays, *check.cotangents[0]]
        names = [*names, *(f"cotangent {i} of order {level}" for i in range(len(check.cotangents[0])))]


def _check_point(problem: Problem, check: Check, level: int, neighbours: bool) -> None:
    """Check the given point and its neighbourhood, and add to the report what was found."""
    report = problem.report
    ready = check.prepare()
    broken = {f.kind for f in check.findings} & {"accumulates", "nondeterministic"}
    if ready and not broken:
        check.run(directions=2 if level < 3 else 1, coordinates=level == 1)
        check.repeatable()
        if level == 1 and all(o.verdict != FAIL for o in check.outcomes.values()):
            report.notes += check.laid_out_otherwise()
    around = nearby(check) if neighbours and not broken and not check.clock.over else []
    evidence: list[Evidence] = []
    findings = list(check.findings)
    for key in sorted({*check.outcomes, *(key for moved in around for key in moved.outcomes)}):
        comparison, source = merged(check, around, key)
        report.compared.append(comparison)
        if comparison.verdict != PASS:
            right_nearby = any(m.outcomes[key].verdict == PASS for m in around if key in m.outcomes)
            findings.append(_finding(comparison, check, key, right_nearby))
        if comparison.verdict == FAIL and check.clock.over:
            report.notes.append("no time was left to find where and why")
        elif comparison.verdict == FAIL:
            evidence.append(locate(source, *key, problem.call, problem.labels))
    for moved in around:
        known = {f.kind for f in findings} | {"edge", "random", "budget"}
        findings += [f for f in moved.findings if f.kind not in known]
    report.comparisons += sum(c.comparisons for c in (check, *around))
    report.findings += findings
    report.jacobians += [e.jacobians for e in evidence]
    _diagnose(report, check, evidence)


def _finding(comparison: Comparison, check: Check, key: tuple[int, int], right_nearby: bool) -> Finding:
    where = f"{comparison.input} → {comparison.output}"
    values = f"{comparison.where}: {comparison.values}"
    if comparison.verdict != NONDIFFERENTIABLE:
        return Finding("mismatch" if comparison.verdict == FAIL else "error bar", comparison.order, where, values)
    here = check.outcomes.get(key)
    kind, detail = (here.trouble, here.detail) if here and here.trouble else ("kink", values)
    detail += "; at points nearby the gradient is right" if right_nearby else ""
    return Finding(kind, comparison.order, where, detail)


def _diagnose(report: Report, check: Check, evidence: list[Evidence]) -> None:
    """Causes of what failed: broken rules of conduct first, for they explain wrong numbers too."""
    shapes = {name: x.shape for name, x in zip(check.names, check.arrays, strict=True)}
    for finding in report.findings:
        got = check.odd_shapes.get(finding.where) if finding.kind == "shape" else None
        found = from_finding(finding, expected=shapes.get(finding.where), got=got)
        if found is not None:
            report.diagnoses.append(found)
    report.diagnoses += diagnose_all(evidence)
    if not evidence:  # else both Jacobians say more
        report.diagnoses += [
            Diagnosis("nonlinear-in-upstream", f.where, f.message) for f in report.findings if f.kind == "not linear"
        ]


def _name_of(f: Any) -> str:
    return str(getattr(f, "__qualname__", "") or type(f).__name__).replace("<locals>.", "")
