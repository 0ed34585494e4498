import numpy as np
import pytest

from minicnn.backends.cpu import losses

RNG = np.random.default_rng(6)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 4e-7), (np.float64, 1e-15)])
@pytest.mark.parametrize("shape", [(3, 21, 700), (150, 300, 1)])
def test_exponentials_and_logarithms_are_exact_to_a_few_last_places(shape, dtype, bound):
    z = (RNG.normal(size=shape) * RNG.choice([0.01, 1.0, 20.0], size=(shape[0], 1, shape[2]))).astype(dtype)
    labels = RNG.integers(0, shape[1], (shape[0], shape[2]))
    rows, p, total, *_ = losses.softmax_cross_entropy(z, labels, None, -100, 0.0)
    wide = z.astype(np.longdouble)
    e = np.exp(wide - wide.max(1, keepdims=True))
    want = e / e.sum(1, keepdims=True)
    kept = want > 1e-30
    assert np.abs(p / want - 1)[kept].max() <= 20 * bound  # the exponent itself is rounded where logits are large
    exact = np.log(e.sum(1)) - np.take_along_axis(wide - wide.max(1, keepdims=True), labels[:, None], 1)[:, 0]
    assert np.abs(rows - exact).max() <= bound * np.abs(exact).max()
    assert total == pytest.approx(float(exact.sum()), rel=1e-6)


def test_probabilities_of_the_impossible_and_the_unknown():
    z = np.zeros((2, 3, 40), np.float32)
    z[0, 1], z[1, 2, 7] = -np.inf, np.nan
    _, p, *_ = losses.softmax_cross_entropy(z, np.zeros((2, 40), np.int64), None, -100, 0.0)
    assert (p[0, 1] == 0).all() and (p[0, 0] == 0.5).all()
    assert np.isnan(p[1, :, 7]).all() and np.isnan(p).sum() == 3
