"""Which elements depend on which: along the wrong axis, too many, too few."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.diagnosis.view import Guess, View


def aligned(view: View, live: Array) -> set[tuple[int, int]]:
    """Pairs (axis of input, axis of output) along which only equal indices depend on each other."""
    found = set()
    for a, x_size in enumerate(view.x_shape):
        for b, y_size in enumerate(view.y_shape):
            if (
                x_size == y_size
                and x_size > 1
                and not np.any(live & (view.rows[b][:, None] != view.columns[a][None, :]))
            ):
                found.add((a, b))
    return found


def axes(view: View) -> Iterator[Guess]:
    """Input and output axes that go together in one Jacobian and not in the other."""
    if not view.in_numeric.any() or not view.in_analytic.any():
        return
    true, mine = aligned(view, view.in_numeric), aligned(view, view.in_analytic)
    lost, won = true - mine, mine - true
    x, y = view.pair.input, view.pair.output
    if lost and won:
        (a, b), (c, d) = min(lost), min(won)
        seen = f"axis {b} of {y} goes with axis {a} of {x} index by index, but in analytic axis {d} with axis {c}"
        yield Guess(0.83, "wrong-axis", seen)
    elif lost:
        identical = len(view.analytic) > 1 and np.ptp(view.analytic, axis=0).max() <= 1e-6 * view.scale
        seen = f"analytic couples different indices along axis {', '.join(str(a) for a, _ in sorted(lost))} of {x}"
        more = (
            ": every output element has the same gradient, as though the upstream gradient were summed"
            if identical
            else ""
        )
        score = 0.93 if identical else 0.83
        yield Guess(score, "reduced-too-much", f"{seen}, which the function does not{more}")
        if not identical:
            yield Guess(score - 0.01, "wrong-axis", f"{seen}, which the function does not")
    elif won and not (view.in_analytic & ~view.in_numeric & ~view.diagonal).any():
        along = ", ".join(str(a) for a, _ in sorted(won))
        only_diagonal = view.elementwise_shapes and not (view.in_analytic & ~view.diagonal).any()
        seen = f"the function couples different indices along axis {along} of {x}, analytic does not"
        diagonal = view.analytic[view.diagonal]
        if only_diagonal and np.ptp(diagonal) <= 1e-6 * view.scale and not _low_rank(view):
            seen = "backward passes the upstream gradient on as it is"
            yield Guess(0.76, "missing-factor", f"{seen}: the local derivative is missing")
        elif only_diagonal and _low_rank(view):
            yield Guess(
                0.84, "statistic-as-constant", f"{seen}: what is computed from all of them is treated as a constant"
            )
        else:
            yield Guess(0.75, "missing-term", f"{seen}: the paths through the other elements are missing")


def _low_rank(view: View) -> bool:
    """Whether the difference, within every coupled group, is a sum of at most two outer products."""
    difference = view.analytic - view.numeric
    if not view.complete or len(difference) < 4:
        return False
    largest = 0
    for members in components((np.abs(difference) > view.small) | (np.abs(difference.T) > view.small)):
        if len(members) < 3:
            continue
        largest = max(largest, len(members))
        values = np.linalg.svd(difference[np.ix_(members, members)], compute_uv=False)
        if len(values) > 3 and values[3] > 1e-5 * values[0]:
            return False
    return largest > 3


def components(live: Array) -> list[Array]:
    """Indices that are connected, directly or through others, in a symmetric matrix of bool."""
    left = set(range(len(live)))
    found = []
    while left:
        group: set[int] = set()
        todo = [left.pop()]
        while todo:
            i = todo.pop()
            group.add(i)
            new = {int(j) for j in np.flatnonzero(live[i])} & left
            left -= new
            todo += new
        found.append(np.array(sorted(group)))
    return sorted(found, key=lambda members: int(members[0]))


def partial_sum(view: View) -> Iterator[Guess]:
    """A matrix whose gradient is a sum of outer products, of which backward has a single one."""
    if len(view.x_shape) != 2 or not view.complete or min(view.x_shape) < 2:
        return
    analytic, numeric = (m.reshape(-1, *view.x_shape) for m in (view.analytic, view.numeric))
    live = np.abs(analytic).max((1, 2)) > 1e-6 * view.scale
    if not live.any():
        return
    a, n = (np.linalg.svd(m[live], compute_uv=False) for m in (analytic, numeric))
    if np.any(a[:, 1] > 1e-5 * a[:, 0]) or not np.any(n[:, 1] > 1e-4 * n[:, 0]):
        return
    seen = "for every output element the gradient is one outer product, where the true one is a sum of several"
    for label, other in view.others.items():
        if not other.ndim or other.shape[-1] not in view.x_shape:
            continue
        for axis, size in enumerate(view.x_shape):
            if size != other.shape[-1]:
                continue
            for place in np.ndindex(other.shape[:-1]):
                u = np.asarray(other[place], np.float64)
                along = np.tensordot(analytic[live], u / (np.linalg.norm(u) or 1.0), ([axis + 1], [0]))
                if np.allclose(np.linalg.norm(along, axis=-1), a[:, 0], rtol=1e-5, atol=0) and other.shape[:-1]:
                    index = ", ".join(map(str, place))
                    yield Guess(
                        0.91, "overwritten-not-accumulated", f"{seen}: only the share of {label}[{index}] is there"
                    )
                    return
    if np.all(np.linalg.matrix_rank(numeric[live], rtol=1e-5) > 1):
        yield Guess(0.84, "overwritten-not-accumulated", f"{seen}: = for +=")


def normaliser(view: View) -> Iterator[Guess]:
    """Within each group, what is missing is the output times something: the derivative of what divides it."""
    if not view.complete or np.size(view.y) < 2:
        return
    difference = view.analytic - view.numeric
    true = aligned(view, view.in_numeric)
    key = np.zeros(len(difference), np.int64)
    for b in sorted({b for _, b in true}):
        key = key * view.y_shape[b] + view.rows[b]
    y = np.asarray(view.y, np.float64).reshape(-1)
    for words, whole in (("the output times a vector", y), ("the same for all outputs of a group", np.ones_like(y))):
        if _outer(view, difference, key, whole):
            seen = f"the difference is {words}: the derivative of what normalises or centres the output is missing"
            yield Guess(0.92, "statistic-as-constant", f"{seen} (a sum, norm or mean is treated as a constant)")
            yield Guess(0.91, "missing-term", seen)
            return


def _outer(view: View, difference: Array, key: Array, whole: Array) -> bool:
    """Whether the difference, but not the true Jacobian, is within each group ``whole`` times one row."""
    found = full = 0
    for k in np.unique(key):
        rows = np.flatnonzero(key == k)
        if len(rows) < 2 or np.abs(difference[rows]).max() <= 1e-4 * view.gap:
            continue
        u = whole[rows] / max(float(np.linalg.norm(whole[rows])), 1e-300)
        rest = [np.abs(m[rows] - np.outer(u, u @ m[rows])).max() for m in (difference, view.numeric)]
        if rest[0] > 1e-5 * view.gap + 4 * view.small:
            return False
        found += 1
        full += rest[1] > 1e-3 * view.scale
    return found > 0 and full == found
