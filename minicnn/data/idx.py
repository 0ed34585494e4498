"""The IDX format of MNIST and its relatives: a type, the sizes, then the numbers in big-endian order.

Layout: two zero bytes, a type byte, the number of axes, one uint32 per axis, the data. Files may be gzipped.
"""

import gzip
import math
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.core import checks
from minicnn.data import files
from minicnn.data.dataset import ArrayDataset
from minicnn.data.transforms import Apply

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(name).newbyteorder("="): code for code, name in _TYPES.items()}


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The array in an IDX file, gzipped or not.

    Parameters
    ----------
    path : path of the file

    Returns
    -------
    array with the file's shape, in native byte order

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Not IDX, truncated, longer than its header says, or a header that claims more than the file can hold
        (checked before anything is allocated).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_idx: file does not exist [path={str(path)!r}]")
    where = str(path)
    head = files.read("read_idx", path, 4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES:
        raise checks.value_error("read_idx", f"not an IDX file: starts with {head.hex(' ') or 'nothing'}", path=where)
    start = 4 + 4 * head[3]
    head = files.read("read_idx", path, start)
    if len(head) < start:
        raise checks.value_error("read_idx", f"truncated inside the header of {start} bytes", path=where)
    shape = struct.unpack(f">{head[3]}I", head[4:])
    dtype = np.dtype(_TYPES[head[2]])
    expected = dtype.itemsize * math.prod(shape)  # Python ints: no overflow
    if (
        start + expected > files.content_limit(path)
        or len(shape) > 32
        or math.prod(max(n, 1) for n in shape) >= 1 << 48
    ):
        raise checks.value_error(
            "read_idx",
            f"truncated: the header claims {expected} bytes, more than the file can hold",
            path=where,
            shape=shape,
        )
    data = files.read("read_idx", path, start + expected + 1)  # one more, to notice what should not be there
    if len(data) != start + expected:
        problem = "data goes on after" if len(data) > start + expected else f"truncated: {len(data) - start} of"
        raise checks.value_error("read_idx", f"{problem} the {expected} bytes of the header", path=where, shape=shape)
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def write_idx(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Write an array as IDX; a name that ends in ``.gz`` is gzipped.

    Parameters
    ----------
    path : path of the file to write
    array : array of uint8, int8, int16, int32, float32 or float64 with at most 255 axes
    """
    array = np.asarray(array)
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        raise checks.type_error("write_idx", f"IDX knows no {array.dtype}", array=array)
    content = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content += array.astype(_TYPES[code]).tobytes()
    Path(path).write_bytes(gzip.compress(content, mtime=0) if str(path).endswith(".gz") else content)


def mnist(
    folder: str | os.PathLike[str], split: str = "train", *, transform: Apply | None = None, classes: int = 10
) -> ArrayDataset:
    """MNIST, Fashion-MNIST or another dataset with the same four files.

    Looks for ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte`` (``t10k-...`` for the test split),
    with a dot before ``ubyte`` and with ``.gz`` too.

    Parameters
    ----------
    folder : folder that holds the files
    split : "train" or "test"
    transform : callable, optional
        On images (1, H, W) of uint8.
    classes : int
        Labels must be below it.

    Returns
    -------
    ArrayDataset of (image uint8 (1, H, W), label int64)

    Raises
    ------
    FileNotFoundError
        The folder or a file is missing.
    ValueError
        A file is corrupt, the two files disagree, or a label is out of range.
    """
    if split not in ("train", "test"):
        raise checks.value_error("mnist", f"split must be 'train' or 'test', got {split!r}")
    root = files.folder("mnist", folder)
    part = "train" if split == "train" else "t10k"
    found = [
        files.one_of("mnist", root, *(f"{part}-{kind}{dash}ubyte{gz}" for dash in "-." for gz in ("", ".gz")))
        for kind in ("images-idx3", "labels-idx1")
    ]
    images, labels = (read_idx(path) for path in found)
    if images.ndim != 3 or labels.ndim != 1 or images.dtype != np.uint8 or labels.dtype != np.uint8:
        raise checks.value_error("mnist", "expected bytes (N, H, W) and (N,)", images=images, labels=labels)
    if len(images) != len(labels):
        raise checks.value_error("mnist", f"{len(images)} images but {len(labels)} labels", folder=str(root))
    if labels.size and labels.max() >= classes:
        raise checks.value_error(
            "mnist", f"label {labels.max()} is out of range for {classes} classes", folder=str(root)
        )
    return ArrayDataset(images[:, None], labels.astype(np.int64), transform=transform)
