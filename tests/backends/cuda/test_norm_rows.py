"""Norms of rows of every length: held in registers or not, in packs of 16 bytes or one by one, at odd addresses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.backends.cuda.test_norms_and_losses import assert_close, both, drawn, there

LONG = {  # rows that one block reads twice, in packs and one by one; rows cut within a thread's packs; columns in slots
    "packs": (1, 2, 1, 5000, 1),
    "packs of a map": (3, 1, 2, 1, 1500),
    "single": (3, 1, 2, 1, 1001),
    "a pack and a bit": (1, 3, 1, 260, 1),
    "weights for whole packs": (1, 2, 2, 3, 8),
    "weights for broken packs": (1, 2, 2, 4, 6),
    "many rows": (1, 600, 1, 36, 1),
    "a step over several lengths": (50, 1, 2, 1, 20),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LONG)
def test_rows_of_every_length_agree_with_the_literal_kernels_and_the_cpu(backend: Any, name: str, dtype: Any) -> None:
    view, tolerance = LONG[name], 1e-5 if dtype is np.float32 else 1e-11
    arrays = drawn(view, dtype, 3.0)
    mine, theirs = both(backend, view, arrays)
    assert_close(mine, theirs, tolerance)
    x, gy, weight, bias = there(backend, *arrays)
    found = backend.normalization.normalize_1(x, weight, bias, view, 1e-5)
    gx = backend.normalization.normalize_grad_1(gy, x, weight, *found[1:], view, 1e-5)
    assert_close([backend.to_host(a) for a in (*found, gx)], theirs[:4], tolerance)


@pytest.mark.parametrize("view", [(1, 2, 1, 5000, 1), (5, 1, 2, 1, 1000), (1, 3, 2, 2, 8)])
def test_an_address_off_16_bytes_changes_no_bit(backend: Any, view: tuple[int, ...]) -> None:
    found = []
    for skip in (0, 1):
        arrays = []
        for a in drawn(view, np.float32):
            roomy = backend.arrays.asarray(np.concatenate([np.zeros(skip, np.float32), a.ravel()]))
            arrays.append(roomy[skip:].reshape(a.shape))
        x, gy, weight, bias = arrays
        y, mean, var = backend.normalization.normalize(x, weight, bias, view, 1e-5)
        grads = backend.normalization.normalize_grad(gy, x, weight, mean, var, view, 1e-5)
        found.append([backend.to_host(a) for a in (y, mean, var, *grads)])
    for a, b in zip(*found, strict=True):
        assert np.array_equal(a, b)
