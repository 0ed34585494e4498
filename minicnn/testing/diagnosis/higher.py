"""Second derivatives that are wrong although the first are right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicnn.testing.diagnosis.scale import fit
from minicnn.testing.diagnosis.view import Guess, View, number


def constant_in_backward(view: View) -> Iterator[Guess]:
    """Something that depends on the inputs went through backward as a constant."""
    c = fit(view)
    if c is not None and c < -1e-6:
        yield Guess(0.97, "sign-flipped", f"analytic is {number(c)} times numeric everywhere at order {view.order}")
        return
    if not view.in_analytic.any():
        seen = "is zero where the numerical one is not: all of backward was computed outside the graph"
    else:
        worst = float(np.max(np.abs(view.analytic - view.numeric), initial=0.0, where=view.usable))
        seen = f"differs by up to {number(worst)} ({np.count_nonzero(view.wrong)} of {view.wrong.size} entries)"
    why = "something that depends on the inputs is treated as a constant by backward"
    yield Guess(
        0.96,
        "constant-in-backward",
        f"order {view.order - 1} is right, but the derivative of order {view.order} {seen}: {why}",
    )
