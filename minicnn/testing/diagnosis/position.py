"""Right values in wrong places: axes exchanged, shifted, flipped, permuted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from minicnn.core.types import Array, Shape
from minicnn.testing.diagnosis.coupling import aligned
from minicnn.testing.diagnosis.view import Guess, View, axes_text


def permuted(view: View) -> Iterator[Guess]:
    """Input or output axes exchanged, or their elements read in another order."""
    if not view.complete:
        return
    square = view.numeric.shape[0] == view.numeric.shape[1] and view.x_shape != view.y_shape
    if square and view.explains(np.eye(len(view.numeric))):
        seen = "analytic is the upstream gradient in the input's shape and the same order, but the function permutes"
        yield Guess(0.95, "wrong-reshape", f"{seen}: a reshape without its transpose")
        return
    reduces = len(view.y_shape) < len(view.x_shape)
    expands = len(view.y_shape) > len(view.x_shape)
    for kind, shape, label in (("x", view.x_shape, view.pair.input), ("y", view.y_shape, view.pair.output)):
        for order, words, same in _orders(shape):
            moved = view.numeric[:, order] if kind == "x" else view.numeric[order]
            if not view.explains(moved):
                continue
            moved_axes = aligned(view, view.in_numeric) != aligned(view, view.in_analytic)
            if same and moved_axes and (reduces if kind == "x" else expands):
                what = "spread over" if kind == "x" else "summed over"
                yield Guess(
                    0.95, "wrong-axis", f"analytic is right with {words} of {label} exchanged: {what} the wrong axis"
                )
            elif same and kind == "x":
                yield Guess(0.94, "transposed-gradient", f"analytic is numeric with {words} of {label} exchanged")
            elif same:
                seen = f"analytic is numeric with {words} of {label} exchanged: the upstream gradient is transposed"
                yield Guess(0.93, "transposed-gradient", seen)
            else:
                seen = f"analytic is numeric with the elements of {label} in another order ({words})"
                yield Guess(0.94, "wrong-reshape", f"{seen}: a reshape without its transpose")
            return


def blocks(view: View) -> Iterator[Guess]:
    """Parts of the input along one axis exchanged: gates, heads, anchors, halves."""
    if not view.complete or len(view.x_shape) < 1 or np.all(np.count_nonzero(view.in_numeric, 1) <= 1):
        return
    for a, size in enumerate(view.x_shape):
        if size < 2 or size > 64:
            continue
        numeric = np.moveaxis(view.numeric.reshape(-1, *view.x_shape), a + 1, 0).reshape(size, -1)
        analytic = np.moveaxis(view.analytic.reshape(-1, *view.x_shape), a + 1, 0).reshape(size, -1)
        gaps = np.abs(analytic[:, None] - numeric[None]).max(-1)
        source = gaps.argmin(1)
        allowed = 1e-5 * view.scale
        if np.any(gaps[np.arange(size), source] > allowed) or len(set(source)) < size:
            continue
        if np.count_nonzero(source != np.arange(size)):
            pairs = ", ".join(f"{i} ← {s}" for i, s in enumerate(source) if i != s)
            seen = f"analytic has the parts of {view.pair.input} along axis {a} in another order ({pairs})"
            yield Guess(0.93, "swapped-gradients", f"{seen}: parts of a stacked input are exchanged")
            return


def ranks(view: View) -> Iterator[Guess]:
    """One-hot rows at the element that comes next in size: an order statistic's index one off."""
    rows = np.flatnonzero(view.wrong.any(1))
    if not view.complete or not len(rows) or np.any(np.count_nonzero(view.in_numeric[rows], 1) != 1):
        return
    if np.any(np.count_nonzero(view.in_analytic[rows], 1) != 1):
        return
    rank = np.argsort(np.argsort(np.asarray(view.x, np.float64).reshape(-1)))
    steps = rank[np.abs(view.analytic[rows]).argmax(1)] - rank[np.abs(view.numeric[rows]).argmax(1)]
    if np.all(steps == steps[0]) and abs(int(steps[0])) == 1:
        side = "above" if steps[0] > 0 else "below"
        seen = f"the gradient goes to the element that is next {side} the right one in size"
        yield Guess(0.945, "off-by-one-shift", f"{seen}: an index into the sorted order is one off")


def permutation(view: View) -> Iterator[Guess]:
    """A permutation of elements that backward applies again instead of undoing it."""
    square = view.complete and view.numeric.shape[0] == view.numeric.shape[1]
    if (
        square
        and all(np.all(np.count_nonzero(view.in_numeric, k) == 1) for k in (0, 1))
        and view.explains(view.numeric.T)
    ):
        seen = "analytic is the transpose of numeric: the elements are permuted again instead of being put back"
        yield Guess(0.96, "forward-not-adjoint", seen)


def adjoint(view: View) -> Iterator[Guess]:
    """Backward applies the Jacobian where its transpose is due."""
    if not view.complete or view.numeric.shape[0] != view.numeric.shape[1] or not view.explains(view.numeric.T):
        return
    if view.others and len(view.x_shape) > 1:
        seen = (
            "analytic is the transpose of numeric: the matrix that multiplies the input is not transposed in backward"
        )
        yield Guess(0.94, "transposed-weight", seen)
    else:
        seen = "analytic is the transpose of numeric: backward applies the function's own map, not its transpose"
        yield Guess(
            0.94,
            "forward-not-adjoint",
            f"{seen} (a cumulative sum that does not run backwards, a gather for a scatter)",
        )


def shifted(view: View) -> Iterator[Guess]:
    """The pattern lies one or two elements off along an axis of the input or output."""
    if not view.complete or np.count_nonzero(view.in_numeric) < 3:
        return
    numeric = view.full(view.numeric)
    axes = [(view.pair.output, a, a) for a in range(len(view.y_shape))]
    axes += [(view.pair.input, a, a + len(view.y_shape)) for a in range(len(view.x_shape))]
    for steps in (1, -1, 2, -2):
        for label, a, axis in reversed(axes):
            if numeric.shape[axis] <= abs(steps):
                continue
            for moved, inner in _shifts(view, numeric, axis, steps):
                if _shift_fits(view, moved, inner):
                    seen = f"analytic is numeric shifted by {steps:+d} along axis {a} of {label}"
                    yield Guess(0.94 if abs(steps) == 1 else 0.92, "off-by-one-shift", seen)
                    return
    pairs = itertools.combinations(range(len(axes)), 2)
    for p, q in pairs:
        if axes[p][0] != axes[q][0]:
            continue
        for s, t in itertools.product((1, -1), repeat=2):
            if min(numeric.shape[axes[p][2]], numeric.shape[axes[q][2]]) < 3:
                continue
            for once, inner in _shifts(view, numeric, axes[p][2], s):
                for moved, also in _shifts(view, once.reshape(numeric.shape), axes[q][2], t):
                    if _shift_fits(view, moved, inner & also):
                        both = f"{s:+d} along axis {axes[p][1]} and {t:+d} along axis {axes[q][1]} of {axes[p][0]}"
                        yield Guess(0.93, "off-by-one-shift", f"analytic is numeric shifted by {both}")
                        return


def _shifts(view: View, numeric: Array, axis: int, steps: int) -> Iterator[tuple[Array, Array]]:
    """The shifted Jacobian, and where it is known (what comes in at the border is not)."""
    moved = np.roll(numeric, steps, axis)
    inner = np.ones(numeric.shape, bool)
    edge = [slice(None)] * numeric.ndim
    edge[axis] = slice(0, steps) if steps > 0 else slice(steps, None)
    inner[tuple(edge)] = False
    yield moved.reshape(view.numeric.shape), inner.reshape(view.numeric.shape)


def _shift_fits(view: View, moved: Array, inner: Array) -> bool:
    if not view.explains(moved, inner) or np.count_nonzero(inner) * 3 < inner.size:
        return False
    live = inner & (np.abs(moved) > view.small)
    changed = inner & (np.abs(moved - view.numeric) > 1e-3 * view.scale)
    count = np.count_nonzero(live)
    return bool(count > 1 and changed.any() and count * 3 >= np.count_nonzero(view.in_numeric))


def flipped(view: View) -> Iterator[Guess]:
    """Axes run backwards: whole, or within the window of every output element."""
    if not view.complete or np.count_nonzero(view.in_numeric) < 3:
        return
    numeric = view.full(view.numeric)
    m = len(view.y_shape)
    for label, first, shape in ((view.pair.input, m, view.x_shape), (view.pair.output, 0, view.y_shape)):
        for count in range(1, min(3, len(shape)) + 1):
            for axes in itertools.combinations(range(len(shape)), count):
                if min(shape[a] for a in axes) < 2:
                    continue
                turned = np.flip(numeric, tuple(first + a for a in axes)).reshape(view.numeric.shape)
                if view.explains(turned):
                    seen = f"analytic is numeric with {axes_text(axes)} of {label} reversed"
                    kernel = (len(shape) >= 3 and max(axes) >= len(shape) - 2) or (
                        len(shape) == 1 and len(view.y_shape) == 1
                    )
                    yield Guess(0.94, "kernel-not-flipped" if kernel else "misplaced", seen)
                    return
    turned = _flip_windows(view) if _one_kernel(view) else None
    if turned is not None and view.explains(turned):
        seen = "each output element's window of weights is reversed: a convolution for a correlation"
        yield Guess(0.93, "kernel-not-flipped", seen)


def _one_kernel(view: View) -> bool:
    """Whether most output elements have the same set of derivatives, as those of a correlation have."""
    rows = np.sort(view.numeric, 1)
    same = np.abs(rows - rows[len(rows) // 2]).max(1) <= 1e-5 * view.scale
    return bool(np.count_nonzero(same) * 3 > len(rows) and np.count_nonzero(same) > 1)


def _flip_windows(view: View) -> Array | None:
    """Every row with the box around its nonzero entries reversed along the axes where it is a window."""
    if not view.x_shape:
        return None
    rows = view.numeric.reshape(-1, *view.x_shape)
    result = np.zeros_like(rows)
    axes = [a for a, size in enumerate(view.x_shape) if size > 1][-2:]
    for row, out in zip(rows, result, strict=True):
        live = np.argwhere(np.abs(row) > view.small)
        if not len(live):
            continue
        box = tuple(slice(lo, hi + 1) for lo, hi in zip(live.min(0), live.max(0), strict=True))
        out[box] = np.flip(row[box], tuple(axes))
    return result.reshape(view.numeric.shape)


def misplaced(view: View) -> Iterator[Guess]:
    """Each output's values are right but sit at other input elements, or the other way round."""
    if not view.complete:
        return
    true, mine = aligned(view, view.in_numeric), aligned(view, view.in_analytic)
    if true - mine and mine - true:
        return  # the wrong axis
    for axis, label, what in ((1, view.pair.output, "input"), (0, view.pair.input, "output")):
        a, n = np.sort(view.analytic, axis), np.sort(view.numeric, axis)
        close = np.abs(a - n) <= np.minimum(
            1e-5 * np.maximum(np.abs(a), np.abs(n)) + 1e-7 * view.scale, 0.02 * view.gap
        )
        lines = view.wrong.any(axis)
        same: Array = np.all(close, axis=axis)
        if not lines.any() or not _informative(view, axis, lines):
            continue
        if np.all(same[lines]):
            seen = f"each element of {label} has the right derivatives, but at the wrong {what} elements"
            yield Guess(0.88, "misplaced", f"{seen} ({np.count_nonzero(lines)} of {len(lines)})")
            return
        rest = np.flatnonzero(lines & ~same)
        if len(rest) * 2 < np.count_nonzero(lines) and all(_subset(view, axis, int(k)) for k in rest):
            seen = f"the elements of {label} have the right derivatives at wrong {what} elements, some beyond the edge"
            yield Guess(0.85, "misplaced", seen)
            return


def _informative(view: View, axis: int, lines: Array) -> bool:
    """Rows full of one and the same number say nothing about places."""
    live = np.moveaxis(view.in_numeric, axis, -1)[lines]
    return bool((np.any(live) and not np.all(live)) or np.ptp(np.abs(view.numeric)) > 1e-3 * view.scale)


def _subset(view: View, axis: int, k: int) -> bool:
    a = view.analytic[k] if axis == 1 else view.analytic[:, k]
    n = view.numeric[k] if axis == 1 else view.numeric[:, k]
    left = list(n[np.abs(n) > view.small])
    for value in a[np.abs(a) > view.small]:
        hit = next((i for i, other in enumerate(left) if abs(value - other) <= 1e-5 * abs(other)), None)
        if hit is None:
            return False
        left.pop(hit)
    return True


def _orders(shape: Shape) -> Iterator[tuple[Array, str, bool]]:
    """Permutations of flat positions by axis order: index, words, and whether the transposed shape is the same."""
    if len(shape) < 2 or len(shape) > 5:
        return
    flat = np.arange(int(np.prod(shape))).reshape(shape)
    identity = flat.reshape(-1)
    seen: list[Array] = []
    perms = sorted(itertools.permutations(range(len(shape))), key=lambda p: sum(i != a for i, a in enumerate(p)))
    for perm in perms:
        moved_shape = tuple(shape[p] for p in perm)
        forth = flat.transpose(perm).reshape(-1)
        back = np.arange(identity.size).reshape(moved_shape).transpose(np.argsort(perm)).reshape(-1)
        for order in (forth, back):
            if np.array_equal(order, identity) or any(np.array_equal(order, s) for s in seen):
                continue
            seen.append(order)
            changed = [i for i, a in enumerate(perm) if i != a]
            yield order, axes_text(changed), moved_shape == shape
