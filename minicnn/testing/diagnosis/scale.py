"""One factor between the two Jacobians, everywhere or on a part of them, and what that number is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.diagnosis.places import describe
from minicnn.testing.diagnosis.view import Guess, View, axes_text, number

_CONSTANTS = {
    "π": math.pi,
    "ln 2": math.log(2),
    "ln 10": math.log(10),
    "√2": math.sqrt(2),
    "√(2π)": math.sqrt(2 * math.pi),
    "√(2/π)": math.sqrt(2 / math.pi),
    "e": math.e,
}


def fit(view: View, where: Array | None = None) -> float | None:
    """The c with analytic = c × numeric at every one of these entries; None if there is none."""
    mask = view.usable if where is None else view.usable & where
    a, n = view.analytic[mask], view.numeric[mask]
    power = float(n @ n)
    if not a.size or power == 0.0 or np.max(np.abs(n)) <= view.small:
        return None
    c = float(a @ n) / power
    return c if view.explains(c * view.numeric, mask) else None


def everywhere(view: View) -> Iterator[Guess]:
    """Analytic is c times numeric everywhere."""
    c = fit(view)
    if c is None or abs(c) < 1e-9 or (abs(abs(c) - 1) < 1e-3 and c > 0):
        return
    several = np.count_nonzero(view.in_numeric) > 1
    entries = view.numeric[view.in_numeric]
    varied = several and float(np.ptp(np.abs(entries))) > 1e-6 * view.scale
    doubt = 0.0 if varied else 0.02 if several else 0.08
    seen = f"analytic is {number(c)} times numeric {'everywhere' if several else 'at the one entry there is'}"
    if abs(c + 1) < 1e-5:
        yield Guess(1.0 - doubt, "sign-flipped", f"{seen}: the sign is wrong")
        return
    named = list(name(abs(c), view))
    if c < 0:
        yield Guess(0.97 - doubt, "sign-flipped", f"{seen}: the sign is wrong, and the size too")
    for score, cause, what in named:
        yield Guess(score - doubt, cause, f"{seen}; {what}")
    if not named and varied:
        yield Guess(0.86, "constant-factor", f"{seen}: a constant factor is {'missing' if abs(c) < 1 else 'too much'}")


def in_part(view: View) -> Iterator[Guess]:
    """Analytic is right but on a part of the entries, where it is c times numeric."""
    wrong = view.wrong
    if not (view.usable & ~wrong & view.in_numeric).any() or np.count_nonzero(wrong & view.in_numeric) < 1:
        return
    c = fit(view, wrong)
    if c is None or abs(c) < 1e-9:
        return
    place = describe(view, wrong)
    score = 0.9 if place else 0.8
    if np.count_nonzero(wrong) < 2:
        score -= 0.2
    seen = f"analytic is {number(c)} times numeric {place or f'at {np.count_nonzero(wrong)} of {wrong.size} entries'}"
    if abs(c + 1) < 1e-5:
        yield Guess(
            score + 0.02, "sign-flipped", f"{seen} and right elsewhere: the sign is wrong in one branch or term"
        )
    elif abs(c - 2) < 1e-5:
        yield Guess(score, "counted-twice", f"{seen} and right elsewhere: a contribution is added twice")
    else:
        best = max(name(abs(c), view), default=None)
        what = f"; {best[2]}" if best else ""
        yield Guess(score, best[1] if best else "constant-factor", f"{seen} and right elsewhere{what}")


def by_count(view: View) -> Iterator[Guess]:
    """Each output (or input) element has a factor of its own that is a ratio of small whole numbers."""
    for axis, what in ((1, "output"), (0, "input")):
        a, n = np.abs(view.analytic).sum(axis), np.abs(view.numeric).sum(axis)
        used = n > view.small * view.numeric.shape[axis]
        if np.count_nonzero(used) < 2 or np.all(np.count_nonzero(view.in_numeric, axis) <= 1):
            continue
        ratio = np.ones_like(n)
        ratio[used] = a[used] / n[used]
        if np.ptp(ratio[used]) < 1e-4 or not view.explains(np.expand_dims(ratio, axis) * view.numeric):
            continue
        fractions = [(1, 1) if abs(r - 1) < 1e-5 else _fraction(float(r)) for r in ratio[used]]
        if all(f is not None for f in fractions):
            shown = ", ".join(sorted({f"{p}/{q}" if q > 1 else str(p) for p, q in filter(None, fractions)})[:5])
            seen = f"analytic / numeric is a ratio of small whole numbers for each {what} element ({shown})"
            yield Guess(
                0.945, "wrong-count", f"{seen}: a sum is divided by another number of elements than the function's"
            )


def name(c: float, view: View) -> Iterator[tuple[float, str, str]]:
    """What a factor c > 0 can be: plausibility, cause, words."""
    yield from _of_sizes(c, view)
    for option, v in view.numbers.items():
        words = next((words for words, value in _forms(option, v) if _close(c, value)), "")
        if words:
            yield 0.95, "constant-factor", f"that is {words} with {option} = {number(v)}"
    for label, other in view.others.items():
        if other.size == 1:
            v = abs(float(other.reshape(())))
            for words, value in ((label, v), (f"1/{label}", 1 / v if v else 0.0), (f"{label}²", v * v)):
                if _close(c, value):
                    yield 0.96, "missing-factor", f"{words} is that number: backward leaves {label} out"
    if _close(c, 2):
        yield 0.93, "constant-factor", "a factor 2 too much: counted twice, or a ½ of the function lost"
    elif _close(c, 0.5):
        yield 0.93, "constant-factor", "a factor 2 is missing: d(x²) = 2x, or the second use of a variable"
    for words, value in _CONSTANTS.items():
        if _close(c, value) or _close(c, 1 / value):
            yield 0.93, "constant-factor", f"that is {words if _close(c, value) else '1/' + words}"


def _of_sizes(c: float, view: View) -> Iterator[tuple[float, str, str]]:
    reduced = math.prod(view.y_shape) < math.prod(view.x_shape)
    for size, what in sizes(view).items():
        if size < 2:
            continue
        likely = 0.97 if size > 2 or (reduced and view.pair.input in what) else 0.9
        if _close(c, size):
            yield likely, "mean-not-divided", f"{size} is {what}: a mean over it that is not divided"
        elif _close(c, 1 / size):
            yield likely, "divided-too-often", f"1/{size}, and {size} is {what}: a sum over it that is divided"
        elif size > 2 and (_close(c, size / (size - 1)) or _close(c, (size - 1) / size)):
            yield 0.93, "wrong-count", f"that is {size} against {size - 1}, and {size} is {what}: n for n - 1"
        elif size > 2 and (_close(c, math.sqrt(size)) or _close(c, 1 / math.sqrt(size))):
            yield 0.9, "constant-factor", f"that is {'' if c > 1 else '1/'}√{size}, and {size} is {what}"


def sizes(view: View) -> dict[int, str]:
    """Sizes that a mean can run over, with their names: products of axes, windows."""
    found: dict[int, str] = {}
    for option, v in view.numbers.items():
        if (
            v == int(v)
            and 1 < v < 1000
            and any(part in option.lower() for part in ("kernel", "window", "size", "pool"))
        ):
            found[int(v) ** 2] = f"{option}²"
    shapes = {view.pair.input: view.x_shape, view.pair.output: view.y_shape}
    shapes.update({label: array.shape for label, array in view.evidence.inputs.items() if label != view.pair.input})
    for count in (1, 2, 3, 4):
        for label, shape in shapes.items():
            for axes in itertools.combinations(range(min(len(shape), 5)), count):
                what = "the length of" if count == 1 else "the number of elements along"
                found.setdefault(math.prod(shape[a] for a in axes), f"{what} {axes_text(axes)} of {label}")
    here, there = math.prod(view.x_shape), math.prod(view.y_shape)
    if there and here % there == 0:
        found.setdefault(
            here // there, f"the number of elements of {view.pair.input} per element of {view.pair.output}"
        )
    for option, v in view.numbers.items():
        if v == int(v) and 1 < v < 1000:
            found.setdefault(int(v), option)
            found.setdefault(int(v) ** 2, f"{option}²")
    for label, array in view.discrete.items():
        values, counts = np.unique(array, return_counts=True)
        for value, count in zip(values[:8], counts[:8], strict=True):
            found.setdefault(int(count), f"the number of {value} in {label}")
            found.setdefault(int(array.size - count), f"the number of elements of {label} that are not {value}")
    return found


def _forms(option: str, v: float) -> Iterator[tuple[str, float]]:
    yield option, abs(v)
    if v:
        yield f"1/{option}", abs(1 / v)
        yield f"1/{option}²", 1 / v**2
        yield f"({option} - 1)/{option}", abs((v - 1) / v)
        if abs(v) != 1:
            yield f"√{option}", math.sqrt(abs(v))
            yield f"1/√{option}", 1 / math.sqrt(abs(v))
    yield f"{option}²", v * v
    yield f"1 - {option}", abs(1 - v)
    yield f"1 + {option}", abs(1 + v)
    if v != 1:
        yield f"1/(1 - {option})", abs(1 / (1 - v))
        yield f"{option}/({option} - 1)", abs(v / (v - 1))
        yield f"{option}/(1 - {option})", abs(v / (1 - v))
    if v != -1:
        yield f"1/(1 + {option})", abs(1 / (1 + v))
    yield f"2 {option}", abs(2 * v)
    yield f"{option}/2", abs(v / 2)


def _fraction(r: float, limit: int = 36) -> tuple[int, int] | None:
    for q in range(1, limit + 1):
        p = round(r * q)
        if 0 < p <= limit and _close(r, p / q):
            return p, q
    return None


def _close(a: float, b: float) -> bool:
    return b > 0 and abs(a - b) <= 3e-6 * abs(b) and abs(b - 1) > 1e-9
