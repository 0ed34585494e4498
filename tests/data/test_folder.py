"""Image folders through Pillow: order, modes, sizes, and images that are no images."""

import struct
import zlib

import numpy as np
import pytest

from minicnn.data import DataLoader, ImageFolder, read_image

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for label, name in enumerate(["cat", "ant", "bee"]):
        inner = tmp_path / name / "deep"
        inner.mkdir(parents=True)
        for i in range(2):
            pixels = rng.integers(0, 256, (5 + label, 6, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(inner / f"{i}.png")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def test_classes_and_items_are_sorted(root):
    data = ImageFolder(root)
    assert data.classes == ["ant", "bee", "cat"]
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert [p.name for p, _ in data.items] == ["0.png", "1.png"] * 3


def test_pixels_come_back_exactly(root):
    image, label = ImageFolder(root)[4]
    assert label == 2
    with Image.open(root / "cat" / "deep" / "0.png") as file:
        np.testing.assert_array_equal(image.transpose(1, 2, 0), np.asarray(file))


def test_grey_and_size(root):
    image, _ = ImageFolder(root, mode="L", size=(4, 3))[0]
    assert image.shape == (1, 4, 3) and image.dtype == np.uint8


def test_images_of_different_sizes_do_not_batch_and_the_error_says_what_to_do(root):
    with pytest.raises(ValueError, match=r"element 0 has different shapes.*resize or crop"):
        list(DataLoader(ImageFolder(root), batch_size=6))
    assert [b[0].shape for b in DataLoader(ImageFolder(root, size=4), batch_size=6)] == [(6, 3, 4, 4)]


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp"])
@pytest.mark.parametrize("cut", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_image_is_one_clear_error(tmp_path, suffix, cut):
    pixels = np.random.default_rng(1).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(ValueError, match=rf"read_image: .*corrupt, truncated or not an image.*a\.{suffix}"):
        read_image(path)


@pytest.mark.parametrize(
    "content",
    [b"P6\n2 x2\n255\n", b"P5\n2 2\n99999\n", b"P2\n2 2\n255\n1 2 3 a", b"P3\n1 1\n255\n1 2 300", b"P5\n-1 2\n255\n"],
)
def test_a_corrupt_ppm_or_pgm_is_one_clear_error(tmp_path, content):
    path = tmp_path / "a.ppm"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^read_image: the image is corrupt, truncated or not an image .*a\.ppm"):
        read_image(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on damaged metadata
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp", "ppm"])
def test_flipped_bytes_give_an_image_or_one_clear_error(tmp_path, suffix):
    rng = np.random.default_rng(5)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(rng.integers(0, 256, (6, 7, 3)).astype(np.uint8)).save(path)
    content, messages = path.read_bytes(), []
    for _ in range(80):
        damaged = bytearray(content)
        for place in rng.integers(0, min(len(content), 120), 2):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert read_image(path).shape[0] == 3
        except ValueError as error:
            messages.append(str(error))
    assert messages and all(m.startswith("read_image: ") and f"a.{suffix}" in m for m in messages)


def test_an_image_that_claims_a_billion_pixels_is_refused_before_decoding(tmp_path):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", header),
        chunk(b"IDAT", zlib.compress(b"")),
        chunk(b"IEND", b""),
    ]
    (tmp_path / "bomb.png").write_bytes(b"".join(parts))
    with pytest.raises(ValueError, match=r"read_image: .*bomb\.png"):
        read_image(tmp_path / "bomb.png")


def test_missing_things_are_named(tmp_path, root):
    with pytest.raises(FileNotFoundError, match="ImageFolder: folder does not exist"):
        ImageFolder(tmp_path / "no")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="class folder 'empty' holds no image"):
        ImageFolder(root)
    with pytest.raises(FileNotFoundError, match="no class folders"):
        ImageFolder(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="read_image: file does not exist"):
        read_image(tmp_path / "no.png")
    with pytest.raises(ValueError, match="mode must be"):
        read_image(root / "cat" / "deep" / "0.png", mode="CMYK")


def test_a_corrupt_item_surfaces_once_through_worker_threads_and_names_item_and_file(root):
    (root / "bee" / "deep" / "1.png").write_bytes(b"nonsense")
    loader = DataLoader(ImageFolder(root, size=4), batch_size=2, num_workers=2)
    seen = []
    with pytest.raises(ValueError, match=r"DataLoader: item 3 could not be read: read_image: .*1\.png.*batch=1\]"):
        seen.extend(labels.tolist() for _, labels in loader)
    assert seen == [[0, 0]]
