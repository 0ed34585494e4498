"""Unfolding on the device: what the cases leave out."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn.core.windows import Window2d
from tests.backends.cuda.twins import Twins


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "window",
    [
        Window2d((3, 3), (1, 1), (1, 1)),
        Window2d((2, 3), (3, 2), (0, 2), (2, 1)),
        Window2d((1, 1), (4, 4)),
        Window2d((4, 5), (1, 3), (3, 4), (1, 2)),
    ],
)
@pytest.mark.parametrize("shape", [(2, 3, 9, 11), (1, 2, 21, 17), (0, 2, 9, 9), (2, 0, 9, 9)])
def test_columns_and_back(twins: Twins, shape: tuple[int, ...], window: Window2d, dtype: type) -> None:
    x = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    out = window.output_size("unfold", (shape[2], shape[3]))
    columns = twins.agree("unfold.unfold", x, window, out)
    twins.agree("unfold.fold", columns, window, shape[2:], out)
