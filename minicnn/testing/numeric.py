"""The slope of a function along a line, with an error bar and a test for kinks: what a gradient is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from minicnn.core.types import Array

EPS = float(np.finfo(np.float64).eps)

#: First steps of the windows, in units of the line's parameter, in the order in which they are tried.
WINDOWS = (1e-3, 1e-4, 1e-2, 1e-5, 1e-6, 1e-7, 1e-8, 1e-1)

#: Tried last, where noise hides the slope; never where there is trouble at 0, for from afar a staircase is smooth.
FAR_WINDOWS = (1.0, 1e2, 1e4)

_LEVELS = 4
_RATIO = 1.8  # between steps; not 2, for sin(t) looks smooth at steps of pi, pi/2, pi/4 above whole turns
_PRECISE = 1e-9  # a relative error bar that needs no second window
_GAMMA_4 = 576 / 40320  # (4!)^2 / 8!: variance of a value from that of its fourth differences


@dataclass
class Slope:
    """Slopes of the components of a vector-valued function at 0.

    Parameters
    ----------
    value, error : numpy.ndarray
        The estimates and bounds on their errors; NaN and infinite where there is none.
    trouble : numpy.ndarray of str
        Per component ``""``, ``"kink"`` (left and right slopes differ, or one is unbounded), ``"jump"`` or ``"edge"``
        (not finite on one side).
    detail : list of str
        Per component, what was seen there.
    """

    value: Array
    error: Array
    trouble: Array
    detail: list[str]


@dataclass
class _Window:
    """Estimates from four steps that shrink by a constant ratio."""

    step: float  # the first
    last: float
    value: Array
    error: Array
    jump: Array  # right slope minus left slope
    jump_error: Array
    trusted: Array  # where left and right slopes meet; of a far window, where all nearer ones do and agree
    rise: Array  # the larger of both one-sided slopes at the smallest step
    ends: Array  # f at the smallest step to the right and to the left, minus f at 0, (2, components)


def slope(
    f: Callable[[float], Array], middle: Array, noise: Array, *,
    scale: Array | float = 0.0, expected: Array | None = None, floor: Array | float = 0.0, eps: Array | float = EPS,
) -> Slope:
    """Slope of ``f`` at 0 from the first window of steps that gives a precise answer, or from the best one.

    A window is trusted where left and right slopes meet as the steps shrink. So a kink at a distance from 0 is avoided
    by steps smaller than that distance, noise by larger ones, and a kink at 0 shows in every window.

    Parameters
    ----------
    f : callable
        From a float to a float64 array (components,); NaN where it cannot be evaluated.
    middle : numpy.ndarray
        ``f(0)``.
    noise : numpy.ndarray
        Standard deviation of rounding in ``f``, from :func:`noise_level`.
    scale : numpy.ndarray or float
        Size of slopes that matter: errors are judged relative to the larger of this and the slope itself.
    expected : numpy.ndarray, optional
        What the slopes should be; where they agree within an error of ``floor``, that is precise enough.
    floor : numpy.ndarray or float
        An error that does not matter.
    eps : numpy.ndarray or float
        Rounding relative to the size of values, for those far from 0.

    Returns
    -------
    Slope
        At most 88 evaluations; 8 where ``f`` is smooth and exact to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.testing.numeric import slope
    >>> zero = np.zeros(2)
    >>> found = slope(lambda t: np.array([np.sin(t), abs(t)]), zero, zero)
    >>> found.trouble.tolist(), round(float(found.value[0]), 9)
    (['', 'kink'], 1.0)
    """
    value = np.full(middle.shape, np.nan)
    error = np.full(middle.shape, np.inf)
    trouble = np.full(middle.shape, "", dtype=object)
    detail = [""] * middle.size
    windows: list[_Window] = []
    plain = np.ones(middle.shape, bool)
    coarse = bool(np.max(eps, initial=0.0) > 64 * EPS)  # then far values are as coarse as they are large
    for first in WINDOWS + (() if coarse else FAR_WINDOWS):
        window = _window(f, middle, noise, first, eps)
        windows.append(window)
        if len(windows) == 1 and np.isfinite(window.rise).any():  # a wrong gradient may be of any size
            scale = np.minimum(scale, 100 * float(np.max(window.rise, where=np.isfinite(window.rise), initial=0.0)))
        if first >= WINDOWS[-1]:  # only a function that is plain all the way may be looked at from afar
            if first in FAR_WINDOWS:
                with np.errstate(invalid="ignore"):
                    window.trusted &= plain & (np.abs(window.value - value) <= error + window.error)
            plain = plain & window.trusted
        better = window.trusted & (window.error < error) & (trouble == "")
        value[better], error[better] = window.value[better], window.error[better]
        size = np.maximum(np.abs(value), scale)
        done = error <= _PRECISE * size
        if expected is not None:
            gap = np.abs(value - expected)
            done = (done & (gap <= _PRECISE * size + 4 * error)) | ((error <= floor) & (gap <= 4 * error))
        if np.all(done | (trouble != "")):
            break
        if first == WINDOWS[-1]:
            for i in np.flatnonzero(~(error <= 0.01 * np.abs(value))):
                trouble[i], detail[i] = _classify(windows, int(i), float(noise[i]), bool(np.isfinite(error[i])))
    else:  # no window agreed with what was expected, or none was precise
        value, error = _consistent(windows, trouble)
        if expected is not None:
            gap = np.abs(value - expected)
            for i in np.flatnonzero((gap > _PRECISE * size + 4 * error) & (trouble == "")):
                if _between_slopes(windows, int(i), float(noise[i]), float(gap[i])):
                    trouble[i], detail[i] = _classify(windows, int(i), float(noise[i]), False)
    return Slope(value, error, trouble, detail)


def _consistent(windows: list[_Window], trouble: Array) -> tuple[Array, Array]:
    """The best estimates after every window's bar is widened until it reaches those of smaller steps.

    A bar is an extrapolation's own opinion. A bend in the first derivative can deceive it, and so can a function that
    looks flat from afar, being periodic, narrow or bounded.
    """
    value = np.full(trouble.shape, np.nan)
    error = np.full(trouble.shape, np.inf)
    ordered = sorted(windows, key=lambda w: -w.step)
    for i, window in enumerate(ordered):
        widened = window.error
        for other in ordered[i + 1 :]:
            with np.errstate(invalid="ignore"):
                missed = np.abs(window.value - other.value) - 20 * other.error  # rounding may be coarse
            widened = np.where(other.trusted & (missed > 0), np.maximum(widened, window.error + missed), widened)
        better = window.trusted & (widened < error) & (trouble == "")
        value, error = np.where(better, window.value, value), np.where(better, widened, error)
    return value, error


def noise_level(f: Callable[[float], Array], size: Array) -> Array:
    """Standard deviation of the rounding in ``f``, from fourth differences over steps too small to show its shape.

    Steps grow until values differ, so that a function that rounds to float32 inside is seen as what it is. The steps
    stand to one side of 0, for a kink there is no noise; where there is more than float64's own rounding, the other
    side is looked at too.

    Parameters
    ----------
    f : callable
        From a float to a float64 array (components,).
    size : numpy.ndarray
        Size of the numbers that were added to make each component; its rounding is the least that is assumed.

    Returns
    -------
    numpy.ndarray
        Per component.

    References
    ----------
    Moré and Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011).
    """
    level = np.zeros(size.shape)
    for side in (1, -1):
        found = np.full(size.shape, np.nan)
        for spacing in (1e-10, 1e-8, 1e-6, 1e-4):
            values = np.array([f(side * (3e-5 + k * spacing)) for k in range(8)])
            with np.errstate(all="ignore"):
                differences = np.sqrt(_GAMMA_4 * np.mean(np.diff(values, n=4, axis=0) ** 2, axis=0))
                distinct = np.sum(np.diff(values, axis=0) != 0, axis=0) >= 6
            usable = np.isfinite(differences) & (distinct | (np.isnan(found) & (spacing == 1e-4)))
            found = np.where(usable, np.fmax(found, differences), found)
            # distinct at once: float64; else a coarser grid, which one row of values may meet by accident
            if np.all(~np.isnan(found) | ~np.isfinite(differences)) and (spacing == 1e-10 or spacing >= 1e-6):
                break
        level = np.maximum(level, np.where(np.isfinite(found), found, 0.0))
        if np.all(level <= 16 * EPS * size):
            break
    # coarse rounding is no random noise: the best of many windows is the one that it met by luck
    return np.maximum(np.where(level > 64 * EPS * size, 12, 3) * level, 0.5 * EPS * size)


def _window(f: Callable[[float], Array], middle: Array, noise: Array, step: float, eps: Array | float) -> _Window:
    steps = [step / _RATIO**level for level in range(_LEVELS)]
    values = [(f(h), f(-h)) for h in steps]
    with np.errstate(all="ignore"):
        central = [(plus - minus) / (2 * h) for h, (plus, minus) in zip(steps, values, strict=True)]
        kinked = [(plus + minus - 2 * middle) / h for h, (plus, minus) in zip(steps, values, strict=True)]
        rounding = [
            2 * (noise + eps * np.maximum(np.abs(plus), np.abs(minus))) / h + 2 * eps * np.abs(row)
            for h, (plus, minus), row in zip(steps, values, central, strict=True)
        ]
        value, error = _extrapolate(central, [2, 4, 6], rounding)
        jump, jump_error = _extrapolate(kinked, [1, 3, 5], [2 * r for r in rounding])
        plus, minus = values[-1]
        ends = np.array([plus - middle, minus - middle])
        rise = np.max(np.abs(ends), axis=0) / steps[-1]
        lost = ~np.isfinite(sum(plus + minus for plus, minus in values))
    value, error = np.where(lost, np.nan, value), np.where(lost, np.inf, error)
    allowed = 1e-3 * np.maximum(rise, np.abs(value)) + 16 * noise / steps[-1]
    with np.errstate(invalid="ignore"):
        trusted = np.isfinite(error) & (np.abs(jump) + jump_error <= allowed)
    return _Window(step, steps[-1], value, error, jump, jump_error, trusted, rise, ends)


def _between_slopes(windows: list[_Window], i: int, noise: float, gap: float) -> bool:
    """Whether a difference is explained by a small kink: it lies between left and right slope at the smallest steps."""
    clear = sorted((w for w in windows if 16 * noise / w.last < 0.1 * gap), key=lambda w: w.step)[:2]
    return len(clear) == 2 and all(
        abs(w.jump[i]) >= 1.6 * gap and w.jump_error[i] <= 0.3 * abs(w.jump[i]) for w in clear
    )


def _classify(windows: list[_Window], i: int, noise: float, smooth: bool) -> tuple[str, str]:
    """What is wrong at 0, by the smallest steps at which noise does not hide it; nothing if ``smooth`` stands."""
    ordered = sorted(windows, key=lambda w: w.step)
    if not any(np.isfinite(w.ends[:, i]).all() for w in ordered):
        side = "right" if not np.isfinite(ordered[0].ends[0, i]) else "left"
        if not np.isfinite(ordered[0].ends[:, i]).any():
            return "edge", "not finite on either side of this point"
        return "edge", f"not finite on the {side} side of this point"
    usable = [w for w in ordered if np.isfinite(w.ends[:, i]).all() and np.max(np.abs(w.ends[:, i])) > 8 * noise]
    if len(usable) < 2:
        return ("", "") if smooth else ("kink", "left and right slopes do not meet")
    small, large = usable[0], usable[min(2, len(usable) - 1)]
    shrink = float(np.max(np.abs(small.ends[:, i])) / np.max(np.abs(large.ends[:, i])))
    if shrink > 0.5:
        return "jump", f"the function jumps by about {np.max(np.abs(small.ends[:, i])):.3g}"
    right, left = float(small.ends[0, i] / small.last), float(-small.ends[1, i] / small.last)
    if shrink > 3 * small.step / large.step:
        return "kink", f"the slope grows without bound ({left:.3g} and {right:.3g} at a distance of {small.last:.1g})"
    if smooth:
        return "", ""
    return "kink", f"slope {left:.6g} on the left, {right:.6g} on the right"


def _extrapolate(rows: list[Array], powers: list[int], rounding: list[Array]) -> tuple[Array, Array]:
    """Ridders' tableau: eliminate the powers of the step one by one; the entry with the closest neighbours wins."""
    best: Array = None
    bound: Array = None
    previous: list[Array] = []
    for first, noise in zip(rows, rounding, strict=True):
        row = [first]
        for (j, older), power in zip(enumerate(previous), powers, strict=False):
            row.append((_RATIO**power * row[j] - older) / (_RATIO**power - 1))
            error = np.maximum(np.abs(row[j + 1] - row[j]), np.abs(row[j + 1] - older)) + noise
            if best is None:
                best, bound = row[j + 1], error
            else:
                better = error < bound
                best, bound = np.where(better, row[j + 1], best), np.where(better, error, bound)
        previous = row
    return best, bound


def entries(x: Array) -> Iterator[tuple[str, Array]]:
    """The unit vectors of ``x``'s space, named by their index."""
    for index in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[index] = 1.0
        yield (str(list(index)) if index else "the value"), unit


def reach(x: Array) -> Array:
    """How far each element may be moved: its own size, and at least a tenth of the array's typical one."""
    finite = x[np.isfinite(x)]
    typical = float(np.sqrt(np.mean(finite * finite))) if finite.size else 0.0
    return np.maximum(np.abs(x), 0.1 * min(typical, 1.0) if typical > 0 else 1.0)
