"""Entries that are zero in one Jacobian and not in the other: lost, added, exchanged."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.diagnosis.places import describe
from minicnn.testing.diagnosis.view import Guess, View, number


def not_finite(view: View) -> Iterator[Guess]:
    """NaN or infinity where the function has a derivative."""
    bad = ~np.isfinite(view.analytic) & np.isfinite(view.numeric)
    if bad.any():
        count = f"{np.count_nonzero(bad)} of {bad.size} entries"
        yield Guess(1.0, "non-finite-gradient", f"{count} of analytic are NaN or infinite where numeric is finite")


def nothing(view: View) -> Iterator[Guess]:
    """Backward returned None, or zeros."""
    if view.usable.all() and not view.analytic.any() and view.in_numeric.any():
        probe = view.gradient(np.ones(view.y_shape))
        what = "None" if probe is None else "zeros"
        if probe is not None and not probe.any() and len(view.evidence.outputs) > 1:
            seen = (
                f"the upstream gradient of {view.pair.output} is not used for {view.pair.input}: its share is missing"
            )
            yield Guess(1.0, "missing-term", seen)
        elif probe is None or not probe.any():
            seen = f"backward returns {what}; the derivative reaches {number(float(np.max(np.abs(view.numeric))))}"
            yield Guess(1.0, "missing-gradient", seen)


def lost(view: View) -> Iterator[Guess]:
    """Analytic is numeric with some entries set to zero."""
    gone = view.in_numeric & ~view.in_analytic & view.usable
    if not gone.any() or not view.in_analytic.any() or not view.explains(np.where(gone, 0.0, view.numeric)):
        return
    kept = view.in_numeric & ~gone
    counts = np.count_nonzero(gone), np.count_nonzero(view.in_numeric)
    share = f"{counts[0]} of {counts[1]} entries are zero in analytic, the rest is right"
    carried = _carry(view, gone, kept) if view.complete else ""
    if carried:
        yield Guess(0.95, "carry-dropped", carried)
        return
    if view.elementwise_shapes and view.complete and np.array_equal(gone, view.in_numeric & ~view.diagonal):
        seen = f"only the diagonal is right, the other {np.count_nonzero(gone)} entries are zero"
        yield Guess(
            0.95, "coupling-dropped", f"{seen}: backward treats a function that couples its elements as elementwise"
        )
        return
    yield from _padded_maximum(view, gone, kept, axis=1)
    if not view.complete:
        yield Guess(0.8, "mask-too-strict", f"{share} {describe(view, gone)}".strip())
        return
    order = _one_contribution(view, gone, kept)
    if order:
        yield from _overwritten(view, order, kept)
        return
    for axis, cause in ((0, "column"), (1, "row")):
        some = gone.any(axis)
        if (some & kept.any(axis)).any():
            continue  # not whole columns or rows
        slab = _slab(view, some, kept.any(axis), cause)
        label = view.pair.input if cause == "column" else view.pair.output
        if slab:
            yield Guess(0.93, "border-dropped", f"the gradient {slab} of {label} is lost: a loop or slice stops early")
            return
        place = describe(view, gone)
        tail = np.flatnonzero(some)
        indices = _indices(view, some, kept.any(axis), cause)
        if len(tail) * 2 < len(some) and np.array_equal(tail, np.arange(len(some) - len(tail), len(some))):
            yield Guess(
                0.93,
                "border-dropped",
                f"the last elements of {label} ({len(tail)} of {len(some)}) have no gradient: a loop stops early",
            )
        elif indices:
            yield Guess(0.9, "missing-term", f"{share}; lost are {indices} of {label}: their path is missing")
        elif "border" in place or "index" in place:
            yield Guess(0.9, "border-dropped", f"{share}; lost {place}")
        else:
            yield Guess(0.88, "mask-too-strict", f"{share}; lost {place or f'for some elements of {label}'}")
        return
    place = describe(view, gone)
    edge = _edge_windows(view, gone)
    if edge:
        yield Guess(0.9, "border-dropped", f"{share}; {edge}")
    else:
        yield Guess(
            0.84, "missing-term", f"{share}{'; lost ' + place if place else ''}: one of several paths is missing"
        )


def added(view: View) -> Iterator[Guess]:
    """Analytic is numeric, and more where numeric is zero."""
    more = view.in_analytic & ~view.in_numeric & view.usable
    if not more.any() or not view.in_numeric.any() or not view.explains(np.where(more, view.analytic, view.numeric)):
        return
    count = f"analytic is right where numeric is not zero, but {np.count_nonzero(more)} more entries are not zero"
    yield from _padded_maximum(view, more, view.in_numeric, axis=1, forward=True)
    place = describe(view, more)
    by_line = any(not (more.any(a) & view.in_numeric.any(a)).any() for a in (0, 1))
    if by_line or _depends_on_values(view):
        what = f" {place}" if place else ""
        yield Guess(0.94, "mask-missing", f"{count}{what}: gradient flows where the function is flat")
    else:
        yield Guess(0.9, "reduced-too-much", f"{count}{' ' + place if place else ''}: backward couples more elements")


def exchanged(view: View) -> Iterator[Guess]:
    """Each is zero where the other is not."""
    a, n = view.in_analytic & view.usable, view.in_numeric & view.usable
    for name, opposite in _opposites(view):
        if view.explained_at(("not", name), {name: opposite}):
            yield Guess(0.99, "mask-inverted", f"analytic is the true derivative for the opposite {name}")
            return
    if a.any() and n.any() and not (a & n).any():
        diagonal = view.elementwise_shapes and not ((a | n) & ~view.diagonal).any()
        moved = np.allclose(np.sort(view.analytic, 1), np.sort(view.numeric, 1), rtol=1e-5, atol=view.small)
        lines = any(not (a.any(k) & n.any(k)).any() for k in (0, 1)) and not moved
        if diagonal or lines:
            place = describe(view, a)
            where = f"; analytic is not zero {place}" if place else ""
            seen = f"analytic is zero where numeric is not, and the other way round{where}"
            yield Guess(0.95, "mask-inverted", seen)
            return
    if view.elementwise_shapes and (view.in_numeric | view.in_analytic)[view.diagonal].any():
        few = len(np.unique(np.round(view.numeric[view.diagonal], 6))) <= 3
        if few and view.explained_at("x=-x", {view.pair.input: -np.asarray(view.x)}):
            seen = "analytic is the true derivative at the negated input: the branches are exchanged"
            yield Guess(0.96, "mask-inverted", seen)


def mask_inside(view: View) -> Iterator[Guess]:
    """The share of the units that are off at x is what is on at -x, where masks depend on signs."""
    x = -np.asarray(view.x, np.float64)
    if not np.any(np.count_nonzero(view.in_numeric, 1) > 1):
        return
    if view.explained_at("x=-x", {view.pair.input: x}):
        seen = f"analytic is the true derivative at -{view.pair.input}: a mask inside is inverted"
        yield Guess(0.95, "mask-inverted", seen)
        return
    quick = view.along("x=-x", {view.pair.input: x})
    if quick is None:
        return
    direction = view.direction.reshape(-1)[np.asarray(view.pair.columns)]
    mine, here = view.analytic @ direction, view.numeric @ direction
    if np.all(np.abs(mine - here - quick) <= 1e-5 * view.scale):
        at = view.at("x=-x", {view.pair.input: x})
        if at is not None and view.explains(view.numeric + at):
            seen = f"analytic is the sum of the true derivatives at {view.pair.input} and -{view.pair.input}"
            yield Guess(0.95, "mask-missing", f"{seen}: a mask inside is left out")


def _opposites(view: View) -> Iterator[tuple[str, Array]]:
    """Inputs that are masks, negated."""
    for name, array in view.discrete.items():
        if set(np.unique(array)) <= {0, 1}:
            yield name, (1 - array.astype(np.int64)).astype(array.dtype)
    for name, array in view.others.items():
        on = float(np.max(array, initial=0.0))
        if array.size > 1 and on > 0 and np.all((array == 0) | (array == on)):
            yield name, on - array


def _depends_on_values(view: View) -> bool:
    """Whether the zeros of the true Jacobian move when the input's values do."""
    if not view.complete:
        return False
    x = np.asarray(view.x, np.float64)
    for key, other in (("x=-x", -x), ("x reversed", x.reshape(-1)[::-1].reshape(x.shape))):
        at = view.at(key, {view.pair.input: np.array(other)})
        if at is not None and np.any((np.abs(at) > view.small) != view.in_numeric):
            return True
    return False


def _padded_maximum(view: View, where: Array, right: Array, *, axis: int, forward: bool = False) -> Iterator[Guess]:
    """Windows at the border whose maximum is negative lose to the padding's zero."""
    rows = where.any(axis)
    if (rows & right.any(axis)).any() or len(view.y_shape) < 1 or np.any(np.count_nonzero(view.in_numeric, axis=1) > 1):
        return
    y = np.asarray(view.y, np.float64).reshape(-1)[np.asarray(view.pair.rows)]
    border = np.zeros(len(y), bool)
    for index, size in list(zip(view.rows, view.y_shape, strict=True))[-2:]:
        border |= (index == 0) | (index == size - 1)
    if (
        not rows.any()
        or not np.all(border[rows])
        or (view.elementwise_shapes and not (view.in_numeric & ~view.diagonal).any())
    ):
        return
    if np.any(y[rows] > 0) or not (forward or _edges_hold(view, rows, y < 0)):
        return
    if forward and np.all(y[rows] == 0):
        seen = "windows at the border give 0 although backward finds a maximum in them: the padding's zero wins"
        yield Guess(0.97, "zero-padded-max", seen)
    elif not forward and np.all(y[rows] < 0):
        seen = "windows at the border with a negative maximum get no gradient: the padding's zero wins in backward"
        yield Guess(0.98, "zero-padded-max", seen)


def _edges_hold(view: View, rows: Array, negative: Array) -> bool:
    """Whether the lost windows are all negative ones at some of the edges (a stride may leave others unpadded)."""
    edges = []
    for index, size in list(zip(view.rows, view.y_shape, strict=True))[-2:]:
        edges += [index == 0, index == size - 1]
    for count in range(1, len(edges) + 1):
        for chosen in itertools.combinations(edges, count):
            if np.array_equal(np.logical_or.reduce(chosen) & negative, rows):
                return True
    return False


def _one_contribution(view: View, gone: Array, kept: Array) -> str:
    """``first`` or ``last``: of several output positions each input element keeps one; empty if it is not so."""
    columns = np.flatnonzero(view.in_numeric.any(0))
    if not np.all(kept.any(0)[columns]) or not gone.any():
        return ""
    axes = range(len(view.rows))
    for count in range(1, min(len(view.rows), 4) + 1):
        for chosen in itertools.permutations(axes, count):
            key = np.zeros(len(view.pair.rows), np.int64)
            for a in chosen:
                key = key * view.y_shape[a] + view.rows[a]
            for which, sign in (("last", 1), ("first", -1)):
                ranked = np.where(view.in_numeric, sign * key[:, None], np.iinfo(np.int64).min)
                best = ranked.max(0)
                if np.array_equal(kept[:, columns], (ranked == best)[:, columns]):
                    return which
    return ""


def _overwritten(view: View, which: str, kept: Array) -> Iterator[Guess]:
    several = f"each element of {view.pair.input} reaches several elements of {view.pair.output}"
    seen = f"{several}, but only the {which} one's contribution is there"
    spread = np.all(np.count_nonzero(view.in_numeric, axis=1) <= 1)
    whole = kept.any(1)
    if which == "first" and not spread and np.array_equal(kept, view.in_numeric & whole[:, None]):
        lost = f"{np.count_nonzero(view.in_numeric.any(1) & ~whole)} of {len(whole)} elements of {view.pair.output}"
        yield Guess(0.93, "border-dropped", f"{lost} are left out, all but the first: a loop or slice stops early")
        return
    repeated = np.count_nonzero(view.in_numeric, axis=0)
    if which == "first" and spread and np.ptp(repeated) == 0:
        yield Guess(0.96, "broadcast-not-summed", f"{seen}: a slice is kept instead of the sum")
    else:
        yield Guess(0.96, "overwritten-not-accumulated", f"{seen}: = for +=")


def _carry(view: View, gone: Array, kept: Array) -> str:
    """Steps along one axis, in which only the output of the same step (or the last input) keeps its gradient."""
    for a, x_size in enumerate(view.x_shape):
        for b, y_size in enumerate(view.y_shape):
            if x_size != y_size or x_size < 2:
                continue
            later = view.rows[b][:, None] - view.columns[a][None, :]
            past, now = view.in_numeric & (later != 0), view.in_numeric & (later == 0)
            one_way = not (past & (later < 0)).any() or not (past & (later > 0)).any()
            if past.any() and now.any() and one_way and np.array_equal(gone, past):
                seen = f"only outputs at the same index along axis {b} have a gradient"
                return f"{seen}: what later steps owe to earlier ones is not carried back"
    for a, size in enumerate(view.x_shape):
        last = np.broadcast_to(view.columns[a] == size - 1, kept.shape)
        if size > 2 and np.array_equal(kept, view.in_numeric & last) and view.in_numeric.any(0).all():
            seen = f"only the last index along axis {a} of {view.pair.input} has a gradient"
            return f"{seen}: it is not carried to earlier steps"
    return ""


def _indices(view: View, some: Array, kept: Array, kind: str) -> str:
    """Lost elements that are whole indices along one axis, whatever the values."""
    index, shape = (view.columns, view.x_shape) if kind == "column" else (view.rows, view.y_shape)
    for a in range(len(shape)):
        gone = sorted({int(i) for i in index[a][some]})
        if len(shape) > 1 and not np.isin(index[a][kept], gone).any():
            return f"the indices {', '.join(map(str, gone))} along axis {a}"
    return ""


def _slab(view: View, some: Array, kept: Array, kind: str) -> str:
    """Lost elements that are the first or last indices along one axis (or the frame along two)."""
    index, shape = (view.columns, view.x_shape) if kind == "column" else (view.rows, view.y_shape)
    live = some | kept
    for a, size in enumerate(shape):
        for k in range(1, size // 2 + 1 if size > 2 else 2):
            if size < 2:
                continue
            last, first = index[a] >= size - k, index[a] < k
            for edge, words in ((last, "last"), (first, "first"), (last | first, "outer")):
                if np.array_equal(edge & live, some):
                    return f"at the {words} {'index' if k == 1 else f'{k} indices'} along axis {a}"
    for a, b in itertools.combinations(range(len(shape)), 2):
        for k in (1, 2):
            edge = (index[a] >= shape[a] - k) | (index[b] >= shape[b] - k)
            both = edge | (index[a] < k) | (index[b] < k)
            for test, words in ((edge, "last"), (both, "outer")):
                if np.array_equal(test & live, some):
                    return f"at the {words} {'index' if k == 1 else f'{k} indices'} along axes {a} and {b}"
    return ""


def _edge_windows(view: View, gone: Array) -> str:
    """Every lost entry belongs to an output (or input) element at a border."""
    for label, index, shape, axis in (
        (view.pair.output, view.rows, view.y_shape, 1),
        (view.pair.input, view.columns, view.x_shape, 0),
    ):
        lines = gone.any(axis)
        for a, size in enumerate(shape):
            if size > 2 and np.all(index[a][lines] == size - 1):
                return f"all of them at the last index along axis {a} of {label}"
        for a, b in itertools.combinations(range(len(shape)), 2):
            if min(shape[a], shape[b]) > 2 and np.all((index[a] == shape[a] - 1) | (index[b] == shape[b] - 1) | ~lines):
                return f"all of them at the last indices along axes {a} and {b} of {label}"
    return ""
