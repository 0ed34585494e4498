"""Real handwritten digits inside the package: 1 797 images of 8 x 8, no download.

The UCI *Optical Recognition of Handwritten Digits* test set (E. Alpaydin and C. Kaynak, 1998), the copy that
scikit-learn ships, under CC BY 4.0; ``digits_LICENSE.md`` beside this file says how ``digits.npz`` was made.
"""

from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.core import checks
from minicnn.core.types import Array
from minicnn.data.dataset import ArrayDataset
from minicnn.data.transforms import Apply, Compose, Pad, Rescale, Upsample


@cache
def _load() -> dict[str, NDArray[Any]]:
    """The four arrays of the file, read once and made read-only."""
    with (
        resources.files("minicnn.data").joinpath("digits.npz").open("rb") as f,
        np.load(f, allow_pickle=False) as npz,
    ):
        arrays = {name: npz[name] for name in ("images", "labels", "train", "test")}
    for array in arrays.values():
        array.setflags(write=False)
    return arrays


def digits(split: str = "train", *, transform: Apply | None = None) -> ArrayDataset:
    """The embedded digits.

    The split is scikit-learn's ``train_test_split(test_size=0.2, stratify=labels, random_state=0)``, stored
    as indices in ascending order: 1 437 images to learn from and 360 held out.

    Parameters
    ----------
    split : "train", "test" or "all"
    transform : callable, optional
        On images uint8 (1, 8, 8); :func:`lenet_input` for LeNet-5.

    Returns
    -------
    ArrayDataset of (image uint8 (1, 8, 8) with values 0..16, label int64 in 0..9)

    Notes
    -----
    The arrays are copies: writing into them harms nobody else.

    References
    ----------
    Alpaydin, Kaynak: *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository, 1998.

    Examples
    --------
    >>> from minicnn.data import digits
    >>> train, test = digits("train"), digits("test")
    >>> len(train), len(test), train[0][0].shape
    (1437, 360, (1, 8, 8))
    """
    data = _load()
    if split == "all":
        chosen = np.arange(len(data["labels"]))
    elif split in ("train", "test"):
        chosen = data[split].astype(np.int64)
    else:
        raise checks.value_error("digits", f"split must be 'train', 'test' or 'all', got {split!r}")
    return ArrayDataset(data["images"][chosen][:, None], data["labels"][chosen].astype(np.int64), transform=transform)


def lenet_input(high: float = 16.0, factor: int = 3, size: int = 32, mode: str = "nearest") -> Compose:
    """From a small digit to LeNet-5's input: enlarge, pad to a square, background -0.1 and ink 1.175.

    Parameters
    ----------
    high : float
        Value of full ink: 16 for :func:`digits`, 255 for MNIST.
    factor : int
        Enlargement: 3 for the 8 x 8 digits (to 24 x 24), 1 for MNIST.
    size : int
        Side of the result; the margin is split evenly, the odd pixel going to the bottom and the right.
    mode : "nearest" or "bilinear"

    Returns
    -------
    Compose
        Maps (..., C, H, W) to float32 (..., C, size, size).

    Examples
    --------
    >>> from minicnn.data import digits, lenet_input
    >>> image, label = digits("train", transform=lenet_input())[0]
    >>> image.shape, round(float(image.min()), 3), int(label)
    ((1, 32, 32), -0.1, 0)
    """
    return Compose(Upsample(factor, mode), _PadTo(size), Rescale(0.0, high))


class _PadTo:
    """Zeros around an image up to a square of ``size``."""

    random, batched = False, True

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, x: Any) -> Array:
        height, width = x.shape[-2:]
        if height > self.size or width > self.size:
            raise checks.value_error(
                "lenet_input", f"image ({height}, {width}) does not fit ({self.size}, {self.size})", x=x
            )
        top, left = (self.size - height) // 2, (self.size - width) // 2
        return Pad((top, self.size - height - top, left, self.size - width - left))(x)
