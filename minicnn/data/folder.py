"""Image folders: one sub-folder per class, any layout below it, read through Pillow item by item."""

import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.core import checks
from minicnn.core.rng import Stream
from minicnn.core.types import Pair
from minicnn.data import files
from minicnn.data.dataset import Item, position
from minicnn.data.transforms import Apply, apply

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # Pillow tries no other decoder
_CORRUPT = (  # what Pillow's decoders raise for damaged bytes
    OSError, SyntaxError, EOFError, ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError,
    struct.error, zlib.error,
)  # fmt: skip
_MOST_PIXELS = 100_000_000


def read_image(path: str | os.PathLike[str], mode: str = "RGB", size: Pair | None = None) -> NDArray[Any]:
    """An image file as an array.

    Parameters
    ----------
    path : path of the file (PNG, JPEG, BMP, GIF, TIFF, WebP, PPM)
    mode : "RGB" or "L" (grey)
    size : int or (height, width), optional
        Resize to it (bilinear, with antialiasing, as Pillow does).

    Returns
    -------
    uint8 (C, H, W)

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Not an image, truncated, corrupt, or more than 100 million pixels (checked before decoding).
    """
    from PIL import Image

    if mode not in ("RGB", "L"):
        raise checks.value_error("read_image", f"mode must be 'RGB' or 'L', got {mode!r}")
    where = str(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f"read_image: file does not exist [path={where!r}]")
    shape = None if size is None else checks.pair("read_image", "size", size, least=1)
    try:
        quiet = warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning)
        with quiet, Image.open(path, formats=_FORMATS) as image:  # the limit below is ours
            width, height = image.size
            array = None if width * height > _MOST_PIXELS else _decoded(image, mode, shape)
    except (*_CORRUPT, Image.DecompressionBombError) as error:
        reason = str(error).replace(where, "it")
        raise checks.value_error(
            "read_image", f"the image is corrupt, truncated or not an image ({reason})", path=where
        ) from error
    if array is None:
        raise checks.value_error("read_image", f"{width} x {height} pixels are too many", path=where)
    return array[None] if mode == "L" else np.ascontiguousarray(array.transpose(2, 0, 1))


def _decoded(image: Any, mode: str, shape: tuple[int, int] | None) -> NDArray[np.uint8]:
    converted = image.convert(mode)
    if shape is not None:
        from PIL import Image

        converted = converted.resize(shape[::-1], Image.Resampling.BILINEAR)
    return np.array(converted, np.uint8)


class ImageFolder:
    """A dataset of ``root/class/.../image.ext``: classes and items in sorted order.

    Parameters
    ----------
    root : folder with one sub-folder per class
    mode : "RGB" or "L"
    size : int or (height, width), optional
        Resize every image to it; without it a batch needs images of one size, or a transform that makes
        them so.
    transform : callable, optional
        On the uint8 image (C, H, W).

    Attributes
    ----------
    classes : list of str
        Names of the sub-folders; an item's label is its position here.
    items : list of (path, label)

    Raises
    ------
    FileNotFoundError
        The folder is missing, or holds no class folder.
    ValueError
        A class folder holds no image.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        mode: str = "RGB",
        size: Pair | None = None,
        transform: Apply | None = None,
    ) -> None:
        self.root = files.folder("ImageFolder", Path(root))
        self.mode, self.transform = mode, transform
        self.size = None if size is None else checks.pair("ImageFolder", "size", size, least=1)
        if mode not in ("RGB", "L"):
            raise checks.value_error("ImageFolder", f"mode must be 'RGB' or 'L', got {mode!r}")
        self.classes = sorted(p.name for p in self.root.iterdir() if p.is_dir() and not p.name.startswith("."))
        if not self.classes:
            raise FileNotFoundError(f"ImageFolder: no class folders [root={str(self.root)!r}]")
        self.items: list[tuple[Path, int]] = []
        for label, name in enumerate(self.classes):
            images = _images_below(self.root / name)
            if not images:
                raise checks.value_error(
                    "ImageFolder",
                    f"class folder {name!r} holds no image ({' '.join(SUFFIXES)})",
                    root=str(self.root),
                )
            self.items += [(path, label) for path in images]
        self.labels = np.array([label for _, label in self.items], np.int64)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Item:
        return self.read(index)

    def read(self, index: int, stream: Stream | None = None) -> Item:
        """Image and label number ``index``."""
        path, label = self.items[position("ImageFolder", index, len(self))]
        return apply(self.transform, read_image(path, self.mode, self.size), stream), np.int64(label)


def _images_below(folder: Path) -> list[Path]:
    found = [Path(base, name) for base, _, names in os.walk(folder) for name in names]
    return sorted(p for p in found if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
