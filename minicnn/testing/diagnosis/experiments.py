"""Experiments: is backward right for other inputs than those it was given?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.diagnosis.scale import name
from minicnn.testing.diagnosis.view import Guess, View, axes_text, number


def rearranged(view: View) -> Iterator[Guess]:
    """Another input transposed, flipped along its last axes, or reshaped for transposed."""
    for label, w in {**view.others, view.pair.input: np.asarray(view.x)}.items():
        own = label == view.pair.input
        for a, b in itertools.combinations(range(w.ndim), 2):
            if w.shape[a] != w.shape[b] or w.shape[a] < 2:
                continue
            if view.explained_at(("swap", label, a, b), {label: np.array(np.swapaxes(w, a, b))}):
                seen = f"analytic is the true derivative for {label} with {axes_text((a, b))} exchanged"
                yield Guess(0.98, "transposed-weight", f"{seen}: backward uses {label} where its transpose is due")
                return
        for count in range(1, 0 if own else min(3, w.ndim) + 1):
            axes = tuple(range(w.ndim - count, w.ndim))
            if np.prod([w.shape[a] for a in axes]) < 2:
                continue
            if view.explained_at(("flip", label, axes), {label: np.array(np.flip(w, axes))}):
                seen = f"analytic is the true derivative for {label} reversed along {axes_text(axes)}"
                yield Guess(0.97, "kernel-not-flipped", seen)
                return
        if w.ndim >= 2 and not own:
            again = np.array(w.reshape(w.shape[::-1]).T)
            if not np.array_equal(again, w) and view.explained_at(("reshape", label), {label: again}):
                seen = f"analytic is the true derivative for {label} reshaped instead of transposed"
                yield Guess(0.97, "wrong-reshape", seen)
                return


def options(view: View) -> Iterator[Guess]:
    """An option with another value than it was given: its default, its neighbour, its opposite."""
    for option, value in view.evidence.options.items():
        for other in _alternatives(value):
            if view.explained_at(("option", option, repr(other)), {option: other}) or _cropped(view, option, other):
                seen = f"analytic is the true derivative for {option} = {other} instead of {value}"
                cause = _cause_of_option(value, other)
                yield Guess(0.97, cause, f"{seen}: backward forgets {option}")
                return


def _cause_of_option(value: Any, other: Any) -> str:
    if isinstance(value, float):
        return (
            "epsilon-mismatch"
            if abs(value) < 0.1 and not other
            else "constant-factor"
            if other == 1.0
            else "option-ignored"
        )
    near = isinstance(value, int) and not isinstance(value, bool) and abs(other - value) == 1 and other not in {0, 1}
    return "off-by-one-shift" if near else "option-ignored"


def _cropped(view: View, option: str, other: Any) -> bool:
    """The same where the option changes the output's size: its first elements are compared."""
    y = view.value({option: other})
    if y is None or y.ndim != len(view.y_shape) or y.shape == view.y_shape or y.size > 64 * np.prod(view.y_shape):
        return False
    corner = tuple(slice(0, size) for size in view.y_shape)
    if y[corner].shape != view.y_shape or not view.complete:
        return False

    def slope(direction: Array) -> Array:
        step, total = 1e-4, np.zeros(view.y_shape)
        for shift, weight in ((-2, 1.0), (-1, -8.0), (1, 8.0), (2, -1.0)):
            moved = view.value({option: other, view.pair.input: view.x + shift * step * direction})
            total = total + weight * (np.zeros(view.y_shape) if moved is None else moved[corner])
        return np.asarray(total.reshape(-1) / (12 * step))

    mine = view.analytic @ view.direction.reshape(-1)
    if not np.allclose(slope(view.direction), mine, rtol=1e-5, atol=1e-5 * view.scale):
        return False
    units = np.eye(view.analytic.shape[1]).reshape(-1, *view.x_shape)
    return view.explains(np.stack([slope(unit) for unit in units], 1))


def _alternatives(value: Any) -> list[Any]:
    """Other values of the same kind."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [v for v in dict.fromkeys((1, 0, value - 1, value + 1, -value)) if v != value]
    if isinstance(value, float):
        return [v for v in dict.fromkeys((0.0, 1.0, -value, 1 - value, 1 / value if value else 0.0)) if v != value]
    if isinstance(value, tuple) and value and all(isinstance(v, int) for v in value):
        several = (
            (1,) * len(value),
            (0,) * len(value),
            value[::-1],
            tuple(v - 1 for v in value),
            tuple(v + 1 for v in value),
        )
        return [v for v in dict.fromkeys(several) if v != value]
    return []


def operands(view: View) -> Iterator[Guess]:
    """One input taken for another."""
    x_name = view.pair.input
    everything = {x_name: np.asarray(view.x, np.float64), **view.others}
    outputs = {k: np.asarray(v) for k, v in view.evidence.outputs.items()}
    for label, array in everything.items():
        for source, values in {**everything, **outputs}.items():
            if source == label or values.shape != array.shape or array.size < 2:
                continue
            if label == x_name and source == view.pair.output:
                continue  # saved-value-confused
            if view.explained_at(("for", label, source), {label: np.array(values)}):
                without = view.along((0, label), {label: np.zeros_like(array)})
                if (
                    source == x_name
                    and not view.elementwise_shapes
                    and without is not None
                    and np.any(np.abs(without) > 1e-6 * view.scale)
                ):
                    seen = f"analytic is the true derivative for {label} = {x_name}, where their difference is zero"
                    yield Guess(0.96, "missing-term", f"{seen}: the term of {label} is missing")
                    return
                seen = f"analytic is the true derivative for {label} := {source}: the wrong array is used"
                yield Guess(0.975, "wrong-operand", seen)
                return
    for label, other in view.others.items():
        if other.size == np.size(view.x) and view.complete:
            by_other = view.numeric_by(label)
            if by_other is not None and view.explains(by_other):
                seen = (
                    f"analytic is the true derivative by {label}: the gradients of {x_name} and {label} are exchanged"
                )
                yield Guess(0.97, "swapped-gradients", seen)
                return
    for label, other in view.others.items():
        for words, values, cause in (
            ("-", -other, "sign-flipped"),
            ("1/", 1 / other if np.all(other != 0) else None, "wrong-power"),
            ("square of ", other**2, "wrong-power"),
            ("root of ", np.sqrt(np.abs(other)), "wrong-power"),
        ):
            if values is not None and view.explained_at((words, label), {label: np.asarray(values)}):
                yield Guess(0.96, cause, f"analytic is the true derivative for the {words}{label} in place of {label}")
                return


def neutral(view: View) -> Iterator[Guess]:
    """One input forgotten (as though it were 1 or 0), or the term that it brings wrong."""
    for label, other in view.others.items():
        if view.explained_at((1, label), {label: np.ones_like(other)}):
            seen = f"analytic is the true derivative for {label} = 1: backward leaves the factor {label} out"
            yield Guess(0.975, "missing-factor", seen)
            return
        if view.explained_at((0, label), {label: np.zeros_like(other)}):
            seen = f"analytic is the true derivative for {label} = 0: backward forgets {label}"
            none, twice = (
                view.along((0, label), {label: np.zeros_like(other)}),
                view.along((2, label), {label: 2 * other}),
            )
            once = view.along("here", {})
            if none is not None and twice is not None and once is not None:
                term = np.allclose(twice - none, 2 * (once - none), rtol=1e-4, atol=1e-5 * view.scale)
                yield Guess(0.965, "missing-term" if term else "input-ignored", seen)
            return
        yield from _parts(
            view, (0, label), {label: np.zeros_like(other)}, f"{label} brings", f"does not depend on {label}"
        )
    x = np.zeros(view.x_shape)
    what = f"depends on {view.pair.input}", f"is linear in {view.pair.input}"
    yield from _parts(view, "x=0", {view.pair.input: x}, *what)


def _parts(view: View, key: object, replaced: dict[str, Array], inside: str, outside: str) -> Iterator[Guess]:
    """The Jacobian as what is left at zero plus the rest; backward may have one of both wrong."""
    quick = view.along(key, replaced)
    if quick is None or not _parts_plausible(view, quick):
        return
    at = view.at(key, replaced)
    if at is None or not np.any(np.abs(at) > 1e-4 * view.scale):
        return
    rest = view.numeric - at
    if not np.any(np.abs(rest) > 1e-4 * view.scale):
        return
    for part, kept, words in ((rest, at, inside), (at, rest, outside)):
        c = float(np.vdot(part, view.analytic - kept) / np.vdot(part, part))
        if np.count_nonzero(np.abs(part) > view.small) < 2 or not view.explains(kept + c * part):
            continue
        seen = f"the part of the derivative that {words} is {number(c)} times what it should be, the rest is right"
        if abs(c) < 1e-6 and part is rest and key == "x=0" and not _linear(view, replaced):
            seen = f"analytic is the true derivative for {view.pair.input} = 0, whatever {view.pair.input} is"
            yield Guess(0.95, "missing-factor", f"{seen}: the local derivative, which is 1 there, is missing")
        elif abs(c) < 1e-6:
            yield Guess(0.95, "missing-term", f"the part of the derivative that {words} is missing, the rest is right")
        elif abs(c + 1) < 1e-5:
            yield Guess(0.95, "sign-flipped", seen)
        else:
            best = max(name(abs(c), view), default=None)
            cause = "counted-twice" if abs(c - 2) < 1e-5 else best[1] if best else "constant-factor"
            yield Guess(0.93 if best else 0.85, cause, seen)
        return


def _linear(view: View, zero: dict[str, Array]) -> bool:
    """Whether the true Jacobian is an affine function of the input."""
    label = view.pair.input
    ends = [view.along((c, "x"), {label: c * np.asarray(view.x, np.float64)}) for c in (0.0, 1.0, 2.0)]
    if any(e is None for e in ends):
        return False
    none, once, twice = (np.asarray(e) for e in ends)
    return bool(np.allclose(twice - none, 2 * (once - none), rtol=1e-4, atol=1e-5 * view.scale))


def _parts_plausible(view: View, at: Array) -> bool:
    """Along one direction first: is one of both parts off by a factor, and neither of them nothing?"""
    direction = view.direction.reshape(-1)[np.asarray(view.pair.columns)]
    here, mine = view.numeric @ direction, view.analytic @ direction
    rest = here - at
    if not (np.any(np.abs(at) > 1e-6 * view.scale) and np.any(np.abs(rest) > 1e-6 * view.scale)):
        return False
    for part, wanted in ((rest, mine - at), (at, mine - rest)):
        c = float(part @ wanted / (part @ part))
        if np.all(np.abs(wanted - c * part) <= 1e-4 * max(float(np.max(np.abs(wanted))), view.scale)):
            return True
    return False


def indices(view: View) -> Iterator[Guess]:
    """Labels and indices one off, or a permutation for its inverse."""
    for label, index in view.discrete.items():
        if index.dtype.kind == "b" or index.size < 1:
            continue
        high = int(index.max(initial=0))
        for step in (1, -1):
            for wrapped in (np.clip(index + step, 0, high), (index + step) % (high + 1), index + step):
                moved = wrapped.astype(index.dtype)
                if np.array_equal(moved, index) or (moved < 0).any():
                    continue
                if view.explained_at(("index", label, step, moved.tobytes()), {label: moved}):
                    yield Guess(0.96, "off-by-one-shift", f"analytic is the true derivative for {label} {step:+d}")
                    return
        flat = index.reshape(-1)
        if index.ndim == 1 and len(flat) > 2 and np.array_equal(np.sort(flat), np.arange(len(flat))):
            inverse = np.argsort(flat).astype(index.dtype)
            if not np.array_equal(inverse, flat) and view.explained_at(("inverse", label), {label: inverse}):
                seen = f"analytic is the true derivative for the inverse permutation of {label}"
                yield Guess(0.97, "forward-not-adjoint", seen)
                return
        if index.size > 1 and not np.array_equal(flat, flat[::-1]):
            back = np.array(flat[::-1].reshape(index.shape))
            if view.explained_at(("back", label), {label: back}):
                yield Guess(0.94, "misplaced", f"analytic is the true derivative for {label} in reverse order")
                return
