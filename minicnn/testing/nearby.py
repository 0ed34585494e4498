"""Points near the given one: a rule that is right only at special inputs is wrong there."""

from __future__ import annotations

from dataclasses import replace

from minicnn.testing.check import Check
from minicnn.testing.report import FAIL, INCONCLUSIVE, NONDIFFERENTIABLE, PASS, Comparison
from minicnn.testing.subjects import OUTSIDE

_MOVES = (0.02, 0.005, 0.1)  # how far a nearby point lies, in units of each element's reach


def nearby(check: Check) -> list[Check]:
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
                    exact_bits=check.exact_bits, writable=check.writable, fixed=check.fixed,
                )
            except OUTSIDE:
                continue
            if len(moved.results) == len(check.results) and moved.prepare():
                moved.run(directions=1, coordinates=False)
                found.append(moved)
        if any(o.verdict in {PASS, FAIL} and not o.flat for m in found for o in m.outcomes.values()):
            break
    return found


def merged(check: Check, around: list[Check], key: tuple[int, int]) -> tuple[Comparison, Check]:
    """The given point's verdict, unless the rule is wrong only nearby."""
    others = [moved for moved in around if key in moved.outcomes]
    wrong = [moved for moved in others if moved.outcomes[key].verdict == FAIL]
    if wrong and (key not in check.outcomes or check.outcomes[key].verdict != FAIL):
        there = wrong[0].comparison(*key)
        return replace(there, where=f"{there.where}, at a point nearby"), wrong[0]
    if key not in check.outcomes:  # f is not finite at the point, or its gradient could not be compared there
        there = others[0].comparison(*key)
        return replace(there, verdict=NONDIFFERENTIABLE, where=f"{there.where}, at a point nearby"), others[0]
    here = check.comparison(*key)
    if here.vacuous and here.verdict == PASS and any(m.outcomes[key].verdict == INCONCLUSIVE for m in others):
        return replace(here, verdict=INCONCLUSIVE), check  # flat here, and too noisy to say nearby
    return replace(here, vacuous=here.vacuous and all(m.outcomes[key].flat for m in others)), check
