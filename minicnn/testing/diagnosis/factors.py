"""Local derivatives: a factor that is missing or too much, a wrong power, the input for the output."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.diagnosis.places import describe
from minicnn.testing.diagnosis.view import Guess, View, axes_text, number


@dataclass(frozen=True)
class _Quantity:
    """Something a local derivative is made of, spread over the Jacobian, (m, 1) or (1, n)."""

    name: str
    values: Array
    plain: bool = True  # an input or output itself, not a statistic of it


_EPSILONS = (1e-3, 1e-5, 1e-6, 1e-8)  # that a function may have inside


def functions(name: str, u: Array, options: dict[str, float]) -> Iterator[tuple[str, Array]]:
    """What derivatives multiply by."""
    with np.errstate(all="ignore"):
        s, t = 1 / (1 + np.exp(-u)), np.tanh(u)
        table = [
            ("{}", u),
            ("{}²", u * u),
            ("(1 - {})", 1 - u),
            ("(1 + {})", 1 + u),
            ("(1 - {}²)", 1 - u * u),
            ("{}(1 - {})", u * (1 - u)),
            ("(1 + {}²)", 1 + u * u),
            ("√{}", np.sqrt(np.abs(u))),
            ("exp({})", np.exp(u)),
            ("exp(-{})", np.exp(-u)),
            ("σ({})", s),
            ("σ(-{})", 1 - s),
            ("σ({})(1 - σ({}))", s * (1 - s)),
            ("tanh({})", t),
            ("(1 - tanh²({}))", 1 - t * t),
            ("cos({})", np.cos(u)),
            ("sin({})", np.sin(u)),
            ("log({})", np.log(np.abs(u))),
            ("{}³", u**3),
            ("(1 + |{}|)", 1 + np.abs(u)),
            ("exp(-{}²)", np.exp(-u * u)),
            ("exp(-{}²/2)", np.exp(-u * u / 2)),
            ("√(1 - {}²)", np.sqrt(1 - u * u)),
            ("√(1 + {}²)", np.sqrt(1 + u * u)),
            ("cosh({})", np.cosh(u)),
        ]
        for option, v in options.items():
            table += [
                (f"({{}} + {option})", u + v),
                (f"({{}} - {option})", u - v),
                (f"({option} - {{}})", v - u),
                (f"exp({option} {{}})", np.exp(v * u)),
                (f"σ({option} {{}})", 1 / (1 + np.exp(-v * u))),
                (f"|{{}}|^{option}", np.abs(u) ** v),
                (f"|{{}}|^({option} - 1)", np.abs(u) ** (v - 1)),
                (f"√({{}} + {option})", np.sqrt(np.abs(u + v))),
                (f"√({{}}² + {option})", np.sqrt(np.abs(u * u + v))),
            ]
    for pattern, values in table:
        yield pattern.replace("{}", name), values


def quantities(view: View) -> Iterator[_Quantity]:
    """Inputs and outputs by element, and statistics of the input, along rows or columns of the Jacobian."""
    yield from _spread(view, view.pair.input, view.x, by_row=False)
    if view.elementwise_shapes:
        yield from _spread(view, view.pair.input, view.x, by_row=True)
        yield from _spread(view, view.pair.output, view.y, by_row=False)
    yield from _spread(view, view.pair.output, view.y, by_row=True)
    for label, other in view.others.items():
        yield from _spread(view, label, other, by_row=False)
        yield from _spread(view, label, other, by_row=True)
    for label, other in view.evidence.outputs.items():
        if label != view.pair.output:
            yield from _spread(view, label, np.asarray(other), by_row=True)
            yield from _spread(view, label, np.asarray(other), by_row=False)
    if view.elementwise_shapes:
        for label, other in view.others.items():
            if other.shape == view.x_shape and view.x_shape:
                yield from _spread(view, f"({view.pair.input} + {label})", view.x + other, by_row=False)
    yield from _statistics(view)
    if not view.elementwise_shapes:
        for label, other in view.others.items():
            for side, shape in ((True, view.y_shape), (False, view.x_shape)):
                for z in (view.x,) if side else (view.y,):
                    difference = _difference(z, other)
                    if difference is not None and difference.shape == shape:
                        yield from _spread(view, f"({view.pair.input} - {label})", difference, by_row=side)


def _difference(a: Array, b: Array) -> Array | None:
    try:
        return np.asarray(a - b)
    except ValueError:
        return None


def _spread(view: View, label: str, array: Array, *, by_row: bool, plain: bool = True) -> Iterator[_Quantity]:
    shape = view.y_shape if by_row else view.x_shape
    array = np.asarray(array, np.float64)
    if array.size < 2:
        return
    if array.ndim <= len(shape):
        try:
            spread = np.broadcast_to(array, shape)
        except ValueError:  # a batch axis first: one number per leading index
            if array.shape != shape[: array.ndim]:
                return
            spread = np.broadcast_to(array.reshape(array.shape + (1,) * (len(shape) - array.ndim)), shape)
        index = view.pair.rows if by_row else view.pair.columns
        values = spread.reshape(-1)[np.asarray(index)]
        yield _Quantity(label, values[:, None] if by_row else values[None, :], plain)


def _statistics(view: View) -> Iterator[_Quantity]:
    """Norms, deviations, sums of the input along its axes."""
    x, label = np.asarray(view.x, np.float64), view.pair.input
    if x.size < 2 or x.ndim > 4:
        return
    for count in range(1, x.ndim + 1):
        for axes in itertools.combinations(range(x.ndim), count):
            along = f"{label} along {axes_text(axes)}"
            var = x.var(axes, keepdims=True)
            table = [
                (f"the norm of {along}", np.sqrt((x * x).sum(axes, keepdims=True))),
                (f"the root mean square of {along}", np.sqrt((x * x).mean(axes, keepdims=True))),
                (f"the standard deviation of {along}", np.sqrt(var)),
                (f"the sum of {along}", x.sum(axes, keepdims=True)),
                (f"the sum of exp of {along}", np.exp(np.clip(x, -50, 50)).sum(axes, keepdims=True)),
            ]
            for option, eps in {**{str(e): e for e in _EPSILONS}, **view.numbers}.items():
                if 0 < eps < 1:
                    table.append((f"the deviation √(var + {option}) of {along}", np.sqrt(var + eps)))
                    mean_square = (x * x).mean(axes, keepdims=True)
                    table.append((f"√(mean square + {option}) of {along}", np.sqrt(mean_square + eps)))
            for name, values in table:
                yield from _spread(view, name, np.broadcast_to(values, x.shape), by_row=False, plain=False)
                if view.elementwise_shapes:
                    yield from _spread(view, name, np.broadcast_to(values, x.shape), by_row=True, plain=False)


def _varied(view: View, where: Array) -> bool:
    """Whether the ratio of both differs from entry to entry: a factor has to be recognised by more than one number."""
    mask = where & view.in_numeric & view.in_analytic
    if np.count_nonzero(mask) < 2:
        return False
    ratio = view.analytic[mask] / view.numeric[mask]
    return bool(np.ptp(ratio) > 1e-4 * np.max(np.abs(ratio)))


def factor(view: View) -> Iterator[Guess]:
    """One elementwise factor between the two, at every entry or at the wrong ones."""
    for where, score, place in _areas(view):
        if not _varied(view, where) or np.any(where & view.in_analytic & ~view.in_numeric):
            continue
        for q in quantities(view):
            for words, values in functions(q.name, q.values, view.numbers) if q.plain else [(q.name, q.values)]:
                powers: tuple[int, ...] = (1, -1) if q.plain else (1, -1, 2, -2)
                guess = next((g for p in powers if (g := _by_factor(view, where, words, values, p)) is not None), None)
                if guess is not None:
                    lead = "a square of " if not q.plain and abs(guess[2]) == 2 else ""
                    yield _factor_guess(view, q, words, guess, score, place, lead)
                    return


def _areas(view: View) -> Iterator[tuple[Array, float, str]]:
    everything = view.usable
    yield everything, 0.96, ""
    wrong = view.wrong & (view.in_numeric | view.in_analytic)
    if np.count_nonzero(wrong) > 2 and (view.in_numeric & ~wrong & everything).any():
        place = describe(view, wrong)
        yield wrong, 0.88 if place else 0.82, place or "at the wrong entries"


def _by_factor(view: View, where: Array, words: str, values: Array, power: int) -> tuple[str, float, int, Array] | None:
    """The sign or ½, 2 with analytic = c × valuesᵖ × numeric; one entry first, for speed."""
    with np.errstate(all="ignore"):
        candidate = values.astype(np.float64) ** power * view.numeric
    if not np.all(np.isfinite(candidate[where])):
        return None
    size = np.where(where, np.abs(candidate), 0.0)
    i, j = np.unravel_index(int(np.argmax(size)), size.shape)
    if size[i, j] <= view.small:
        return None
    c = float(view.analytic[i, j] / candidate[i, j])
    for nice in (1.0, -1.0, 2.0, 0.5):
        if abs(c - nice) < 1e-4 and view.explains(nice * candidate, where):
            return words, nice, power, values
    return None


def _factor_guess(
    view: View, q: _Quantity, words: str, found: tuple[str, float, int, Array], score: float, place: str, lead: str
) -> Guess:
    _, c, power, _ = found
    times = "" if c == 1 else f"{number(c)} × "
    where = f" {place}" if place else ""
    if power < 0:
        seen = f"analytic × {lead}{words} = {times}numeric{where}: the factor {words} is missing"
        cause = "missing-factor"
    else:
        seen = f"analytic = {times}{lead}{words} × numeric{where}: it is a factor too much, or its inverse is missing"
        small = np.max(np.abs(found[3])) <= 1.0 and words not in {
            q.name,
            f"(1 - {q.name})",
        }  # as derivatives of activations and masks are
        cause = "extra-factor" if small else "missing-factor"
        own = words == q.name == view.pair.input and not (view.in_numeric & ~view.diagonal).any()
        if own and np.ptp(np.abs(view.analytic[view.in_analytic])) > 1e-4 * view.scale:
            cause = "wrong-power"
    exponent = _power(view, _Quantity(q.name, found[3])) if words == q.name or words.startswith("(") else None
    if exponent is not None and (power > 0 or exponent > 1.5):
        other = exponent + power
        seen = f"numeric goes with {words}^{number(exponent)}, analytic with {words}^{number(other)}"
        if abs(other) > 1e-3:
            cause = "wrong-power"
        else:
            seen += f": the factor {'' if power < 0 else '1/'}{words} is missing"
    return Guess(score, cause, seen)


def _power(view: View, q: _Quantity) -> float | None:
    """The p with |numeric| ∝ |q|ᵖ times powers of the other inputs, where there is one."""
    mask = view.in_numeric & view.usable
    labels = [label for label in view.others if label != q.name]
    others = [other for label in labels for other in _spread(view, label, view.others[label], by_row=True)]
    columns = [np.abs(np.broadcast_to(p.values, view.numeric.shape)[mask]) for p in (q, *others)]
    if len(columns[0]) < len(columns) + 2 or not all(np.all(u > 0) for u in columns):
        return None
    logs = np.stack([np.log(u) for u in columns] + [np.ones(len(columns[0]))], 1)
    target = np.log(np.abs(view.numeric[mask]))
    coefficients, _, rank, _ = np.linalg.lstsq(logs, target, rcond=1e-9)
    fits = np.allclose(logs @ coefficients, target, atol=1e-5)
    return float(round(coefficients[0], 4)) if fits and rank == logs.shape[1] else None


def saved_value(view: View) -> Iterator[Guess]:
    """The derivative as a function of the output, evaluated at the input, or the other way round."""
    if not view.elementwise_shapes or np.size(view.x) < 2:
        return
    x_name, y_name = view.pair.input, view.pair.output
    coupled = bool(np.any(view.in_numeric & ~view.diagonal))
    varied = np.ptp(np.abs(view.analytic[view.in_analytic])) > 1e-4 * view.scale if view.in_analytic.any() else False
    if varied and view.explained_at("x=y", {x_name: np.array(view.y)}):
        seen = f"analytic is the true derivative at {x_name} := {y_name}: computed from the output instead of the input"
        yield Guess(0.95 if coupled else 0.98, "saved-value-confused", seen)
        return
    x, y = (np.asarray(v, np.float64).reshape(-1)[np.asarray(view.pair.columns)][None, :] for v in (view.x, view.y))
    if coupled:
        return
    d = view.diagonal
    for (words, at_x), (_, at_y) in zip(functions("u", x, view.numbers), functions("u", y, view.numbers), strict=True):
        for power, shown in ((1, words), (-1, f"1/{words}")):
            for right, wrong, name, good in ((at_y, at_x, x_name, y_name), (at_x, at_y, y_name, x_name)):
                with np.errstate(all="ignore"):
                    fits = _proportional(view, np.where(d, right**power, 0.0), view.numeric)
                    if fits is None or not view.explains(np.where(d, fits * wrong**power, 0.0)):
                        continue
                seen = f"the derivative is proportional to {shown} at u = {good}, but backward takes it at u = {name}"
                yield Guess(0.97, "saved-value-confused", seen)
                return


def _proportional(view: View, basis: Array, target: Array) -> float | None:
    if not np.all(np.isfinite(basis)) or not basis.any():
        return None
    c = float(np.vdot(basis, target) / np.vdot(basis, basis))
    allowed = 1e-6 * view.scale + 8 * float(np.max(view.error, initial=0.0))
    return c if c and np.all(np.abs(c * basis - target) <= allowed) else None
