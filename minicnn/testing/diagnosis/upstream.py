"""Is backward linear in the upstream gradient? Every right rule is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.diagnosis.view import Guess, View, number


def _same(a: Array, b: Array) -> bool:
    size = max(float(np.max(np.abs(a), initial=0.0)), float(np.max(np.abs(b), initial=0.0)))
    return bool(np.all(np.abs(a - b) <= 1e-6 * size + 1e-300))


def _close(a: Array, b: Array) -> bool:
    return bool(np.max(np.abs(a - b), initial=0.0) <= 3e-3 * np.max(np.abs(b), initial=0.0))


def repeated(view: View) -> Iterator[Guess]:
    """Two calls, two answers."""
    v = np.random.default_rng(2).standard_normal(view.y_shape)
    several = [view.gradient(v) for _ in range(3)]
    if any(g is None for g in several) or not all(np.all(np.isfinite(g)) for g in several if g is not None):
        return
    a, b, c = (np.asarray(g) for g in several)
    if np.array_equal(a, b) and np.array_equal(b, c):
        return
    if _same(c - b, b - a) and np.any(b != a):
        yield Guess(
            1.0, "stale-buffer", "every further call adds the same again: a buffer is not cleared between calls"
        )
    else:
        yield Guess(1.0, "nondeterministic", "two calls with the same upstream gradient give different gradients")


def upstream(view: View) -> Iterator[Guess]:
    """Upstream ignored, squared, clipped; a term that does not contain it."""
    random = np.random.default_rng(0)
    v, u = random.standard_normal(view.y_shape), random.standard_normal(view.y_shape)
    answers = [view.gradient(c) for c in (v, 2 * v, -v, np.zeros_like(v), u, u + v)]
    if any(a is None or not np.all(np.isfinite(a)) for a in answers):
        return
    at_v, at_2v, at_minus, at_0, at_u, at_sum = (np.asarray(a) for a in answers)
    if not at_v.any() and not at_2v.any():
        return
    if not at_0.any() and _close(at_2v, 2 * at_v) and _close(at_sum, at_u + at_v) and _close(at_minus, -at_v):
        return  # but for rounding, which is another cause
    if _same(at_v, at_2v) and _same(at_v, at_u):
        yield Guess(1.0, "upstream-ignored", "backward returns the same gradient whatever the upstream gradient is")
    elif _same(at_2v - at_0, 2 * (at_v - at_0)) and _same(at_sum - at_0, at_u + at_v - 2 * at_0):
        yield _constant_term(view, at_0)
    elif _same(at_2v, 4 * at_v):
        yield Guess(1.0, "upstream-squared", "twice the upstream gradient gives four times the gradient")
    else:
        yield _other(view, v, at_v, at_2v, at_minus)


def _constant_term(view: View, constant: Array) -> Guess:
    """The gradient is linear but for a term that stays when the upstream gradient is zero."""
    flat, x = constant.reshape(-1), np.asarray(view.x, np.float64).reshape(-1)
    for name, base in ((view.pair.input, x), (f"sign({view.pair.input})", np.sign(x))):
        c = float(base @ flat / (base @ base)) if flat.shape == base.shape and base.any() else 0.0
        if c and flat.size > 1 and _same(flat, c * base):
            seen = f"a zero upstream gradient gives {number(c)} × {name}: a penalty's derivative inside the rule"
            return Guess(1.0, "weight-decay-in-gradient", seen)
    seen = "a zero upstream gradient gives a gradient that is not zero: one term of it is not multiplied by upstream"
    return Guess(0.98, "upstream-ignored", seen)


def _other(view: View, v: Array, at_v: Array, at_2v: Array, at_minus: Array) -> Guess:
    tiny, huge, huger = (view.gradient(c * v) for c in (1e-6, 1e6, 2e6))
    if tiny is not None and huge is not None and huger is not None and _same(huge, huger):
        largest = float(np.max(np.abs(huge), initial=0.0))
        kind = "clipped" if _same(2 * np.asarray(view.gradient(0.5e-6 * v)), tiny) else "normalised"
        seen = f"the gradient is {kind}: it stays at {number(largest)} however large the upstream gradient is"
        return Guess(1.0, "gradient-clipped", seen)
    if _same(at_2v, 2 * at_v):
        seen = "negating the upstream gradient does not negate the gradient: its sign or absolute value is used"
        return Guess(1.0, "nonlinear-in-upstream", seen)
    with np.errstate(all="ignore"):
        ratios = at_2v[np.abs(at_v) > 1e-9] / at_v[np.abs(at_v) > 1e-9]
    if ratios.size and np.allclose(ratios, ratios[0], rtol=1e-6):
        seen = f"twice the upstream gradient gives {number(float(ratios[0]))} times the gradient instead of 2"
        return Guess(1.0, "upstream-squared" if ratios[0] == 4 else "nonlinear-in-upstream", seen)
    return Guess(0.97, "nonlinear-in-upstream", "the gradient is not proportional to the upstream gradient")
