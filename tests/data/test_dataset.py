"""Datasets on arrays: items, subsets, transforms, and what they refuse."""

import numpy as np
import pytest

from minicnn.core.rng import Stream
from minicnn.data import ArrayDataset, DataLoader, Dataset, RandomCrop, Subset, ToFloat, Transformed


def _data(**kwargs):
    return ArrayDataset(np.arange(24).reshape(6, 1, 2, 2), np.arange(6) * 10, **kwargs)


def test_items_negative_indices_and_protocol():
    data = _data()
    assert isinstance(data, Dataset)
    assert data[1][1] == 10 and data[-1][1] == 50
    for index in (6, -7):
        with pytest.raises(IndexError, match="out of range for 6 items"):
            data[index]
    assert [y for _, y in data] == [0, 10, 20, 30, 40, 50]  # iteration ends


def test_subset_keeps_its_order_and_reads_batches():
    subset = Subset(_data(), [4, 0, 4])
    assert [y for _, y in subset] == [40, 0, 40]
    (batch,) = DataLoader(subset, batch_size=3)
    assert batch[1].tolist() == [40, 0, 40]
    nested = Subset(subset, [1, 2])
    assert nested.read_batch(np.array([0, 1]))[1].tolist() == [0, 40]


def test_transforms_by_item_and_by_batch_agree():
    for data in (_data(transform=ToFloat()), Transformed(_data(), ToFloat())):
        (batch,) = DataLoader(data, batch_size=6)
        np.testing.assert_array_equal(batch[0], np.stack([x for x, _ in data]))
        assert batch[0].dtype == np.float32


def test_a_plain_function_is_applied_item_by_item():
    for data in (_data(transform=lambda x: x.sum()), Transformed(_data(), lambda x: x.sum())):
        assert not hasattr(data, "read_batch")
        (batch,) = DataLoader(data, batch_size=6)
        assert batch[0].tolist() == [6, 22, 38, 54, 70, 86]


def test_a_random_transform_needs_a_stream():
    data = _data(transform=RandomCrop(1))
    with pytest.raises(ValueError, match="RandomCrop: a random transform needs a stream"):
        data[0]
    assert data.read(0, Stream(0, "x"))[0].shape == (1, 1, 1)


def test_misuse_is_named():
    with pytest.raises(ValueError, match=r"arrays must have one length, got \[3, 2\]"):
        ArrayDataset(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="at least one array"):
        ArrayDataset()
    with pytest.raises(ValueError, match="at least one array"):
        ArrayDataset(np.float32(3))
    with pytest.raises(ValueError, match=r"indices must lie in 0\.\.5.*largest=6"):
        Subset(_data(), [0, 6])
