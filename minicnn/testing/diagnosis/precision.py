"""Small deviations: ε in another place, arithmetic in fewer digits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicnn.testing.diagnosis.view import Guess, View, number


def deviation(view: View) -> Iterator[Guess]:
    """Analytic is nearly right everywhere."""
    a, n = view.analytic[view.usable], view.numeric[view.usable]
    if not a.size or view.scale == 0.0 or view.gap > 0.1 * view.scale:
        return
    live = np.abs(n) > 1e-3 * view.scale
    relative = (a[live] - n[live]) / n[live]
    if not relative.size:
        return
    largest = float(np.max(np.abs(relative)))
    epsilon = [k for k in view.numbers if k.lower() in {"eps", "epsilon", "delta", "tiny", "e"}]
    if largest > (0.15 if epsilon else 0.03):
        return
    seen = f"analytic deviates from numeric by {number(largest)} of its size at most"
    for kind, digits in ((np.float16, "float16"), (np.float32, "float32")):
        with np.errstate(over="ignore"):
            exact = np.array_equal(a.astype(kind).astype(np.float64), a)
        if exact and np.count_nonzero(a) and np.any(a != np.round(a, 2)):
            yield Guess(0.95, "reduced-precision", f"{seen}, and every entry is a {digits} number")
            return
    if epsilon:
        yield Guess(0.9, "epsilon-mismatch", f"{seen}: {epsilon[0]} is left out or stands in another place")
        return
    shares = np.mean(relative > 0), np.mean(relative < 0)
    wild = min(shares) > 0.2 and np.std(np.abs(relative)) > 0.3 * np.mean(np.abs(relative))
    if wild and (largest < 1e-5 or 2e-5 < largest < 2e-2):
        yield Guess(0.945, "reduced-precision", f"{seen}, up and down without a pattern: fewer digits inside")
    elif largest < 0.02:
        yield Guess(
            0.945,
            "epsilon-mismatch",
            f"{seen}, {'upwards' if shares[0] > 0.5 else 'downwards'} mostly: "
            "a small constant is left out or stands in another place",
        )
