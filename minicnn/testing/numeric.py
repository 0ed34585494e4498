"""The numerical derivative along a direction, with an error bound: what an analytic gradient is held against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicnn.core.types import Array

EPS = float(np.finfo(np.float64).eps)


def derivative(
    f: Callable[[float], Array], *, step: float = 1e-3, levels: int = 4
) -> tuple[Array, Array]:
    """Derivative of a vector-valued ``f`` at 0, by central differences and Richardson extrapolation.

    ``D(h) = (f(h) - f(-h)) / 2h`` has an error in even powers of ``h``; from ``D(h), D(h/2), D(h/4), ...`` the
    powers are eliminated one by one (Ridders' tableau), and each component takes the entry whose neighbours agree
    best.

    Parameters
    ----------
    f : callable
        From a float to a float64 array of any shape.
    step : float
        The first ``h``; each level halves it.
    levels : int
        Number of step sizes; ``f`` is evaluated ``2 * levels`` times.

    Returns
    -------
    derivative, error : numpy.ndarray
        The estimate and a bound on its error: disagreement within the tableau plus rounding of ``f``.

    References
    ----------
    Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", Advances in Engineering Software 4 (1982).

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.testing.numeric import derivative
    >>> slope, error = derivative(lambda t: np.exp(np.array([t])))
    >>> bool(abs(slope[0] - 1) <= error[0] < 1e-10)
    True
    """
    best: Array = None
    bound: Array = None
    previous: list[Array] = []
    for level in range(levels):
        h = step / 2**level
        plus, minus = f(h), f(-h)
        row = [(plus - minus) / (2 * h)]
        # of f itself, and of arguments of order one
        rounding = 4 * EPS * (np.maximum(np.abs(plus), np.abs(minus)) + np.abs(row[0])) / h
        for j, older in enumerate(previous, start=1):
            row.append((4**j * row[j - 1] - older) / (4**j - 1))
            error = np.maximum(np.abs(row[j] - row[j - 1]), np.abs(row[j] - older)) + rounding
            if best is None:
                best, bound = row[j], error
            else:
                better = error < bound
                best, bound = np.where(better, row[j], best), np.where(better, error, bound)
        previous = row
    return best, bound
