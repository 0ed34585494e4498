"""All hypotheses in one table, and how the best are chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from minicnn.testing.diagnosis import (
    coupling,
    experiments,
    expressions,
    factors,
    higher,
    position,
    precision,
    scale,
    support,
    terms,
    upstream,
)
from minicnn.testing.diagnosis.view import Guess, View
from minicnn.testing.evidence import Diagnosis, Evidence

Hypothesis = Callable[[View], Iterator[Guess]]

#: In stages from cheap and general to dear and special. A stage is entered only while no guess is sure.
STAGES: tuple[tuple[Hypothesis, ...], ...] = (
    (upstream.repeated, support.not_finite, upstream.upstream, support.nothing),
    (scale.everywhere,),
    (
        precision.deviation,
        terms.structure,
        terms.proportional,
        terms.cross_entropy,
        support.exchanged,
        factors.saved_value,
        factors.factor,
    ),
    (
        support.lost,
        support.added,
        position.permutation,
        position.permuted,
        position.ranks,
        scale.by_count,
        terms.centring,
    ),
    (
        experiments.options,
        experiments.rearranged,
        experiments.operands,
        experiments.neutral,
        support.mask_inside,
        experiments.indices,
    ),
    (position.adjoint, position.flipped, position.shifted, position.blocks, position.misplaced, coupling.partial_sum),
    (expressions.activation, terms.identity, scale.in_part, coupling.normaliser, expressions.term, expressions.lines),
    (coupling.axes, expressions.local_derivative),
)

#: From here on a guess is sure: it explains every entry by something that has a name.
SURE = 0.94

#: After so many stages the dear experiments come, which a good guess spares.
CHEAP = 3

#: A second cause is told only if it is about as plausible as the first, and a third.
NEARLY = 0.015

#: Guesses that only say less precisely what another one says.
_WEAKER = {
    "transposed-weight": {"forward-not-adjoint", "transposed-gradient", "misplaced", "kernel-not-flipped"},
    "kernel-not-flipped": {"forward-not-adjoint", "misplaced", "off-by-one-shift"},
    "off-by-one-shift": {"misplaced", "forward-not-adjoint", "border-dropped", "mask-too-strict", "reduced-too-much"},
    "forward-not-adjoint": {"misplaced", "transposed-gradient", "reduced-too-much", "wrong-axis"},
    "zero-padded-max": {"border-dropped", "mask-too-strict", "mask-missing"},
    "wrong-axis": {"reduced-too-much", "misplaced", "transposed-gradient"},
    "statistic-as-constant": {"coupling-dropped", "missing-term"},
    "missing-factor": {"wrong-local-derivative", "constant-factor", "extra-factor"},
    "mask-missing": {"reduced-too-much"},
}


def guesses(view: View) -> list[Guess]:
    """Every guess that holds, best first, each cause once."""
    stages = STAGES if view.order == 1 else ((higher.constant_in_backward,),)
    if not view.pair.wrong.any():  # right for unit cotangents: only its use of the upstream gradient can be wrong
        stages = STAGES[:1]
    found: list[Guess] = []
    for i, stage in enumerate(stages):
        for hypothesis in stage:
            found += hypothesis(view)
            if i >= CHEAP and any(g.score >= SURE for g in found):
                break
        if any(g.score >= (SURE if i < CHEAP else 0.9) for g in found):
            break
    found.sort(key=lambda g: -g.score)  # stable: of equal ones the earlier in the table
    best: dict[str, Guess] = {}
    for guess in found:
        if not any(guess.cause in _WEAKER.get(better, ()) for better in best):
            best.setdefault(guess.cause, guess)
    return list(best.values())


def diagnose(evidence: Evidence) -> list[Diagnosis]:
    """Probable causes of one failure, best first.

    Parameters
    ----------
    evidence : Evidence
        Both Jacobians of one output by one input, and what to try with them.

    Returns
    -------
    list of Diagnosis
        At most three, usually one; empty if nothing in the catalogue matches. A cause that explains every entry comes
        before one that explains a part of them, and the more special before the more general.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.testing.evidence import Evidence, JacobianPair
    >>> x, n = np.array([1.0, 2.0, 3.0]), np.diag([2.0, 4.0, 6.0])
    >>> pair = JacobianPair("x", "y", 1, (3,), (3,), np.arange(3), np.arange(3), -n, n, 0 * n)
    >>> evidence = Evidence(pair, {"x": x}, {"y": x**2}, lambda v: -2 * x * v, lambda new: None, lambda new: None)
    >>> print(diagnose(evidence)[0])
    sign-flipped (x → y): analytic is -1 times numeric everywhere: the sign is wrong
    """
    with np.errstate(all="ignore"):
        view = View(evidence)
        found = guesses(view)
    where = f"{view.pair.input} → {view.pair.output}"
    return [Diagnosis(g.cause, where, g.sentence) for g in found if g.score >= found[0].score - NEARLY][:3]


def diagnose_all(evidences: list[Evidence]) -> list[Diagnosis]:
    """Probable causes of all failures of one function, best first.

    Parameters
    ----------
    evidences : list of Evidence
        One for each input and output that failed.

    Returns
    -------
    list of Diagnosis
        Gradients that are exchanged between inputs first, then for every failure its best cause, then second ones.
    """
    found: list[Diagnosis] = []
    taken: set[int] = set()
    for i, one in enumerate(evidences):
        for k, other in enumerate(evidences[i + 1 :], i + 1):
            if {i, k} & taken or not _exchanged(one, other):
                continue
            taken |= {i, k}
            a, b = one.jacobians, other.jacobians
            names = (a.input, b.input) if a.input != b.input else (a.output, b.output)
            what = "gradient of" if a.input != b.input else "gradient from the upstream gradient of"
            seen = f"the {what} {names[0]} is the true one of {names[1]}, and the other way round"
            found.append(Diagnosis("swapped-gradients", f"{names[0]}, {names[1]}", seen))
    rest = [diagnose(e) for i, e in enumerate(evidences) if i not in taken]
    found += [d[0] for d in rest if d]
    found += [d for several in rest for d in several[1:]]
    return found


def _exchanged(one: Evidence, other: Evidence) -> bool:
    a, b = one.jacobians, other.jacobians
    if (a.output != b.output) == (a.input != b.input) or a.order != b.order or a.analytic.shape != b.analytic.shape:
        return False
    size = float(max(np.max(np.abs(a.numeric), initial=0.0), np.max(np.abs(b.numeric), initial=0.0)))
    allowed = 1e-5 * size + 8 * (a.error + b.error)
    if not np.any(np.abs(a.numeric - b.numeric) > allowed):
        return False
    return bool(np.all(np.abs(a.analytic - b.numeric) <= allowed) and np.all(np.abs(b.analytic - a.numeric) <= allowed))
