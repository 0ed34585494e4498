"""CIFAR-10 and CIFAR-100 in their binary format: records of label byte(s), then 3072 pixels."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.core import checks
from minicnn.data import files
from minicnn.data.dataset import ArrayDataset
from minicnn.data.transforms import Apply

_PIXELS = 3 * 32 * 32
_MOST_RECORDS = 1_000_000  # the published files hold 10 000 or 50 000


def read_records(path: str | os.PathLike[str], labels: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Label bytes and images of one binary file.

    Parameters
    ----------
    path : path of the file
    labels : int
        Label bytes before each image: 1 in CIFAR-10, 2 (coarse, fine) in CIFAR-100.

    Returns
    -------
    labels uint8 (N, labels), images uint8 (N, 3, 32, 32) in RGB

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        The size is not a whole number of records.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"cifar: file does not exist [path={str(path)!r}]")
    record, size = labels + _PIXELS, path.stat().st_size
    if size == 0 or size % record or size > record * _MOST_RECORDS:
        raise checks.value_error(
            "cifar",
            f"{size} bytes are not a whole number of records of {record} bytes: truncated, or not CIFAR",
            path=str(path),
        )
    rows = np.frombuffer(files.read("cifar", path, size), np.uint8).reshape(-1, record)
    return rows[:, :labels].copy(), rows[:, labels:].reshape(-1, 3, 32, 32).copy()


def cifar10(folder: str | os.PathLike[str], split: str = "train", *, transform: Apply | None = None) -> ArrayDataset:
    """CIFAR-10 from the folder of ``data_batch_1.bin`` ... ``data_batch_5.bin`` and ``test_batch.bin``.

    Parameters
    ----------
    folder : folder that holds the files (or ``cifar-10-batches-bin`` inside it)
    split : "train" or "test"
    transform : callable, optional
        On images uint8 (3, 32, 32).

    Returns
    -------
    ArrayDataset of (image uint8 (3, 32, 32), label int64 in 0..9)
    """
    names = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
    return _load("cifar10", folder, "cifar-10-batches-bin", names, split, transform, (10,))


def cifar100(
    folder: str | os.PathLike[str],
    split: str = "train",
    *,
    coarse: bool = False,
    transform: Apply | None = None,
) -> ArrayDataset:
    """CIFAR-100 from the folder of ``train.bin`` and ``test.bin``.

    Parameters
    ----------
    folder : folder that holds the files (or ``cifar-100-binary`` inside it)
    split : "train" or "test"
    coarse : bool
        The 20 superclasses in place of the 100 classes.
    transform : callable, optional
        On images uint8 (3, 32, 32).

    Returns
    -------
    ArrayDataset of (image uint8 (3, 32, 32), label int64)
    """
    names = {"train": ["train.bin"], "test": ["test.bin"]}
    return _load("cifar100", folder, "cifar-100-binary", names, split, transform, (20, 100), 0 if coarse else 1)


def _load(
    op: str,
    folder: str | os.PathLike[str],
    inner: str,
    names: dict[str, list[str]],
    split: str,
    transform: Apply | None,
    classes: tuple[int, ...],
    which: int = 0,
) -> ArrayDataset:
    if split not in names:
        raise checks.value_error(op, f"split must be 'train' or 'test', got {split!r}")
    root = files.folder(op, folder)
    root = root / inner if (root / inner).is_dir() else root
    parts = [read_records(files.one_of(op, root, name), len(classes)) for name in names[split]]
    labels, images = (np.concatenate(column) for column in zip(*parts, strict=True))
    for column, limit in zip(labels.T, classes, strict=True):
        if column.max() >= limit:
            raise checks.value_error(op, f"label {column.max()} is out of range for {limit} classes", folder=str(root))
    return ArrayDataset(images, labels[:, which].astype(np.int64), transform=transform)
