"""Orders are functions of (seed, epoch); balanced batches keep their quotas (A18)."""

import numpy as np
import pytest

from minicnn.data import BalancedBatchSampler, BatchSampler, RandomSampler, SequentialSampler


def test_random_orders_are_permutations_that_differ_by_epoch_and_seed():
    sampler = RandomSampler(50)
    orders = [sampler.indices(e, s).tolist() for e in range(3) for s in range(3)]
    assert all(sorted(o) == list(range(50)) for o in orders)
    assert len({tuple(o) for o in orders}) == 9
    assert sampler.indices(1, 2).tolist() == RandomSampler(50).indices(1, 2).tolist()


def test_the_shuffle_is_the_documented_stream():
    from minicnn.core.rng import Stream

    np.testing.assert_array_equal(RandomSampler(9).indices(4, 7), Stream(7, "shuffle", call=4).permutation(9))


@pytest.mark.parametrize(("n", "size", "drop", "lengths"), [
    (10, 4, False, [4, 4, 2]), (10, 4, True, [4, 4]), (8, 4, False, [4, 4]), (3, 4, True, []), (0, 4, False, []),
])  # fmt: skip
def test_batches_cut_the_order(n, size, drop, lengths):
    sampler = BatchSampler(SequentialSampler(n), size, drop)
    batches = sampler.batches(0, 0)
    assert [len(b) for b in batches] == lengths and len(sampler) == len(lengths)
    assert np.concatenate([*batches, []]).tolist() == list(range(sum(lengths)))


def test_every_balanced_batch_of_a_99_to_1_set_is_16_and_16():
    labels = np.zeros(3200, np.int64)
    labels[::100] = 1
    sampler = BalancedBatchSampler(labels, {0: 16, 1: 16})
    for epoch in range(3):
        batches = sampler.batches(epoch, seed=3)
        assert len(batches) == 100
        for batch in batches:
            assert np.bincount(labels[batch]).tolist() == [16, 16]
    assert len({tuple(labels[b]) for b in batches}) > 50  # the classes are mixed inside a batch


def test_majority_items_appear_once_per_pass_also_across_epochs():
    labels = np.array([0] * 90 + [1] * 10)
    sampler = BalancedBatchSampler(labels, {0: 7, 1: 3}, batches=4)  # 28 majority items an epoch
    drawn = np.concatenate([b[labels[b] == 0] for e in range(20) for b in sampler.batches(e, 1)])
    counts = np.bincount(drawn, minlength=90)  # 560 draws: 6 whole passes and a part of the seventh
    assert len(drawn) == 560 and counts.max() - counts.min() <= 1
    first = np.concatenate([b[labels[b] == 0] for e in range(3) for b in sampler.batches(e, 1)])
    assert len(set(first.tolist())) == 84  # 3 epochs are less than one pass: nothing repeats


@pytest.mark.parametrize("rare", ["replacement", "passes"])
def test_a_rare_class_is_drawn_again_and_again(rare):
    labels = np.array([0] * 97 + [1] * 3)
    sampler = BalancedBatchSampler(labels, {0: 5, 1: 5}, rare=rare)
    drawn = np.concatenate([b[labels[b] == 1] for b in sampler.batches(0, 0)])
    counts = np.bincount(drawn - 97)
    assert counts.sum() == 50 and len(counts) == 3
    assert (counts.max() - counts.min() <= 1) == (rare == "passes")


@pytest.mark.parametrize("schedule", [lambda e: {0: 8 - e, 1: e}, [{0: 8}, {0: 7, 1: 1}, {0: 6, 1: 2}]])
def test_a_schedule_changes_the_quotas_by_epoch(schedule):
    labels = np.array([0] * 50 + [1] * 50)
    sampler = BalancedBatchSampler(labels, schedule)
    for epoch in range(3):
        assert all(np.sum(labels[b] == 1) == epoch for b in sampler.batches(epoch, 0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchSampler(SequentialSampler(3), 0), "batch_size must be at least 1"),
        (lambda: RandomSampler(3, samples=2), "samples needs replacement"),
        (lambda: RandomSampler(0, replacement=True), "cannot draw from no items"),
        (lambda: BalancedBatchSampler([0, 1], {0: 1, 2: 1}), "class 2 asks for a class that has no items"),
        (lambda: BalancedBatchSampler([0, 1], {0: -1, 1: 2}), "quota -1 of class 0 is negative"),
        (lambda: BalancedBatchSampler([0, 1], {0: 0}), "empty batch"),
        (lambda: BalancedBatchSampler([0, 1], []), "quotas are an empty sequence"),
        (lambda: BalancedBatchSampler([], {0: 1}), "labels must be ints"),
        (lambda: BalancedBatchSampler([0], {0: 1}, rare="no"), "rare must be"),
        (lambda: BalancedBatchSampler([0], {0: 1}, batches=0), "batches must be at least 1"),
    ],
)
def test_misuse_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_batch_size_that_is_no_int_is_named():
    with pytest.raises(TypeError, match="BatchSampler: batch_size must be an int, got 'a'"):
        BatchSampler(SequentialSampler(3), "a")
