"""The loader: same bytes for any number of workers, resume inside an epoch, errors once, no threads left."""

import threading
import time

import numpy as np
import pytest

from minicnn.core import rng
from minicnn.data import (
    ArrayDataset,
    BalancedBatchSampler,
    Compose,
    DataLoader,
    RandomCrop,
    RandomHorizontalFlip,
    SequentialSampler,
    collate,
)

AUGMENT = Compose(RandomCrop(4, padding=1), RandomHorizontalFlip())


class Slow:
    """Items that take a while, the earlier ones longer, and use their stream."""

    def __init__(self, n=12):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return (index,)

    def read(self, index, stream):
        time.sleep(0.002 * (self.n - index) / self.n)
        return index, stream.uniform(2)


class Plain:
    """The least a dataset can be; some items fail."""

    def __init__(self, n, bad=(), error=None):
        self.n, self.bad, self.error = n, bad, error or ValueError("broken")

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if index in self.bad:
            raise self.error
        return np.float32(index), index


def _images(n=10):
    return ArrayDataset(np.random.default_rng(0).integers(0, 256, (n, 3, 4, 4)), np.arange(n), transform=AUGMENT)


def _bytes(batches):
    return [b"".join(np.ascontiguousarray(a).tobytes() for a in batch) for batch in batches]


def _workers():
    return [t for t in threading.enumerate() if t.name.startswith("minicnn-loader")]


@pytest.mark.parametrize("dataset", [_images(), Slow(), Plain(11)], ids=["arrays", "items", "plain"])
def test_the_same_batches_for_any_number_of_workers(dataset):
    runs = []
    for workers in (0, 1, 2, 5):
        loader = DataLoader(dataset, 3, shuffle=True, num_workers=workers, seed=4)
        runs.append([_bytes(loader) for _ in range(3)])
    assert runs[0] == runs[1] == runs[2] == runs[3]
    assert runs[0][0] != runs[0][1]  # a new order in the next epoch


def test_the_global_seed_is_the_default():
    saved = rng.get_state()
    try:
        rng.manual_seed(11)
        implicit = _bytes(DataLoader(_images(), 3, shuffle=True))
    finally:
        rng.set_state(saved)
    assert implicit == _bytes(DataLoader(_images(), 3, shuffle=True, seed=11))
    assert implicit != _bytes(DataLoader(_images(), 3, shuffle=True, seed=12))


def test_loading_does_not_disturb_the_global_streams():
    before = rng.get_state()
    list(DataLoader(_images(), 3, shuffle=True, num_workers=2))
    assert rng.get_state() == before


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("after", range(13))
def test_resume_in_the_middle_of_an_epoch_continues_with_the_next_batch(workers, after):
    def make(n_workers):
        return DataLoader(_images(), 3, shuffle=True, num_workers=n_workers, seed=1)

    whole = [batch for loader in [make(0)] for _ in range(3) for batch in _bytes(loader)]  # 3 epochs of 4 batches
    loader, seen, state = make(workers), [], make(0).state_dict()
    while len(seen) < after:
        for batch in loader:
            seen += _bytes([batch])
            state = loader.state_dict()
            if len(seen) == after:
                break
    resumed = make(2 - workers)
    resumed.load_state_dict(state)
    for _ in range(4):
        seen += _bytes(resumed)
        if len(seen) == 12:
            break
    assert seen == whole


def test_the_state_after_a_finished_epoch_is_the_start_of_the_next():
    loader = DataLoader(Plain(4), 2)
    list(loader)
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (1, 0)
    assert len(list(loader)) == 2


def test_leaving_an_epoch_early_starts_the_next_one_afresh():
    loader = DataLoader(Plain(6), 2, shuffle=True, seed=0)
    next(iter(loader))
    second = _bytes(loader)
    other = DataLoader(Plain(6), 2, shuffle=True, seed=0)
    other.seek(1)
    assert second == _bytes(other) and len(second) == 3


def test_a_state_of_another_dataset_is_refused():
    state = DataLoader(Plain(6), 2).state_dict()
    with pytest.raises(ValueError, match="a loader with 6 items, this one has 8"):
        DataLoader(Plain(8), 2).load_state_dict(state)
    with pytest.raises(ValueError, match="a loader with 2 items in a batch, this one has 3"):
        DataLoader(Plain(6), 3).load_state_dict(state)


def test_a_state_of_other_batches_is_refused():
    state = DataLoader(Plain(6), 4, seed=1).state_dict()
    with pytest.raises(ValueError, match="a loader with 4 items in a batch, this one has 5"):
        DataLoader(Plain(6), 5).load_state_dict(state)  # as many batches
    with pytest.raises(ValueError, match="a loader with 2 batches, this one has 1"):
        DataLoader(Plain(6), 4, drop_last=True).load_state_dict(state)
    with pytest.raises(ValueError, match=r"another sampler.*sampler='RandomSampler'"):
        DataLoader(Plain(6), 4, shuffle=True).load_state_dict(state)
    with pytest.raises(ValueError, match="the state lacks epoch, batch, seed"):
        DataLoader(Plain(6), 4).load_state_dict({})


def test_a_state_brings_its_seed():
    first, second = (DataLoader(Plain(6), 4, shuffle=True, seed=s) for s in (1, 2))
    second.load_state_dict(first.state_dict())
    assert _bytes(first) == _bytes(second)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_error_surfaces_once_at_its_batch_and_names_the_item(workers):
    loader = DataLoader(Plain(12, bad=(7, 8)), 3, num_workers=workers)
    seen = []
    with pytest.raises(ValueError, match=r"DataLoader: item 7 could not be read: broken \[epoch=0, batch=2\]"):
        seen.extend(index.tolist() for _, index in loader)
    assert seen == [[0, 1, 2], [3, 4, 5]]
    assert not _workers()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError("gone"), FileNotFoundError),
        (TypeError("what"), TypeError),
        (KeyError("k"), RuntimeError),
        (ZeroDivisionError("z"), RuntimeError),
    ],
)
def test_errors_keep_a_class_that_can_be_caught_and_their_cause(error, kind):
    with pytest.raises(kind, match="item 1 could not be read") as caught:
        list(DataLoader(Plain(3, bad=(1,), error=error), 3))
    assert caught.value.__cause__ is error


def test_a_failing_batch_transform_names_the_items():
    data = ArrayDataset(np.zeros((9, 1, 2, 2)), transform=RandomCrop(3))
    with pytest.raises(
        ValueError, match=r"a batch of items \(0, 1, 2, 3, 4, 5, \.\.\.\) could not be read: RandomCrop"
    ):
        list(DataLoader(data, 9, num_workers=1))


def test_threads_end_with_the_loop_however_it_ends():
    loader = DataLoader(Slow(40), 2, num_workers=3)
    for _ in loader:
        break
    assert not _workers()
    list(loader)
    assert not _workers()
    iterator = iter(loader)
    next(iterator)
    assert _workers()
    del iterator
    assert not _workers()


def test_prefetch_is_bounded():
    read = []

    class Counting(Plain):
        def __getitem__(self, index):
            read.append(index)
            return (index,)

    iterator = iter(DataLoader(Counting(100), 1, num_workers=2, prefetch_factor=3))
    next(iterator)
    time.sleep(0.05)
    assert len(read) <= 7
    iterator.close()


def test_collate_makes_float32_of_python_floats_and_int64_of_ints():
    floats, ints, arrays = collate([(0.5, 1, np.zeros(2, np.float64)), (1.5, 2, np.ones(2, np.float64))])
    assert (floats.dtype, ints.dtype, arrays.dtype) == (np.float32, np.int64, np.float64)
    with pytest.raises(ValueError, match="items have different lengths"):
        collate([(1,), (1, 2)])


def test_collate_fn_gets_the_items():
    loader = DataLoader(Plain(4), 2, collate_fn=lambda items: (len(items), [i for _, i in items]))
    assert list(loader) == [(2, [0, 1]), (2, [2, 3])]


def test_empty_dataset_and_batch_sampler():
    assert list(DataLoader(Plain(0), 2)) == []
    labels = np.array([0] * 8 + [1] * 2)
    loader = DataLoader(Plain(10), batch_sampler=BalancedBatchSampler(labels, {0: 2, 1: 2}), num_workers=1)
    assert [np.bincount(labels[i]).tolist() for _, i in loader] == [[2, 2]] * 2 and len(loader) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": -1},
        {"prefetch_factor": 0},
        {"batch_size": 0},
        {"sampler": SequentialSampler(4), "shuffle": True},
        {"batch_sampler": BalancedBatchSampler([0], {0: 1}), "shuffle": True},
    ],
)
def test_misuse_is_named(options):
    with pytest.raises(ValueError, match=r"^(DataLoader|BatchSampler): "):
        DataLoader(Plain(4), **options)


def test_a_wrong_place_to_start_is_named():
    with pytest.raises(ValueError, match="cannot start at epoch 0, batch 3"):
        DataLoader(Plain(4), 2).seek(0, 3)


def test_options_that_are_no_ints_are_named():
    with pytest.raises(TypeError, match="DataLoader: batch_size must be an int, got 'a'"):
        DataLoader(Plain(6), "a")
    with pytest.raises(TypeError, match="DataLoader: num_workers must be an int, got 'a'"):
        DataLoader(Plain(6), 2, num_workers="a")
