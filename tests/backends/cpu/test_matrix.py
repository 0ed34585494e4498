import numpy as np
import pytest

from minicnn.backends.cpu import matrix

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("m", "k", "n", "layout"),
    [
        (8, 3001, 700, "rows"),  # b as it lies in memory
        (1, 2048, 1024, "rows"),
        (16, 1030, 1021, "rows"),
        (8, 3001, 700, "columns"),  # b is a transpose: a fully connected layer's weight
        (3, 4097, 300, "columns"),
        (1500, 8, 1001, "rows"),  # few terms: the gradient of that weight
        (1500, 1, 1001, "rows"),
        (1100, 6, 1000, "columns"),
        (1100, 13, 1000, "rows"),
        (300, 200, 100, "rows"),  # plain
    ],
)
def test_products_with_a_small_factor_equal_the_plain_product(m, k, n, layout, dtype):
    a, b = RNG.normal(size=(m, k)).astype(dtype), RNG.normal(size=(k, n)).astype(dtype)
    b = b if layout == "rows" else np.asfortranarray(b)
    a_kept, b_kept = a.copy(), b.copy()
    want = a.astype(np.float64) @ b.astype(np.float64)
    for left in (a, np.asfortranarray(a), np.repeat(a, 2, axis=1)[:, ::2]):
        got = matrix.matmul(left, b)
        assert got.dtype == dtype and got.flags.c_contiguous
        assert np.abs(got - want).max() <= (1e-6 if dtype == np.float32 else 1e-14) * np.abs(want).max()
    assert (a == a_kept).all() and (b == b_kept).all()


def test_nan_goes_where_it_belongs():
    a, b = np.ones((4, 1100), np.float32), np.ones((1100, 1000), np.float32)
    a[1, 7], b[3, 5] = np.nan, np.nan
    wrong = np.isnan(matrix.matmul(a, b))
    assert wrong[1].all() and wrong[:, 5].all() and not wrong[0, :5].any()
