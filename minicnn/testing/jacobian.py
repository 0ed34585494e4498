"""Where a gradient is wrong: both Jacobians by entries, and the experiments that a diagnosis may make."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.check import Check
from minicnn.testing.evidence import Evidence, JacobianPair
from minicnn.testing.numeric import EPS
from minicnn.testing.subjects import OUTSIDE, Call

_LIMIT = 512  # rows and columns of a Jacobian that are looked at
_LARGE = 20_000  # elements of input and output from which on it is fewer


def locate(check: Check, block: int, j: int, call: Call, labels: list[str]) -> Evidence:
    """Both Jacobians of output ``j`` by input ``block``, and what a diagnosis may try.

    Parameters
    ----------
    check : Check
        At the point that failed.
    block, j : int
        The input and the output.
    call : Call
        For experiments with inputs that are not differentiated.
    labels : list of str
        Of all leaves of the call.
    """
    x, y = check.arrays[block], check.results[j]
    wrong = check.outcomes[block, j].columns
    limit = _LIMIT if x.size + y.size <= _LARGE else _LIMIT // 8
    if x.size > limit and not wrong:
        wrong = [_worst_column(check, block, j)]
    columns, rows = _sample(x.size, wrong, limit, check.random), _sample(y.size, [], limit, check.random)
    analytic = np.zeros((len(rows), len(columns)))
    for start in range(0, len(rows), 16):
        units = []
        for row in rows[start : start + 16]:
            vs = [np.zeros(z.shape) for z in check.results]
            vs[j].flat[row] = 1.0
            units.append(vs)
        for k, gradients in enumerate(check.pull(units) or [[None] * len(check.arrays)] * len(units)):
            g = gradients[block]
            if g is not None and g.shape == x.shape:
                analytic[start + k] = g.flat[columns]
    numeric, error = numeric_jacobian(check, check.arrays, block, j, columns, rows)
    pair = JacobianPair(
        check.names[block], check.outputs[j], check.order, x.shape, y.shape, columns, rows, analytic, numeric, error
    )

    def gradient(v: Array) -> Array | None:
        vs = [v if i == j else np.zeros(z.shape) for i, z in enumerate(check.results)]
        found = check.pull([vs])
        return None if found is None else found[0][block]

    def value(changes: dict[str, Array]) -> Array | None:
        try:
            with _Changed(check, call, labels, changes) as arrays:
                return check.values(arrays)[j]
        except (*OUTSIDE, TypeError):
            return None

    def numeric_at(changes: dict[str, Array]) -> Array | None:
        try:
            with _Changed(check, call, labels, changes) as arrays:
                if check.values(arrays)[j].shape != y.shape or arrays[block].shape != x.shape:
                    return None
                return numeric_jacobian(check, arrays, block, j, columns, rows)[0]
        except (*OUTSIDE, TypeError):
            return None

    inputs = {
        label: leaf for label, leaf in zip(labels, call.arguments.leaves, strict=True) if isinstance(leaf, np.ndarray)
    } | dict(zip(check.names, check.arrays, strict=True))
    options = {
        label: leaf for label, leaf in zip(labels, call.arguments.leaves, strict=True)
        if not isinstance(leaf, np.ndarray) and leaf is not None
    }
    return Evidence(
        pair, inputs, dict(zip(check.outputs, check.results, strict=True)), gradient, value, numeric_at, options
    )


def numeric_jacobian(
    check: Check, arrays: Sequence[Array], block: int, j: int, columns: Array, rows: Array
) -> tuple[Array, Array]:
    """Central differences of two step sizes, column by column, with error bars."""
    numeric = np.full((len(rows), len(columns)), np.nan)
    error = np.full_like(numeric, np.inf)
    middle = check.values(arrays)[j].reshape(-1)[rows]
    rounding = EPS
    if check.comparisons:  # the measured one, relative to the values
        rounding += float(np.max(check.noise / np.maximum(check.natural, np.finfo(float).tiny)))
    windows = (1e-3, 1e-5, 1e-7, 1e-1)
    for k, column in enumerate(columns):
        if check.clock.over:
            break
        far = float(check.reach[block].flat[column])
        for first in windows:
            slopes, size = [], np.abs(np.where(np.isfinite(middle), middle, 0.0))
            for h in (first * far, 0.5 * first * far):
                ends = []
                for sign in (1, -1):
                    moved = [np.array(a) for a in arrays]
                    moved[block].flat[column] += sign * h
                    try:
                        ends.append(check.values(moved)[j].reshape(-1)[rows])
                    except OUTSIDE:
                        ends.append(np.full(len(rows), np.nan))
                size = np.maximum(size, np.abs(ends[0], where=np.isfinite(ends[0]), out=np.zeros(len(rows))))
                with np.errstate(all="ignore"):
                    slopes.append(np.where(ends[0] == ends[1], 0.0, (ends[0] - ends[1]) / (2 * h)))
            best = (4 * slopes[1] - slopes[0]) / 3
            bar = np.abs(slopes[1] - slopes[0]) + 8 * rounding * size / (first * far)
            agrees = np.abs(best - numeric[:, k]) <= bar + error[:, k]  # from afar a narrow function looks flat
            better = np.isfinite(bar) & (bar < error[:, k]) & (agrees | ~np.isfinite(error[:, k]) | (first < 1e-2))
            numeric[better, k], error[better, k] = best[better], bar[better]
            scale = 1e-3 * float(np.nanmax(np.abs(best), initial=0.0))
            if np.all(error[:, k] <= 1e-6 * np.maximum(np.abs(numeric[:, k]), scale)):
                break
    return np.nan_to_num(numeric), np.where(np.isfinite(error), error, np.inf)


class _Changed:
    """The inputs of a check with some replaced by label; others of the call are put back afterwards."""

    def __init__(self, check: Check, call: Call, labels: list[str], changes: dict[str, Array]) -> None:
        self.check, self.call, self.labels, self.changes = check, call, labels, changes
        self.before = list(call.arguments.leaves)

    def __enter__(self) -> list[Array]:
        arrays = list(self.check.arrays)
        for label, array in self.changes.items():
            if label in self.check.names:
                arrays[self.check.names.index(label)] = array
            else:
                self.call.arguments.leaves[self.labels.index(label)] = array
        return arrays

    def __exit__(self, *_: object) -> None:
        self.call.arguments.leaves[:] = self.before


def _sample(size: int, wanted: list[int], limit: int, random: np.random.Generator) -> Array:
    """All flat indices, or the wanted ones among random others, in order."""
    if size <= limit:
        return np.arange(size)
    some = wanted[: limit // 8]
    drawn = random.choice(size, limit - len(some), replace=False)
    return np.unique(np.concatenate([drawn, np.array(some, int)]))


def _worst_column(check: Check, block: int, j: int) -> int:
    """The element with the largest error, by halving: a directional derivative tells which half is wrong."""
    x = check.arrays[block]
    u = (check.random.uniform(0.5, 1.0, x.shape) * check.reach[block]).reshape(-1)
    low, high = 0, x.size

    def wrong(a: int, b: int) -> float:
        part = np.zeros(x.size)
        part[a:b] = u[a:b]
        part = part.reshape(x.shape)
        h = 1e-4
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ends = [check.dots(check.moved(block, sign * h * part)) for sign in (1, -1)]
        numeric = (ends[0] - ends[1]) / (2 * h)
        exact = np.array([np.sum(g[block] * part) for g in check.gradient])
        return float(np.nan_to_num(np.abs(numeric - exact)[j :: len(check.results)].max(), nan=0.0))

    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if wrong(low, middle) >= wrong(middle, high) else (middle, high)
    return low
