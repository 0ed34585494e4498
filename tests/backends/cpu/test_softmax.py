"""The fused softmax against its definition in extended precision."""

import numpy as np
import pytest

from minicnn.backends.cpu import softmax, threads

RNG = np.random.default_rng(8)
SHAPES = [((5, 7), 1), ((64, 1000), 1), ((3, 21, 700), 1), ((2, 3, 5, 4), 2), ((40, 9000), 1), ((9, 2), 0)]


def exact(x, axis):
    wide = x.astype(np.longdouble)
    e = np.exp(wide - wide.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 4e-7), (np.float64, 1e-15)])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_probabilities_and_gradients_are_exact_to_a_few_last_places(shape, axis, dtype, bound):
    x, gy = RNG.normal(size=shape).astype(dtype), RNG.normal(size=shape).astype(dtype)
    y, want = softmax.softmax(x, axis), exact(x, axis)
    assert np.abs(y / want - 1).max() <= 4 * bound
    found = softmax.softmax_grad(gy, y, axis)
    wide = y.astype(np.longdouble)
    gradient = wide * (gy - (gy * wide).sum(axis, keepdims=True))
    assert np.abs(found - gradient).max() <= 4 * bound * np.abs(gradient).max()


@pytest.mark.parametrize("shape", [(3, 40), (3, 700), (3, 40, 5)])
def test_infinities_and_nan_stay_in_their_slice(shape):
    x = np.zeros(shape, np.float32)
    x[0, 1], x[1, 2] = -np.inf, np.nan
    y = softmax.softmax(x, 1)
    assert (y[0, 1] == 0).all() and (y[0, 0] == np.float32(1 / (shape[1] - 1))).all()
    assert np.isnan(y[1]).all() and not np.isnan(y[2]).any()


def test_a_slice_of_minus_infinity_is_nan():
    assert np.isnan(softmax.softmax(np.full((2, 5), -np.inf, np.float32), 1)).all()


@pytest.mark.parametrize("shape", [(200, 1000), (4, 3, 60000)])
def test_threads_do_not_change_a_bit(shape):
    x = RNG.normal(size=shape).astype(np.float32)
    before = threads.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            y = softmax.softmax(x, 1)
            found.append((y, softmax.softmax_grad(x, y, 1)))
    finally:
        threads.set_num_threads(before)
    for y, g in found[1:]:
        assert np.array_equal(y, found[0][0]) and np.array_equal(g, found[0][1])
