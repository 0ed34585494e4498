"""Averages of weights."""

import numpy as np
import pytest

import minicnn as mc


def test_the_exponential_average_is_the_weighted_sum():
    values = np.random.default_rng(0).normal(size=(6, 3))
    w = mc.tensor(values[0])
    average = mc.optim.EMA([w], decay=0.8)
    for v in values[1:]:
        w.copy_(v)
        average.update()
    weights = np.array([0.8**5, *(0.2 * 0.8 ** (4 - k) for k in range(5))])
    np.testing.assert_allclose(average.shadow[0], weights @ values, rtol=1e-13)


def test_the_plain_average_is_the_mean_of_the_updates():
    values = np.random.default_rng(1).normal(size=(5, 2, 2))
    w = mc.tensor(np.zeros((2, 2)))
    average = mc.optim.SWA([w])
    for v in values:
        w.copy_(v)
        average.update()
    average.copy_to()
    np.testing.assert_allclose(w.numpy(), values.mean(0), rtol=1e-13)


def test_applied_lends_the_average_and_gives_the_weights_back_even_after_an_error():
    w = mc.tensor([1.0], requires_grad=True)
    average = mc.optim.EMA([w], decay=1.0)
    with mc.no_grad():
        w.fill_(5.0)
    seen = []

    def evaluate():
        with average.applied():
            seen.append(w.item())
            raise KeyError

    with pytest.raises(KeyError):
        evaluate()
    assert seen == [1.0]
    assert w.item() == 5.0


def test_integer_buffers_are_copied():
    count = mc.tensor([0])
    average = mc.optim.EMA([count], decay=0.5)
    count.fill_(7)
    average.update()
    assert average.shadow[0].tolist() == [7]


def test_a_restored_average_continues():
    w = mc.tensor(np.ones(3))
    average = mc.optim.SWA([w])
    average.update()
    other = mc.optim.SWA([w])
    other.load_state_dict(average.state_dict())
    w.fill_(4.0)
    average.update()
    other.update()
    np.testing.assert_array_equal(average.shadow[0], other.shadow[0])
    with pytest.raises(ValueError, match="do not have the tensors' shapes"):
        mc.optim.EMA([mc.tensor([1.0])]).load_state_dict(average.state_dict())


def test_tensors_that_do_not_fit_the_averages_are_named():
    average = mc.optim.EMA([mc.tensor(np.ones(3))])
    with pytest.raises(ValueError, match="EMA: copy_to needs 1 tensors of the averages' shapes, got 0"):
        average.copy_to([])
    with pytest.raises(ValueError, match=r"EMA: copy_to needs .* \[shapes=\[\(2, 3\)\]\]"):
        average.copy_to([mc.tensor(np.ones((2, 3)))])
