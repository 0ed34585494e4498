"""CIFAR's binary records, whole and damaged."""

import numpy as np
import pytest

from minicnn.data import cifar10, cifar100


def _records(n, label_bytes, classes, seed):
    rng = np.random.default_rng(seed)
    labels = np.stack([rng.integers(0, c, n) for c in classes], 1).astype(np.uint8)
    images = rng.integers(0, 256, (n, 3, 32, 32)).astype(np.uint8)
    content = b"".join(bytes(labels[i]) + images[i].tobytes() for i in range(n))
    assert len(content) == n * (label_bytes + 3072)
    return labels, images, content


def test_cifar10_reads_the_five_training_files_in_order(tmp_path):
    expected = []
    for i in range(1, 6):
        labels, images, content = _records(2, 1, (10,), i)
        (tmp_path / f"data_batch_{i}.bin").write_bytes(content)
        expected.append((labels[:, 0], images))
    data = cifar10(tmp_path)
    np.testing.assert_array_equal(data.arrays[1], np.concatenate([label for label, _ in expected]))
    np.testing.assert_array_equal(data.arrays[0], np.concatenate([image for _, image in expected]))


@pytest.mark.parametrize("coarse", [True, False])
def test_cifar100_gives_fine_or_coarse_labels(tmp_path, coarse):
    inner = tmp_path / "cifar-100-binary"
    inner.mkdir()
    labels, images, content = _records(4, 2, (20, 100), 0)
    (inner / "test.bin").write_bytes(content)
    data = cifar100(tmp_path, "test", coarse=coarse)
    np.testing.assert_array_equal(data.arrays[1], labels[:, 0 if coarse else 1])
    np.testing.assert_array_equal(data.arrays[0], images)


def test_damaged_files_are_clear_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cifar10: none of test_batch\.bin is there"):
        cifar10(tmp_path, "test")
    with pytest.raises(FileNotFoundError, match="cifar10: folder does not exist"):
        cifar10(tmp_path / "no", "test")
    _, _, content = _records(2, 1, (10,), 0)
    for bad in (content[:-1], content + b"x", b""):
        (tmp_path / "test_batch.bin").write_bytes(bad)
        with pytest.raises(ValueError, match="not a whole number of records of 3073 bytes"):
            cifar10(tmp_path, "test")
    (tmp_path / "test_batch.bin").write_bytes(b"\x0a" + content[1:])
    with pytest.raises(ValueError, match="label 10 is out of range for 10 classes"):
        cifar10(tmp_path, "test")
    with pytest.raises(ValueError, match="split must be"):
        cifar10(tmp_path, "both")
