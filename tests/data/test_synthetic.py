"""Generators of D20: same seed, same bytes; and the geometry they promise."""

import hashlib

import numpy as np
import pytest

from minicnn.data import blobs, moons, rings, shapes, xor


@pytest.mark.parametrize("make", [blobs, moons, rings, xor])
def test_points_repeat_with_the_seed_and_the_classes_alternate(make):
    once, again, other = make(101, seed=3), make(101, seed=3), make(101, seed=4)
    assert once.arrays[0].tobytes() == again.arrays[0].tobytes() != other.arrays[0].tobytes()
    assert once.arrays[0].shape == (101, 2) and once.arrays[0].dtype == np.float32
    assert np.bincount(once.arrays[1]).tolist() == [51, 50]
    with pytest.raises(ValueError, match="n must be at least 2"):
        make(1)


def test_blobs_have_the_margin():
    x, y = blobs(400, margin=0.7, seed=1).arrays
    gaps = []
    for angle in np.linspace(0, 2 * np.pi, 3601):
        along = x @ np.array([np.cos(angle), np.sin(angle)])
        gaps.append(along[y == 1].min() - along[y == 0].max())
    assert max(gaps) >= 0.69


def test_xor_rings_and_moons_have_their_shape():
    x, y = xor(300, gap=0.2).arrays
    np.testing.assert_array_equal(y, (x[:, 0] * x[:, 1] < 0).astype(int))
    assert np.abs(x).min() >= 0.2 - 1e-6 and np.abs(x).max() <= 1
    x, y = rings(300, noise=0.0, radius=0.4).arrays
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 0, 1, 0.4), rtol=1e-6)
    x, y = moons(300, noise=0.0).arrays
    np.testing.assert_allclose(np.hypot(*(x - np.where(y[:, None] == 0, [0, 0], [1, 0.5])).T), 1, rtol=1e-5)


def test_scenes_repeat_and_do_not_depend_on_the_order_of_reading():
    def digest(item):
        parts = [item[0], *(item[1][k] for k in sorted(item[1]))]
        return hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest()

    data = shapes(4, seed=2)
    forward = [digest(data[i]) for i in range(4)]
    assert forward == [digest(shapes(4, seed=2)[i]) for i in (3, 2, 1, 0)][::-1]
    assert len({*forward, digest(shapes(4, seed=3)[0])}) == 5


@pytest.mark.parametrize("size", [48, 64, 128])
def test_annotations_of_scenes_agree(size):
    for image, target in shapes(30, size=size, seed=size):
        masks, panoptic, semantic = target["masks"], target["panoptic"], target["semantic"]
        k = len(target["labels"])
        assert image.shape == (3, size, size) and image.dtype == np.uint8 and 1 <= k <= 4
        assert masks.sum(0).max() <= 1  # every pixel belongs to one segment
        np.testing.assert_array_equal(panoptic >= 2, masks.any(0))
        for j in range(k):
            rows, columns = np.nonzero(masks[j])
            expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_array_equal(target["boxes"][j], expected)
            np.testing.assert_array_equal(panoptic == 2 + j, masks[j])
            assert set(semantic[masks[j]].tolist()) == {2 + int(target["labels"][j])}
            assert max(np.diff(expected[::2])[0], np.diff(expected[1::2])[0]) <= 41
        assert set(np.unique(panoptic)) <= set(range(2 + k))


def test_scene_sizes_are_checked():
    with pytest.raises(ValueError, match="size >= 48"):
        shapes(1, size=20)
    with pytest.raises(IndexError, match="out of range for 2 items"):
        shapes(2)[2]
