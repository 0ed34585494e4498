"""A gradient checker that says what it knows: PASS, FAIL and why, NONDIFFERENTIABLE, INCONCLUSIVE, and VACUOUS.

The gradient of ``<v, f(x)>`` for random cotangents ``v`` is compared with the slope of the same number along random
directions, and along coordinates where the input is small. Never a plain sum of the outputs: that of a softmax is
constant, and every rule passes. Order 2 checks the function ``(x, v) -> d<v, f(x)>/dx`` in the same way, and order 3
that function's gradient.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.testing import modules
from minicnn.testing.arguments import Arguments, label
from minicnn.testing.check import Check, Clock, same
from minicnn.testing.evidence import Evidence
from minicnn.testing.jacobian import locate
from minicnn.testing.layouts import LAYOUTS
from minicnn.testing.report import FAIL, NONDIFFERENTIABLE, PASS, Comparison, Finding, Report
from minicnn.testing.subjects import OUTSIDE, Call, Pair, Subject, Torch, placed, recognise

_MOVES = (0.02, 0.005, 0.1)  # how far a nearby point lies, in units of each element's reach
_KINDS = {"NONDIFFERENTIABLE": "kink", "INCONCLUSIVE": "error bar", "FAIL": "mismatch"}


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

    Time is about ``8 (n + 6)`` calls of ``f`` for ``n`` input elements up to 64, and about 120 calls for larger inputs.

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
    if order < 1:
        raise ValueError(f"gradcheck: order must be at least 1, got {order}")
    if backward is not None and order > 1:
        Pair.derived(None, 0)  # type: ignore[arg-type]  # raises, and says why
    clock = Clock(budget_s)
    seed = secrets.randbelow(2**31) if seed is None else int(seed)
    report = Report(name=name or _name_of(f), seed=seed, order=order, expected_flat=flat)
    problem = _Problem(f, inputs, kwargs or {}, backward, constants, writes, report)
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


class _Problem:
    """A function with its arguments in float64, as a subject."""

    def __init__(
        self, f: Callable[..., Any], inputs: Sequence[Any], kwargs: dict[str, Any], backward: Callable[..., Any] | None,
        constants: tuple[int | str, ...], writes: tuple[int | str, ...], report: Report,
    ) -> None:
        self.report = report
        of_torch = any(type(v).__module__.partition(".")[0] == "torch" for v in Arguments(tuple(inputs), kwargs).leaves)
        place, kind = placed(inputs)
        promoted: set[str] = set()
        plain = backward is not None
        args = tuple(_plain(v, promoted, listed=plain) for v in inputs)
        options = {k: _plain(v, promoted, listed=False) for k, v in kwargs.items()}
        if promoted:
            report.notes.append(f"promoted {', '.join(sorted(promoted))} to float64")
        if backward is None and hasattr(f, "named_parameters"):
            parameters = modules.parameters(f)
            f, options = modules.functional(f, tuple(parameters)), options | parameters
        self.arguments = Arguments(args, options)
        wanted = self.arguments.floats(constants)
        if plain:
            wanted = [i for i in wanted if not isinstance(self.arguments.paths[i][0], str)]
        numbers = {i for i in wanted if plain and isinstance(inputs[int(self.arguments.paths[i][0])], float)}
        written = {i for i, path in enumerate(self.arguments.paths) if path[0] in writes}
        self.call = Call(f, self.arguments, wanted, written, numbers)
        self.labels = [label(path) for path in self.arguments.paths]
        self.arrays: list[Array] = [self.arguments.leaves[i] for i in wanted]
        if backward is not None:
            pair = Pair(self.call, backward, place, kind)
            self.subject: Subject = pair
            if numbers and not numbers <= (given := pair.answered(self.arrays)):
                self.call.wanted = [i for i in wanted if i not in numbers - given]  # a plain number that is an option
                self.arrays = [self.arguments.leaves[i] for i in self.call.wanted]
        elif of_torch:
            self.subject = Torch.of(self.call)
        else:
            self.subject = recognise(self.call, self.arrays)
        self.names = [self.labels[i] for i in self.call.wanted]
        self.writable = frozenset(k for k, i in enumerate(self.call.wanted) if i in written)


def _check_orders(
    problem: _Problem, order: int, random: np.random.Generator, clock: Clock, exact_bits: bool, neighbours: bool
) -> None:
    report, subject = problem.report, problem.subject
    arrays, names, outputs = problem.arrays, problem.names, None
    if not arrays:
        report.notes.append("no float input to differentiate")
        return
    for level in range(1, order + 1):
        check = Check(
            subject, arrays, names, outputs, level, random, clock, exact_bits=exact_bits, writable=problem.writable
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


def _check_point(problem: _Problem, check: Check, level: int, neighbours: bool) -> None:
    """Check the given point and its neighbourhood, and add to the report what was found."""
    report = problem.report
    ready = check.prepare()
    broken = {f.kind for f in check.findings} & {"accumulates", "nondeterministic"}
    if ready and not broken:
        check.run(directions=2 if level < 3 else 1, coordinates=level == 1)
        check.repeatable()
        if level == 1 and all(o.verdict != FAIL for o in check.outcomes.values()):
            _check_layouts(problem, check)
    nearby = _nearby(check) if neighbours and not broken and not check.clock.over else []
    evidence: list[Evidence] = []
    findings = list(check.findings)
    for key in sorted({*check.outcomes, *(key for moved in nearby for key in moved.outcomes)}):
        here = check.outcomes.get(key)
        around = {moved.outcomes[key].verdict for moved in nearby if key in moved.outcomes}
        comparison, source = _merge(check, nearby, key)
        report.compared.append(comparison)
        if comparison.verdict == PASS:
            continue
        detail = (here.detail if here and comparison.verdict == NONDIFFERENTIABLE else "") or str(comparison).partition("(")[2].rstrip(")")
        kind = _KINDS[comparison.verdict]
        if comparison.verdict == NONDIFFERENTIABLE:
            kind = here.trouble if here and here.trouble else "kink"
            detail += "; at points nearby the gradient is right" if PASS in around else ""
        where = f"{comparison.input} → {comparison.output}"
        findings.append(Finding(kind, level, where, detail))
        if comparison.verdict == FAIL:
            evidence.append(locate(source, *key, problem.call, problem.labels))
    for moved in nearby:
        known = {f.kind for f in findings} | {"edge", "random", "budget"}
        findings += [f for f in moved.findings if f.kind not in known]
        report.comparisons += moved.comparisons
    report.comparisons += check.comparisons
    report.findings += findings
    report.jacobians += [e.jacobians for e in evidence]
    _diagnose(report, check, evidence, level)


def _diagnose(report: Report, check: Check, evidence: list[Evidence], level: int) -> None:
    """Causes of what failed: broken rules of conduct first, for they explain wrong numbers too."""
    from minicnn.testing.diagnosis import diagnose_all, from_finding

    shapes = {name: x.shape for name, x in zip(check.names, check.arrays, strict=True)}
    for finding in report.findings:
        got = check.odd_shapes.get(finding.where) if finding.kind == "shape" else None
        found = from_finding(finding, expected=shapes.get(finding.where), got=got)
        if found is not None:
            report.diagnoses.append(found)
    report.diagnoses += diagnose_all(evidence)


def _nearby(check: Check) -> list[Check]:
    """The same check at moved points: one, or one on either side where the given point is flat or has no derivative."""
    plain = bool(check.outcomes) and all(o.verdict == PASS and not o.flat for o in check.outcomes.values())
    found: list[Check] = []
    for far in _MOVES:
        steps = [
            far * r * check.random.uniform(0.5, 1.0, r.shape) * check.random.choice([-1.0, 1.0], r.shape)
            for r in check.reach
        ]
        for sign in (1,) if plain else (1, -1):
            arrays = [a + sign * s for a, s in zip(check.arrays, steps, strict=True)]
            try:
                moved = Check(
                    check.subject, arrays, check.names, check.outputs, check.order, check.random, check.clock,
                    exact_bits=check.exact_bits, writable=check.writable,
                )
            except OUTSIDE:
                continue
            if len(moved.results) == len(check.results) and moved.prepare():
                moved.run(directions=1, coordinates=False)
                found.append(moved)
        if any(o.verdict in {PASS, FAIL} and not o.flat for m in found for o in m.outcomes.values()):
            break
    return found


def _merge(check: Check, nearby: list[Check], key: tuple[int, int]) -> tuple[Comparison, Check]:
    """The given point's verdict, unless the rule is wrong only nearby."""
    others = [moved for moved in nearby if key in moved.outcomes]
    wrong = [moved for moved in others if moved.outcomes[key].verdict == FAIL]
    if wrong and (key not in check.outcomes or check.outcomes[key].verdict != FAIL):
        there = wrong[0].comparison(*key)
        return replace(there, where=f"{there.where}, at a point nearby"), wrong[0]
    if key not in check.outcomes:  # f is not finite at the point, or its gradient could not be compared there
        there = others[0].comparison(*key)
        return replace(there, verdict=NONDIFFERENTIABLE, where=f"{there.where}, at a point nearby"), others[0]
    here = check.comparison(*key)
    return replace(here, vacuous=here.vacuous and all(m.outcomes[key].flat for m in others)), check


def _check_layouts(problem: _Problem, check: Check) -> None:
    """Values and gradients must not depend on how the inputs lie in memory."""
    base, vs = check.gradient[0], check.separate()[0]
    for layout, arrange in LAYOUTS.items():
        arrays = [arrange(a) for a in check.arrays]
        try:
            values = check.values(arrays)
            moved = check.pull([[arrange(v) for v in vs]], arrays)
        except Exception as error:  # noqa: BLE001 (a rule under test may raise anything)
            problem.report.notes.append(f"{layout} inputs were refused ({type(error).__name__}: {error})")
            continue
        if moved is None:
            continue
        if not all(_close(a, b) for a, b in zip(values, check.results, strict=True)):
            problem.report.notes.append(f"f itself gives other values for {layout} inputs")
            continue
        size = max((float(np.max(np.abs(g), initial=0.0)) for g in base), default=0.0)
        for name, ok, g, h in zip(check.names, check.sound, base, moved[0], strict=True):
            if ok and h is not None and not _close(h, g, size):
                check.find("layout", name, f"another gradient for {layout} inputs of the same values")
                return


def _close(a: Array, b: Array, size: float = 0.0) -> bool:
    size = max(size, 1e-9, float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b))))
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-6, atol=1e-6 * size, equal_nan=True))


def _name_of(f: Any) -> str:
    return str(getattr(f, "__qualname__", "") or type(f).__name__).replace("<locals>.", "")


def _plain(value: Any, promoted: set[str], *, listed: bool) -> Any:
    """Tensors as arrays, float arrays as float64 (layout kept), containers alike."""
    if isinstance(value, (list, tuple)):
        if listed and value and all(isinstance(v, float) for v in value):
            return np.array(value)
        items = [_plain(v, promoted, listed=listed) for v in value]
        return tuple(items) if isinstance(value, tuple) else items
    if listed and isinstance(value, float):
        return np.array(value)
    if isinstance(value, Tensor):
        value = value.detach().numpy()
    elif hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    elif hasattr(value, "__cuda_array_interface__"):
        value = value.get()
    if isinstance(value, np.ndarray) and value.dtype.kind == "c":
        raise ValueError("gradcheck: complex inputs are not supported; pass real and imaginary parts")
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype != np.float64:
        promoted.add(str(value.dtype))
        return value.astype(np.float64)
    return value
