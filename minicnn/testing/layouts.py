"""The same values laid out otherwise in memory: what every op must accept."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array


def strided(x: Array) -> Array:
    """Every second element of a buffer twice as long along the last axis; the gaps hold NaN or a large integer."""
    if x.ndim == 0:
        return x.copy()
    buffer = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan if x.dtype.kind == "f" else 1, dtype=x.dtype)
    view = buffer[..., ::2]
    view[...] = x
    return view


def transposed(x: Array) -> Array:
    """First axis fastest in memory (Fortran order)."""
    return x.T.copy().T


def reversed_(x: Array) -> Array:
    """Negative strides along every axis."""
    back = (slice(None, None, -1),) * x.ndim
    return np.asarray(x[back].copy()[back])  # a 0-d array stays one


#: Layouts by name; each maps an array to an equal one that is not C-contiguous (where its shape allows that).
LAYOUTS = {"strided": strided, "transposed": transposed, "reversed": reversed_}
