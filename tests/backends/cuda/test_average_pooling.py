"""Average pooling on the device: what the cases leave out."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn.core.windows import Window2d
from tests.backends.cuda.twins import Twins

RNG = np.random.default_rng(0)

WINDOWS = {
    "overlapping": Window2d((3, 2), (2, 1), (1, 1)),
    "gaps": Window2d((2, 2), (3, 4)),
    "ceil": Window2d((3, 3), (2, 2), (1, 0), ceil_mode=True),
    "wide": Window2d((9, 8), (4, 5), (4, 3), ceil_mode=True),  # a block for each output
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("divisor", [None, 3])
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_windows_of_every_kind(twins: Twins, window: Window2d, divisor: int | None, counted: bool, dtype: type) -> None:
    x = RNG.standard_normal((2, 3, 14, 17)).astype(dtype)
    out = window.output_size("avg_pool2d", x.shape[-2:])
    y = twins.agree("average_pooling.avg_pool2d", x, window, out, counted, divisor)
    gx = twins.agree("average_pooling.avg_pool2d_adjoint", y, window, x.shape[-2:], counted, divisor)
    literal = twins.result("average_pooling.avg_pool2d_adjoint_1", y, window, x.shape[-2:], counted, divisor)
    np.testing.assert_allclose(literal, gx, rtol=0, atol=1e-5 if dtype is np.float32 else 1e-13)


@pytest.mark.parametrize("out", [(1, 1), (3, 4), (14, 17), (20, 5)])
def test_adaptive_windows(twins: Twins, out: tuple[int, int]) -> None:
    x = RNG.standard_normal((2, 2, 14, 17))
    y = twins.agree("average_pooling.adaptive_avg_pool2d", x, out)
    twins.agree("average_pooling.adaptive_avg_pool2d_adjoint", y, x.shape[-2:])


@pytest.mark.parametrize("size", [(2, 0, 4, 4), (0, 2, 20, 20)])
def test_nothing_to_average(twins: Twins, size: tuple[int, ...]) -> None:
    x = np.zeros(size)
    y = twins.agree("average_pooling.adaptive_avg_pool2d", x, (1, 1))
    twins.agree("average_pooling.adaptive_avg_pool2d_adjoint", y, size[-2:])


def test_nan_stays_in_its_windows(twins: Twins) -> None:
    x = RNG.standard_normal((1, 1, 12, 12))
    x[0, 0, 3, 3] = np.nan
    for window in (Window2d((2, 2), (2, 2)), WINDOWS["wide"]):
        out = window.output_size("avg_pool2d", (12, 12))
        y = twins.agree("average_pooling.avg_pool2d", x, window, out, True, None)
        assert np.isnan(y).any()
        assert not np.isnan(y).all()
