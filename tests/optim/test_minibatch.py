"""What a minibatch is to its examples (A17), and what its composition does to a rare class (A18)."""

from itertools import chain, islice

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn, ops, optim
from minicnn.data import BalancedBatchSampler, BatchSampler, RandomSampler, digits


@pytest.mark.parametrize("m", [1, 2, 7, 16])
def test_the_gradient_of_a_batch_is_the_mean_of_its_examples_gradients(m):
    draw = np.random.default_rng(m)
    images, labels = draw.normal(size=(m, 2, 6, 6)), draw.integers(0, 3, m)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)).double()

    def gradient(rows):
        net.zero_grad()
        ops.cross_entropy(net(mc.tensor(images[rows])), mc.tensor(labels[rows])).backward()
        return np.concatenate([p.grad.numpy().ravel() for p in net.parameters()])

    each = np.stack([gradient([i]) for i in range(m)])
    np.testing.assert_allclose(gradient(range(m)), each.mean(0), rtol=0, atol=1e-12)


def test_the_variance_of_the_gradient_falls_as_one_over_the_batch_size():
    """20 000 minibatches at once: each has a copy of the weights, so one backward gives every batch's gradient."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 3))
    y = x @ [1.0, -2.0, 0.5] + draw.normal(size=300)
    at = np.array([0.3, 0.1, -0.2])

    def variance(m):
        drawn = RandomSampler(300, replacement=True, samples=20_000 * m).indices(0, seed=m).reshape(20_000, m)
        w = mc.tensor(np.tile(at, (20_000, 1)), requires_grad=True)
        error = (mc.tensor(x[drawn]) * w.reshape(20_000, 1, 3)).sum(2) - mc.tensor(y[drawn])
        (error * error).mean(1).sum().backward()
        gradients = w.grad.numpy()
        whole = 2 * x.T @ (x @ at - y) / 300
        np.testing.assert_allclose(gradients.mean(0), whole, atol=0.15)  # unbiased
        return gradients.var(0).sum()

    assert 13 <= variance(1) / variance(16) <= 19


def arrays(split):
    images, labels = zip(*digits(split), strict=True)
    return np.stack(images).reshape(-1, 64) / 16.0, np.array(labels)


def recall_and_false_alarms(sampler, x, y, held_out, truth, *, seed, steps=150):
    """Of a logistic regression after that many batches of the sampler."""
    w, b = (mc.tensor(np.zeros(shape), requires_grad=True) for shape in ((64, 1), (1,)))
    optimizer = optim.SGD([w, b], lr=0.5)
    batches = chain.from_iterable(sampler.batches(epoch, seed) for epoch in range(steps))
    for batch in islice(batches, steps):
        optimizer.zero_grad()
        ops.binary_cross_entropy_with_logits(mc.tensor(x[batch]) @ w + b, mc.tensor(y[batch, None])).backward()
        optimizer.step()
    found = (held_out @ w.detach().numpy() + b.detach().numpy())[:, 0] > 0
    return found[truth].mean(), found[~truth].mean()


def test_balanced_batches_find_more_of_a_rare_digit_than_uniform_ones():
    (images, labels), (held_out, answers) = arrays("train"), arrays("test")
    zeros, rest = np.flatnonzero(labels == 0), np.flatnonzero(labels != 0)
    rare = round(len(rest) * 0.02 / 0.98)
    balanced, uniform = [], []
    for seed in range(3):
        few = np.random.default_rng(seed).choice(zeros, rare, replace=False)
        rows = np.concatenate([rest, few])
        x, y = images[rows], (labels[rows] == 0).astype(float)
        assert y.mean() == pytest.approx(0.02, abs=5e-4)
        for results, sampler in (
            (balanced, BalancedBatchSampler(y.astype(int), {0: 16, 1: 16})),
            (uniform, BatchSampler(RandomSampler(len(y)), 32, drop_last=True)),
        ):
            results.append(recall_and_false_alarms(sampler, x, y, held_out, answers == 0, seed=seed))
    recall, false_alarms = np.mean(balanced, axis=0)
    assert recall > np.mean(uniform, axis=0)[0] + 0.2
    assert recall > 0.9
    assert false_alarms < 0.05  # not by calling everything a zero
