"""Normalisations, softmax and their losses term by term: identity, mean, variance or norm, sum."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.diagnosis.coupling import components
from minicnn.testing.diagnosis.scale import name
from minicnn.testing.diagnosis.view import Guess, View, axes_text, number

Terms = list[tuple[str, Array]]  # words and (k, k) matrices within one group


def structure(view: View) -> Iterator[Guess]:
    """Both Jacobians as sums of the same terms within each group of coupled elements."""
    if not view.elementwise_shapes or not view.complete or np.size(view.x) < 3 or view.gap < 0.02 * view.scale:
        return
    groups = _groups(view)
    if not groups or max(map(len, groups)) < 3:
        return
    x, y = (np.asarray(v, np.float64).reshape(-1) for v in (view.x, view.y))
    for scale in _scales(view):
        for kind in range(_KINDS):
            fits = []
            for members in groups:
                terms = _terms(kind, x[members], y[members])
                rows = scale[members][:, None]
                block = np.ix_(members, members)
                fit_n = _fit(terms, rows, view.numeric[block], view.scale)
                if fit_n is None:
                    break
                fits.append((terms, fit_n, _fit(terms, rows, view.analytic[block], view.scale)))
            else:
                if all(f[2] is not None for f in fits):
                    yield from _compare(view, fits)
                    return
                if (stale := _other_statistic(view, kind, groups, scale, x, y)) is not None:
                    yield stale
                    return


_KINDS = 7


def _terms(kind: int, x: Array, y: Array) -> Terms:
    k = len(x)
    eye, ones = np.eye(k), np.ones(k)
    centred = x - x.mean()
    p = np.exp(x - x.max())
    p = p / p.sum()
    peak = np.eye(k)[np.argmax(x)]
    direct = "the direct term"
    return [
        [(direct, eye), ("the term of the mean", np.outer(ones, ones))],
        [(direct, np.diag(y)), ("the term of the sum", np.outer(y, y))],
        [(direct, eye), ("the term of the norm", np.outer(x, x))],
        [
            (direct, eye),
            ("the term of the mean", np.outer(ones, ones)),
            ("the term of the variance", np.outer(centred, centred)),
        ],
        [(direct, eye), ("the term of the log-sum-exp", np.outer(ones, p))],
        [(direct, eye), ("the term of the sum", np.outer(x, ones))],
        [(direct, eye), ("the term of the maximum", np.outer(ones, peak))],
    ][kind]


def _fit(terms: Terms, rows: Array, target: Array, scale: float) -> Array | None:
    basis = np.stack([(rows * t).reshape(-1) for _, t in terms], 1)
    if len(basis) <= len(terms):
        return None
    coefficients, _, rank, _ = np.linalg.lstsq(basis, target.reshape(-1), rcond=1e-9)
    if rank < len(terms):
        return None
    size = np.max(np.abs(basis), axis=0)
    gap = float(np.max(np.abs(basis @ coefficients - target.reshape(-1))))
    return coefficients * size if gap <= 2e-6 * scale and np.all(size > 0) else None


def _compare(view: View, fits: list[tuple[Terms, Array, Array | None]]) -> Iterator[Guess]:
    """The factor of each term, the same in every group."""
    wrong: dict[str, list[tuple[str, str]]] = {}
    for i, (words, _) in enumerate(fits[0][0]):
        n = np.array([f[1][i] for f in fits])
        a = np.array([f[2][i] for f in fits if f[2] is not None])
        if np.any(np.abs(n) <= 1e-5 * view.scale):
            continue
        ratio = a / n
        c = float(np.mean(ratio))
        if np.max(np.abs(ratio - c)) > 1e-3 * max(1.0, abs(c)) or abs(c - 1) < 1e-4:
            continue
        if abs(c) < 1e-4:
            if i == 0:
                wrong.setdefault("missing-term", []).append((words, "is missing"))
            else:
                statistic = words.removeprefix("the term of ")
                wrong.setdefault("statistic-as-constant", []).append(
                    (words, f"is missing: {statistic} is treated as a constant")
                )
        elif abs(c + 1) < 1e-4:
            wrong.setdefault("sign-flipped", []).append((words, "has the wrong sign"))
        else:
            best = max(name(abs(c), view), default=None)
            what = f"is {number(c)} times what it should be" + (f"; {best[2]}" if best else "")
            wrong.setdefault(best[1] if best else "constant-factor", []).append((words, what))
    for cause, parts in wrong.items():
        score = 0.985 if cause != "constant-factor" else 0.95
        yield Guess(score, cause, "; ".join(f"{words} {what}" for words, what in parts) + ", the rest is right")


def _other_statistic(view: View, kind: int, groups: list[Array], scale: Array, x: Array, y: Array) -> Guess | None:
    """Backward has the same terms made of another array: the input for the normalised value, or the output."""
    x_name, y_name = view.pair.input, view.pair.output
    for u_name, v_name, u, v in ((x_name, x_name, x, x), (y_name, y_name, y, y), (y_name, x_name, y, x)):
        if kind not in {1, 2, 3}:
            return None
        hits = []
        for members in groups:
            eye, ones = np.eye(len(members)), np.ones((len(members), len(members)))
            outer = np.outer(u[members], v[members])
            terms: Terms = [("", eye), ("", outer), ("", ones), ("", np.diag(v[members]))]
            terms = terms[:2] if kind == 2 else terms[:3] if kind == 3 else terms[1:2] + terms[3:]
            hits.append(_fit(terms, scale[members][:, None], view.analytic[np.ix_(members, members)], view.scale))
        if all(h is not None for h in hits):
            same = u_name if u_name == v_name else f"{u_name} and {v_name}"
            seen = f"the terms of backward are made of {same} as it is, the true ones of another saved value"
            return Guess(0.95, "saved-value-confused", seen)
    return None


def _groups(view: View) -> list[Array]:
    """Elements that belong together: those that depend on each other in either Jacobian."""
    live = view.in_numeric & ~view.diagonal
    if not live.any():
        return []
    joined = view.in_numeric | view.in_analytic
    groups = components(joined | joined.T)
    return [members for members in groups if len(members) > 1 or joined[members[0], members[0]]]


def _scales(view: View) -> Iterator[Array]:
    """Factors of the rows: none, or another input such as γ."""
    yield np.ones(int(np.prod(view.x_shape)))
    for other in view.others.values():
        try:
            yield np.broadcast_to(np.asarray(other, np.float64), view.y_shape).reshape(-1)
        except ValueError:
            continue


def cross_entropy(view: View) -> Iterator[Guess]:
    """Probabilities minus targets: one of both missing or with another factor."""
    x = np.asarray(view.x, np.float64)
    if x.ndim < 2 or not view.complete:
        return
    for axis in (-1, 1):
        p = np.exp(x - x.max(axis, keepdims=True))
        p = p / p.sum(axis, keepdims=True)
        q = 1 / (1 + np.exp(-x))
        for label, target in {**view.discrete, **view.others}.items():
            spread = _one_hot(target, x, axis)
            if spread is None:
                continue
            for words, guess in (("the probabilities", p), ("the sigmoids", q)):
                terms = [(words, guess.reshape(1, -1)), (f"the targets ({label})", spread.reshape(1, -1))]
                if target.dtype.kind in "iu":
                    terms.append(("the smoothing", np.ones((1, x.size))))
                fits: list[tuple[Terms, Array | None, Array | None]] = []
                for row in range(len(view.numeric)):
                    live = view.in_numeric[row] | view.in_analytic[row]
                    part: Terms = [(w, np.where(live, t, 0.0)) for w, t in terms]
                    if not all(t.any() for _, t in part):
                        continue
                    one = np.ones((1, 1))
                    n, a = (_fit(part, one, m[row : row + 1], view.scale) for m in (view.numeric, view.analytic))
                    fits.append((part, n, a))
                if not fits or any(f[1] is None or f[2] is None for f in fits):
                    continue
                for found in _compare(view, [(t, n, a) for t, n, a in fits if n is not None]):
                    cause = "missing-term" if found.cause == "statistic-as-constant" else found.cause
                    yield Guess(
                        0.97, cause, found.sentence.split(": the t")[0].replace(" is treated as a constant", "")
                    )
                return


def _one_hot(target: Array, x: Array, axis: int) -> Array | None:
    if target.shape == x.shape:
        return np.asarray(target, np.float64)
    shape = list(x.shape)
    classes = shape.pop(axis)
    if target.dtype.kind not in "iu" or target.shape != tuple(shape):
        return None
    return np.moveaxis(np.equal.outer(np.asarray(target), np.arange(classes)).astype(np.float64), -1, axis)


def identity(view: View) -> Iterator[Guess]:
    """A direct connection from input to output that is missing or wrong, or is all there is."""
    if not view.elementwise_shapes or not view.complete or np.size(view.x) < 3:
        return
    difference = view.numeric - view.analytic
    d = np.diagonal(difference)
    if np.any(np.abs(difference[~view.diagonal]) > 10 * view.small) or not (view.in_numeric & ~view.diagonal).any():
        return
    if np.max(np.abs(d)) <= 1e-3 * view.scale:
        return
    if np.ptp(d) <= 1e-5 * view.scale:
        c = float(d.mean())
        seen = f"numeric - analytic is {number(c)} times the identity: the direct connection from input to output"
        yield Guess(0.94, "missing-term", f"{seen} {'is missing' if c > 0 else 'is added'}")
    elif np.count_nonzero(np.abs(d) > 1e-4 * view.scale) > 2:
        seen = "the entries off the diagonal are right, those on it are not"
        yield Guess(0.89, "missing-term", f"{seen}: an elementwise path from input to output is missing or wrong")


def centring(view: View) -> Iterator[Guess]:
    """Analytic minus its own mean is numeric: the function does not change when its input is shifted."""
    if not view.complete or np.size(view.x) < 3:
        return
    shaped = view.analytic.reshape(-1, *view.x_shape)
    for count in range(1, len(view.x_shape) + 1):
        for axes in itertools.combinations(range(len(view.x_shape)), count):
            if np.prod([view.x_shape[a] for a in axes]) < 2:
                continue
            along = tuple(a + 1 for a in axes)
            centred = shaped - shaped.mean(along, keepdims=True)
            if np.max(np.abs(centred.reshape(view.numeric.shape) - view.numeric)) <= 1e-6 * view.scale + view.small:
                seen = f"analytic minus its mean along {axes_text(axes)} of {view.pair.input} is numeric"
                yield Guess(0.94, "missing-term", f"{seen}: the mean that the function subtracts is missing")
                return


def proportional(view: View) -> Iterator[Guess]:
    """What is missing is, for each output element, a multiple of the input (norm), of 1 or of another input."""
    if not view.complete or np.size(view.x) < 3:
        return
    difference = view.analytic - view.numeric
    rows = np.abs(difference).max(1) > 1e-4 * view.gap
    live = np.abs(difference[rows]) > 1e-7 * view.gap
    if not np.all(view.in_analytic[rows].any(1)):
        return
    if np.any(live.sum(1) < 3) or np.any(live & ~view.in_numeric[rows]):
        return
    x = np.asarray(view.x, np.float64).reshape(-1)
    candidates = {view.pair.input: view.x, **view.others, "1": np.ones(view.x_shape)}
    for label, other in candidates.items():
        u = np.asarray(other, np.float64).reshape(-1)
        if u.shape != x.shape or (label != "1" and np.ptp(np.abs(u)) < 1e-6 * np.abs(u).max()):
            continue
        spread = np.where(live, u, 0.0)
        c = (spread * difference[rows]).sum(1) / np.maximum((spread**2).sum(1), 1e-300)
        if np.any(np.abs(c[:, None] * spread - difference[rows]) > 1e-5 * view.gap + 4 * view.small):
            continue
        homogeneous = np.abs(view.numeric[rows] @ x).max() <= 1e-5 * view.scale * np.abs(x).max()
        seen = f"numeric - analytic is a multiple of {label} for every output element"
        if label == view.pair.input and homogeneous:
            more = "the function does not change with the size of its input, so the norm is treated as a constant"
            yield Guess(0.945, "statistic-as-constant", f"{seen}; {more}")
        elif label == "1":
            yield Guess(
                0.93, "missing-term", "numeric - analytic is the same at every entry of a row: a term is missing"
            )
        elif np.ptp(c) <= 1e-5 * np.abs(c).max() or len(c) == 1 or label != view.pair.input:
            yield Guess(0.93, "missing-term", f"{seen}: this term is missing or wrong")
        return
