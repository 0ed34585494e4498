"""Dropout: the masks are Philox bits, both conventions, the "average" network, replay."""

import itertools

import numpy as np
import pytest

import minicnn as mc
from minicnn.backends import cpu
from minicnn.core import rng as random


def test_masks_on_the_device_are_the_reference_bits():
    for seed, call in ((0, 0), (123, 5), ((7 << 32) + 1, (3 << 32) + 2)):
        stream = random.Stream(seed, "dropout", call)
        for n in (0, 1, 5, 4096, 70_001):
            for threshold in (0, 1 << 30, 3 << 30, 1 << 32):
                expected = random.bits(stream.key, call, n) >= threshold
                np.testing.assert_array_equal(cpu.random.mask((n,), threshold, stream.key, call), expected)


def test_the_kept_elements_are_those_whose_word_reaches_the_threshold():
    mc.manual_seed(42)
    y = mc.ops.dropout(mc.tensor(np.ones((30, 7))), 0.3)
    mc.manual_seed(42)
    words = random.stream("dropout").bits(210).reshape(30, 7)
    np.testing.assert_array_equal(y.numpy() != 0, words >= round(0.3 * 2**32))
    np.testing.assert_allclose(y.numpy()[y.numpy() != 0], 1 / 0.7)


def test_each_call_has_a_mask_of_its_own_and_the_seed_repeats_them():
    mc.manual_seed(1)
    x = mc.tensor(np.ones(200))
    first, second = mc.ops.dropout(x).tolist(), mc.ops.dropout(x).tolist()
    mc.manual_seed(1)
    assert first != second
    assert [mc.ops.dropout(x).tolist(), mc.ops.dropout(x).tolist()] == [first, second]


def test_the_gradient_passes_where_the_mask_did():
    x = mc.tensor(np.random.default_rng(0).normal(size=(5, 40)), requires_grad=True)
    y = mc.ops.dropout(x, 0.25)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.where(y.detach().numpy() != 0, 1 / 0.75, 0.0))


def test_recomputation_replays_the_mask():
    mc.manual_seed(3)
    x = mc.tensor(np.ones(500), requires_grad=True)
    y = mc.checkpoint(lambda x: mc.ops.dropout(x * 1.0), x)
    after = random.get_state()
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    assert random.get_state() == after


@pytest.mark.parametrize("convention", ["inverted", "paper"])
def test_at_test_time_nothing_is_random(convention):
    x = mc.tensor(np.random.default_rng(0).normal(size=50))
    state = random.get_state()
    y = mc.ops.dropout(x, 0.4, training=False, convention=convention)
    assert random.get_state() == state
    np.testing.assert_allclose(y.numpy(), x.numpy() * (1.0 if convention == "inverted" else 0.6))


def test_the_conventions_agree_in_expectation():
    mc.manual_seed(0)
    x = mc.tensor(np.ones(40_000))
    for convention in ("inverted", "paper"):
        trained = mc.ops.dropout(x, 0.3, convention=convention).numpy().mean()
        tested = mc.ops.dropout(x, 0.3, training=False, convention=convention).numpy().mean()
        assert abs(trained - tested) < 5 * 0.66 / 200  # five standard deviations of the mean


def test_the_mean_over_all_masks_of_a_linear_layer_is_the_half_weight_layer():
    rng = np.random.default_rng(5)
    w, x = rng.normal(size=10), rng.normal(size=10)
    masks = np.array(list(itertools.product([False, True], repeat=10)))
    outputs = cpu.random.masked_scale(np.tile(x, (1024, 1)), masks, 1.0) @ w
    paper = mc.ops.dropout(mc.tensor(x), 0.5, training=False, convention="paper").numpy() @ w
    assert outputs.mean() == pytest.approx(paper, abs=1e-13)


def test_the_geometric_mean_over_all_masks_of_a_softmax_layer_is_the_half_weight_softmax():
    rng = np.random.default_rng(6)
    w, x = rng.normal(size=(10, 4)), rng.normal(size=10)
    masks = np.array(list(itertools.product([False, True], repeat=10)))
    dropped = mc.tensor(cpu.random.masked_scale(np.tile(x, (1024, 1)), masks, 1.0))
    logs = mc.ops.log_softmax(dropped @ mc.tensor(w), 1).numpy().mean(0)
    geometric = np.exp(logs) / np.exp(logs).sum()
    half = mc.ops.dropout(mc.tensor(x[None]), 0.5, training=False, convention="paper")
    np.testing.assert_allclose(geometric, mc.ops.softmax(half @ mc.tensor(w), 1).numpy()[0], atol=1e-14)


def test_whole_channels_fall_together():
    mc.manual_seed(0)
    y = mc.ops.dropout2d(mc.tensor(np.ones((20, 10, 3, 2))), 0.5).numpy()
    assert np.all((y == 0).all((2, 3)) | (y == 2).all((2, 3)))
    assert 0.3 < (y == 0).mean() < 0.7


def test_the_ends_of_the_range_of_p():
    x = mc.tensor(np.ones(100))
    assert mc.ops.dropout(x, 0.0).tolist() == [1.0] * 100
    assert mc.ops.dropout(x, 1.0).tolist() == [0.0] * 100
    assert mc.ops.dropout(mc.tensor(np.ones((0, 3)))).shape == (0, 3)


def test_nan_is_not_hidden_by_the_mask():
    assert np.isnan(mc.ops.dropout(mc.tensor(np.full(50, np.nan)), 0.5).numpy()).all()


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"dropout: p must be in \[0, 1\], got 1.5"):
        mc.ops.dropout(mc.tensor([1.0]), 1.5)
    with pytest.raises(ValueError, match="convention must be"):
        mc.ops.dropout(mc.tensor([1.0]), convention="caffe")
    with pytest.raises(TypeError, match="dropout: input must be floating"):
        mc.ops.dropout(mc.tensor([1]))
    with pytest.raises(ValueError, match="dropout2d: expected input"):
        mc.ops.dropout2d(mc.tensor([1.0]))
