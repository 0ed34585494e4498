"""The array namespace equals NumPy, on arrays large enough to be split, whatever the number of threads."""

import numpy as np
import pytest

from minicnn.backends.cpu import arrays as xp
from minicnn.backends.cpu import matrix, threads

LARGE = xp.PARALLEL + 1000


@pytest.fixture(params=[1, 3])
def _threads(request):
    before = threads.get_num_threads()
    threads.set_num_threads(request.param)
    yield
    threads.set_num_threads(before)


def random(*shape, dtype=np.float32):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "less", "power"])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((LARGE,), (LARGE,)),
        ((3, LARGE), (LARGE,)),
        ((4, 200, 200), (1, 200, 1)),
        ((1, 400, 400), (400, 1)),
        ((LARGE,), ()),
    ],
)
def test_binary_operations_with_broadcasting(name, left, right):
    a, b = np.abs(random(*left)), random(*right)
    found, expected = getattr(xp, name)(a, b), getattr(np, name)(a, b)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("name", ["exp", "tanh", "sqrt", "negative", "isnan"])
def test_unary_operations_on_contiguous_and_other_layouts(name):
    a = np.abs(random(500, 400))
    for view in (a, a.T, a[::-1, ::2], a[:, :1] * np.ones((1, 500), np.float32)):
        np.testing.assert_array_equal(getattr(xp, name)(view), getattr(np, name)(view))


@pytest.mark.usefixtures("_threads")
def test_python_numbers_do_not_promote_and_out_is_written():
    a = random(LARGE)
    assert xp.multiply(a, 2.0).dtype == np.float32
    out = np.empty_like(a)
    assert xp.add(a, 1, out=out) is out
    np.testing.assert_array_equal(out, a + np.float32(1))


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_over_any_axes(axis, keepdims):
    a = random(20, 90, 100, dtype=np.float64)
    for name in ("sum", "max", "min"):
        found = getattr(xp, name)(a, axis=axis, keepdims=keepdims)
        expected = getattr(np, name)(a, axis=axis, keepdims=keepdims)
        assert np.shape(found) == np.shape(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)


def test_sums_do_not_depend_on_the_number_of_threads():
    a = random(37, 41, 300)
    before, results = threads.get_num_threads(), []
    try:
        for n in (1, 2, 5):
            threads.set_num_threads(n)
            results.append([xp.sum(a), xp.sum(a, axis=0), xp.sum(a, axis=(0, 2)), xp.sum(a.T)])
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        for x, y in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(x, y)


def test_a_long_float32_sum_is_accurate():
    a = np.full(1 << 22, 0.1, np.float32)
    assert abs(float(xp.sum(a)) / (0.1 * (1 << 22)) - 1) < 1e-6


@pytest.mark.parametrize("shape", [(1 << 20, 4), (20000, 3), (64, 300, 8)])
def test_a_long_float32_sum_of_rows_is_accurate(shape):
    a = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    axes = tuple(range(len(shape) - 1))
    expected = a.sum(axis=axes, dtype=np.float64)
    found = xp.sum(a, axis=axes)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_booleans_and_integers_sum_as_int64():
    assert xp.sum(np.ones(LARGE, bool)) == LARGE
    assert xp.sum(np.ones(LARGE, np.int8)).dtype == np.int64


def test_nan_wins_a_maximum_in_any_block():
    a = random(LARGE)
    a[-1] = np.nan
    assert np.isnan(xp.max(a))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(64, 784, 256), (257, 65, 130), (1, 3000, 100), (300, 1, 2000)])
def test_large_matrix_products_in_every_layout(shape, dtype):
    m, k, n = shape
    for a in (random(m, k, dtype=dtype), random(k, m, dtype=dtype).T, random(m, 2 * k, dtype=dtype)[:, ::2]):
        for b in (random(k, n, dtype=dtype), random(n, k, dtype=dtype).T):
            expected = a.astype(np.float64) @ b.astype(np.float64)
            tolerance = (1e-5 if dtype == np.float32 else 1e-12) * max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(matrix.matmul(a, b), expected, rtol=0, atol=tolerance)


def test_matrix_products_do_not_depend_on_the_number_of_threads():
    a, b = random(100, 300), random(300, 200)
    before, results = threads.get_num_threads(), []
    try:
        for n in (1, 2):
            threads.set_num_threads(n)
            results.append(xp.matmul(a, b))
    finally:
        threads.set_num_threads(before)
    np.testing.assert_array_equal(*results)


def test_a_mismatched_product_raises_numpys_error():
    with pytest.raises(ValueError, match="matmul"):
        xp.matmul(random(600, 600), random(500, 600))


def test_an_error_in_one_block_reaches_the_caller():
    def task(i):
        if i == 3:
            raise KeyError(i)

    with pytest.raises(KeyError):
        threads.run(task, 8)


@pytest.mark.parametrize("n", [0, 5000])
def test_thread_counts_out_of_range_are_refused(n):
    with pytest.raises(ValueError, match="set_num_threads: n must be between 1 and 1024"):
        threads.set_num_threads(n)


def test_kernels_of_every_python_thread_follow_the_thread_count():
    import threading

    import numba

    from minicnn.backends.cpu import jit

    @jit.kernel(cache=False)
    def fill(out):
        for i in jit.prange(out.size):
            out[i] = i

    def run():
        fill(np.zeros(10))
        seen.append(numba.get_num_threads())

    seen, before = [], threads.get_num_threads()
    threads.set_num_threads(1)
    try:
        run()
        worker = threading.Thread(target=run)
        worker.start()
        worker.join()
    finally:
        threads.set_num_threads(before)
    assert seen == [1, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_big_sums_of_two_arrays_and_where_they_are_written(dtype):
    a, b = (np.random.default_rng(i).normal(size=(4, 190, 200)).astype(dtype) for i in (1, 2))
    want = a + b
    assert (xp.add(a, b) == want).all()
    assert (xp.add(a.transpose(0, 2, 1), b.transpose(0, 2, 1)) == want.transpose(0, 2, 1)).all()
    other = np.empty_like(a)
    assert xp.add(a, b, out=other) is other and (other == want).all()
    left, right = a.copy(), b.copy()
    assert xp.add(left, b, out=left) is left and (left == want).all()
    assert xp.add(a, right, out=right) is right and (right == want).all()
    assert (xp.add(a, a) == 2 * a).all()


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_concatenation_of_big_arrays(axis):
    draw = np.random.default_rng(3)
    shapes = [[30, 50, 60], [30, 50, 60], [30, 50, 60]]
    for shape, length in zip(shapes, (40, 1, 0), strict=True):
        shape[axis] = length + (60 if length > 1 else 0)
    parts = [draw.normal(size=shape).astype(np.float32) for shape in shapes]
    parts[0] = np.asfortranarray(parts[0])
    assert (xp.concatenate(parts, axis) == np.concatenate(parts, axis)).all()


def test_concatenation_refuses_and_promotes_as_numpy():
    a = np.zeros((400, 500), np.float32)
    assert xp.concatenate([a, a.astype(np.float64)]).dtype == np.float64
    with pytest.raises(ValueError, match="must match exactly"):
        xp.concatenate([a, a[:, 1:]])


@pytest.mark.parametrize(("shape", "axis"), [((6, 40, 1200), -1), ((6, 40, 30, 40), (0, 2, 3)), ((300, 5000), 1)])
def test_sums_along_long_rows(shape, axis):
    x = (np.random.default_rng(4).normal(size=shape) + 1).astype(np.float32)
    want = x.astype(np.float64).sum(axis)
    for keepdims in (False, True):
        got = xp.sum(x, axis, keepdims)
        assert got.shape == x.sum(axis, keepdims=keepdims).shape and got.dtype == np.float32
        np.testing.assert_allclose(got.ravel(), want.ravel(), rtol=3e-7)
