"""The embedded digits: what was stored, the split, and LeNet-5's input."""

import hashlib

import numpy as np
import pytest

from minicnn.data import digits, lenet_input


def test_the_stored_pixels_labels_and_split_are_the_published_ones():
    everything = digits("all")
    images, labels = everything.arrays
    assert images.shape == (1797, 1, 8, 8) and images.dtype == np.uint8
    assert images.max() == 16 and images.min() == 0
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # UCI's table
    assert hashlib.sha256(images.tobytes()).hexdigest().startswith("8f26b2bd9d135c25")


def test_equals_scikit_learn_where_it_is_installed():
    datasets = pytest.importorskip("sklearn.datasets")
    selection = pytest.importorskip("sklearn.model_selection")
    reference = datasets.load_digits()
    train, test = selection.train_test_split(np.arange(1797), test_size=0.2, stratify=reference.target, random_state=0)
    for split, indices in (("train", train), ("test", test)):
        images, labels = digits(split).arrays
        np.testing.assert_array_equal(images[:, 0], reference.images[np.sort(indices)])
        np.testing.assert_array_equal(labels, reference.target[np.sort(indices)])


def test_split_is_a_stratified_partition():
    train, test, everything = digits("train"), digits("test"), digits("all")
    assert (len(train), len(test)) == (1437, 360)
    both = np.concatenate([train.arrays[0], test.arrays[0]]).reshape(1797, -1)
    order, expected = (np.lexsort(a.T) for a in (both, everything.arrays[0].reshape(1797, -1)))
    np.testing.assert_array_equal(both[order], everything.arrays[0].reshape(1797, -1)[expected])
    counts = np.bincount(test.arrays[1])
    assert counts.min() >= 35 and counts.max() <= 37


def test_writing_into_the_arrays_does_not_change_the_next_copy():
    digits("train").arrays[0][:] = 0
    assert digits("train").arrays[0].any()


def test_lenet_input_enlarges_pads_and_scales():
    raw, label = digits("train")[5]
    image, same = digits("train", transform=lenet_input())[5]
    assert image.shape == (1, 32, 32) and image.dtype == np.float32 and label == same
    expected = np.full((32, 32), -0.1)
    for i in range(24):
        for j in range(24):
            expected[4 + i, 4 + j] = -0.1 + 1.275 * raw[0, i // 3, j // 3] / 16
    np.testing.assert_allclose(image[0], expected, atol=1e-6)


def test_lenet_input_rejects_an_image_that_is_too_large():
    with pytest.raises(ValueError, match=r"lenet_input: image \(33, 20\) does not fit \(32, 32\)"):
        lenet_input(factor=1)(np.zeros((1, 33, 20), np.uint8))


def test_unknown_split_is_named():
    with pytest.raises(ValueError, match="split must be 'train', 'test' or 'all', got 'valid'"):
        digits("valid")
