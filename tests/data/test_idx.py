"""IDX: every type comes back, and every damaged file is one clear error."""

import gzip
import struct

import numpy as np
import pytest

from minicnn.data import mnist, read_idx, write_idx


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("name", ["a.idx", "a.idx.gz"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (7,), (0, 28, 28), (2, 1)])
def test_what_is_written_comes_back(tmp_path, dtype, name, shape):
    array = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    write_idx(tmp_path / name, array)
    back = read_idx(tmp_path / name)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype and back.dtype.isnative and back.flags.writeable


def test_reads_bytes_written_by_hand(tmp_path):
    (tmp_path / "a").write_bytes(bytes([0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 0xFF, 0xFE]))
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), [[256, -2]])


HEADER = bytes([0, 0, 8, 1, 0, 0, 0, 4])
DAMAGED = {
    "empty": (b"", "not an IDX file: starts with nothing"),
    "text": (b"hello world", "not an IDX file: starts with 68 65 6c 6c"),
    "unknown type": (bytes([0, 0, 7, 1, 0, 0, 0, 0]), "not an IDX file"),
    "half a header": (HEADER[:6], "truncated inside the header of 8 bytes"),
    "one byte missing": (HEADER + b"abc", "truncated: the header claims 4 bytes"),
    "one byte more": (HEADER + b"abcde", "data goes on after the 4 bytes"),
    "a huge claim": (
        bytes([0, 0, 0x0E, 3]) + struct.pack(">3I", *[2**32 - 1] * 3) + b"abc",
        r"the header claims 6338\d+ bytes, more than the file can hold",
    ),
    "huge sizes around a zero": (
        bytes([0, 0, 8, 3]) + struct.pack(">3I", 0, 2**32 - 1, 2**32 - 1), "can hold"
    ),
    "gzip of too little": (gzip.compress(HEADER + b"abc"), "truncated: 3 of the 4 bytes"),
    "gzip that ends early": (gzip.compress(HEADER + b"abcd")[:-6], "gzip file is corrupt or truncated"),
    "gzip with a wrong checksum": (gzip.compress(HEADER + b"abcd")[:-8] + b"\0" * 8, "gzip file is corrupt"),
    "gzip with a huge claim": (
        gzip.compress(bytes([0, 0, 8, 2]) + struct.pack(">2I", 2**31, 2**31)), "more than the file can hold"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_one_clear_error_that_names_it(tmp_path, kind):
    content, message = DAMAGED[kind]
    (tmp_path / "bad.idx").write_bytes(content)
    with pytest.raises(ValueError, match=rf"read_idx: .*{message}.*bad\.idx"):
        read_idx(tmp_path / "bad.idx")


def test_any_flipped_or_missing_byte_is_an_error_or_reads_as_an_array(tmp_path):
    write_idx(tmp_path / "a.gz", np.arange(60, dtype=np.int32).reshape(3, 4, 5))
    good = (tmp_path / "a.gz").read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(200):
        bad = bytearray(good)
        bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
        (tmp_path / "a.gz").write_bytes(bad[: rng.integers(len(bad) + 1)] if rng.random() < 0.5 else bad)
        try:
            read_idx(tmp_path / "a.gz")
        except ValueError as error:
            assert str(error).startswith("read_idx: ")  # noqa: PT017


def test_missing_file():
    with pytest.raises(FileNotFoundError, match=r"read_idx: file does not exist \[path='/nowhere/a'\]"):
        read_idx("/nowhere/a")


def test_write_rejects_a_type_that_idx_lacks(tmp_path):
    with pytest.raises(TypeError, match="IDX knows no int64"):
        write_idx(tmp_path / "a", np.zeros(3, np.int64))


def _write_mnist(root, images, labels, part="train", style="-idx3-ubyte.gz"):
    write_idx(root / f"{part}-images{style}", images)
    write_idx(root / f"{part}-labels{style.replace('idx3', 'idx1')}", labels)


@pytest.mark.parametrize("style", ["-idx3-ubyte", "-idx3-ubyte.gz", "-idx3.ubyte"])
def test_mnist_reads_both_splits_under_the_usual_names(tmp_path, style):
    rng = np.random.default_rng(2)
    for part, n in (("train", 5), ("t10k", 3)):
        images, labels = (
            rng.integers(0, 256, (n, 4, 6)).astype(np.uint8),
            rng.integers(0, 10, n).astype(np.uint8),
        )
        _write_mnist(tmp_path, images, labels, part, style)
        data = mnist(tmp_path, "train" if part == "train" else "test")
        np.testing.assert_array_equal(data.arrays[0][:, 0], images)
        np.testing.assert_array_equal(data.arrays[1], labels)
        assert data.arrays[1].dtype == np.int64


def test_mnist_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="mnist: folder does not exist"):
        mnist(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match="none of train-images-idx3-ubyte"):
        mnist(tmp_path)
    images = np.zeros((3, 4, 4), np.uint8)
    _write_mnist(tmp_path, images, np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="3 images but 2 labels"):
        mnist(tmp_path)
    _write_mnist(tmp_path, images, np.array([1, 2, 10], np.uint8))
    with pytest.raises(ValueError, match="label 10 is out of range for 10 classes"):
        mnist(tmp_path)
    _write_mnist(tmp_path, images[0], np.zeros(4, np.uint8))
    with pytest.raises(ValueError, match=r"expected bytes \(N, H, W\)"):
        mnist(tmp_path)
    with pytest.raises(ValueError, match="split must be"):
        mnist(tmp_path, "valid")
