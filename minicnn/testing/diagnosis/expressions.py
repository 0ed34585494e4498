"""A missing term, factor or local derivative as a product of elementary functions of what is at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.diagnosis.factors import functions, quantities
from minicnn.testing.diagnosis.places import describe
from minicnn.testing.diagnosis.view import Guess, View, number

_MOST = 220  # functions that are combined


def term(view: View) -> Iterator[Guess]:
    """What is missing, or all that is there, is a product of up to three elementary functions."""
    if (
        view.elementwise_shapes
        and (view.in_numeric & ~view.diagonal).any()
        and not (view.in_analytic & ~view.diagonal).any()
    ):
        return
    found = expression(view, view.numeric - view.analytic)
    if found:
        yield Guess(0.9, "missing-term", f"numeric - analytic = {found}: this term of the derivative is missing")
        return
    x, y = view.pair.input, view.pair.output
    if view.elementwise_shapes and expression(view, view.analytic) in {f"{y} / {x}", f"1/{x} × {y}", f"{y} × 1/{x}"}:
        seen = f"analytic = {y} / {x}: of the product rule only the half in which {x} is differentiated is there"
        yield Guess(0.9, "missing-term", seen)


def local_derivative(view: View) -> Iterator[Guess]:
    """An elementwise function whose derivative is another function than backward's."""
    if not view.elementwise_shapes or not view.complete or np.size(view.x) < 2:
        return
    if np.any((view.in_numeric | view.in_analytic) & ~view.diagonal) or not view.in_numeric.any():
        return
    live = view.in_numeric & view.in_analytic
    ratio = view.analytic[live] / view.numeric[live]
    if view.others and len(ratio) > 2 and np.all(ratio > 0) and (np.all(ratio > 1) or np.all(ratio < 1)):
        span = f"from {number(float(ratio.min()))} to {number(float(ratio.max()))}"
        yield Guess(
            0.62, "missing-factor", f"analytic / numeric is {span}: an elementwise factor is missing or too much"
        )
        return
    found = expression(view, view.analytic)
    place = describe(view, view.wrong)
    seen = f"backward multiplies by {found}, which is not the derivative" if found else "both are elementwise"
    more = f"they differ {place}" if place else "no simple factor lies between them"
    yield Guess(0.6, "wrong-local-derivative", f"{seen}; {more}")


_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "σ": lambda a: 1 / (1 + np.exp(-a)),
    "relu": lambda a: np.maximum(a, 0),
    "exp": np.exp,
    "softplus": lambda a: np.log1p(np.exp(a)),
    "silu": lambda a: a / (1 + np.exp(-a)),
    "sin": np.sin,
}


def activation(view: View) -> Iterator[Guess]:
    """What backward multiplies by is the right value before its activation or normalisation, or after it."""
    live = view.in_analytic & view.usable
    a, n = view.analytic[live], view.numeric[live]
    if len(a) < 6 or np.any(view.in_numeric & ~live) or np.ptp(np.abs(a)) < 1e-3 * view.scale:
        return
    for words, f in _ACTIVATIONS.items():
        for inner, outer, names in ((a, n, ("numeric", "analytic")), (n, a, ("analytic", "numeric"))):
            if np.all(np.abs(f(inner) - outer) <= 1e-5 * np.abs(outer) + 4 * view.small):
                seen = f"{names[0]} = {words}({names[1]}) entry by entry: before the activation for after it"
                yield Guess(0.95, "saved-value-confused", seen)
                return
    slopes = []
    for j in np.flatnonzero(live.sum(0) > 3):
        rows = live[:, j]
        line, offset = np.polyfit(view.numeric[rows, j], view.analytic[rows, j], 1)
        if np.abs(line * view.numeric[rows, j] + offset - view.analytic[rows, j]).max() > 1e-5 * view.scale:
            return
        slopes.append((line, abs(offset)))
    if slopes and max(offset for _, offset in slopes) > 1e-3 * view.scale:
        seen = "for every input element analytic is a stretched and shifted numeric: a raw value for the normalised one"
        yield Guess(0.9, "saved-value-confused", seen)


def lines(view: View) -> Iterator[Guess]:
    """Each output (or input) element has a factor of its own, whatever it is."""
    if not np.array_equal(view.in_analytic & view.usable, view.in_numeric & view.usable):
        return
    live = view.in_numeric & view.wrong
    logs = np.where(live, np.log(np.abs(np.where(live, view.analytic / np.where(live, view.numeric, 1.0), 1.0))), 0.0)
    for axis, label in ((1, view.pair.output), (0, view.pair.input)):
        count = live.sum(axis)
        if np.count_nonzero(count > 1) < 2:
            continue
        mean = np.expand_dims(logs.sum(axis) / np.maximum(count, 1), axis)
        sign = np.sign(np.where(live, view.analytic * view.numeric, 1.0).min())
        if view.explains(np.where(live, sign * np.exp(mean) * view.numeric, view.numeric)):
            low, high = number(float(np.exp(mean.min()))), number(float(np.exp(mean.max())))
            seen = f"analytic / numeric is one number for each element of {label} (from {low} to {high})"
            yield Guess(0.86, "missing-factor", f"{seen}: an elementwise factor is missing or too much")
            return


def expression(view: View, target: Array) -> str:
    """``target`` as a constant times up to three elementary functions of inputs and output, in words; empty if none."""
    where = (np.abs(target) > 1e-5 * view.scale) & view.usable
    if np.count_nonzero(where) < 5 or float(np.ptp(np.abs(target[where]))) < 1e-4 * view.scale:
        return ""
    values = target[where]
    names, logs, exact = _basis(view, where)
    if not names:
        return ""
    wanted = np.log(np.abs(values))
    sample = np.unique(np.linspace(0, len(values) - 1, 9).astype(int))
    t = (wanted - wanted[0])[sample[1:]]
    b = np.stack([(log - log[0])[sample[1:]] for log in logs])
    size = np.abs(b).max(1)
    ids = np.flatnonzero(size > 1e-6)
    one: list[tuple[int, ...]] = [(int(i),) for i in ids if np.max(np.abs(b[i] - t)) < 1e-4]
    pairs = np.argwhere(np.max(np.abs(b[ids][:, None] + b[ids][None] - t), -1) < 1e-4)
    two: list[tuple[int, ...]] = [(int(ids[i]), int(ids[k])) for i, k in pairs if i <= k]
    three: list[tuple[int, ...]] = []
    few = ids[:44]
    if not one and not two:
        both = b[few][:, None] + b[few][None]
        for i in few:
            hits = np.argwhere(np.max(np.abs(both + b[i] - t), -1) < 1e-4)
            three += [(int(i), int(few[k]), int(few[m])) for k, m in hits if k <= m]
    for parts in (*one, *two, *three):
        product = np.prod([exact[p] for p in parts], axis=0)
        c = float(values @ product / (product @ product))
        if np.all(np.abs(c * product - values) <= 1e-5 * np.abs(values) + 2 * view.small):
            times = "" if abs(c - 1) < 1e-5 else f"{number(c)} × "
            return times + " × ".join(names[p] for p in parts)
    return ""


def _basis(view: View, where: Array) -> tuple[list[str], list[Array], list[Array]]:
    names: list[str] = []
    logs: list[Array] = []
    exact: list[Array] = []
    seen: set[bytes] = set()
    for q in quantities(view):
        if not q.plain:
            continue
        for words, values in functions(q.name, q.values, {}):
            spread = np.broadcast_to(values, view.numeric.shape)[where]
            if len(names) >= _MOST or not np.all(np.isfinite(spread)) or not np.all(spread != 0):
                continue
            log = np.log(np.abs(spread))
            key = np.round(log - log[0], 7)[:64].tobytes()
            if key in seen:
                continue
            seen.add(key)
            names += [words, f"1/{words}"]
            logs += [log, -log]
            exact += [spread, 1 / spread]
    return names, logs, exact
