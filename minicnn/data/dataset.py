"""Datasets: anything with a length whose items are tuples of arrays, usually ``(image, label)``.

Three ways to read one item, from plain to complete:

* ``dataset[i]`` for people;
* ``dataset.read(i, stream)`` for the loader: random transforms draw from the stream it hands in, so an item
  depends on seed, epoch and position only, never on the worker that read it;
* ``dataset.read_batch(indices, stream)`` for datasets that live in memory: one fancy index instead of a loop.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from minicnn.core import checks
from minicnn.core.rng import Stream
from minicnn.data.transforms import Apply, apply

Item = tuple[Any, ...]
Indices = NDArray[np.int64]


@runtime_checkable
class Dataset(Protocol):
    """What the loader needs at least; ``read`` and ``read_batch`` are used where present."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Item: ...


def read_item(dataset: Dataset, index: int, stream: Stream | None = None) -> Item:
    """Item ``index`` through ``read`` where the dataset has one, else through ``[]``."""
    read = getattr(dataset, "read", None)
    return tuple(dataset[index] if read is None else read(index, stream))


def position(op: str, index: int, length: int) -> int:
    """``index`` as a position in ``range(length)``; negative ones count from the end."""
    if not -length <= index < length:
        raise IndexError(f"{op}: index {index} is out of range for {length} items")
    return int(index) % length


class ArrayDataset:
    """Arrays of one length, read side by side: item ``i`` is ``(a[i], b[i], ...)``.

    Parameters
    ----------
    *arrays : array (N, ...)
        Kept as given, not copied.
    transform : callable, optional
        Applied to the first array's item: ``transform(x)``, or ``transform(x, stream)`` if it is random
        (see :mod:`minicnn.data.transforms`).

    Raises
    ------
    ValueError
        No array, a 0-d array, or arrays of different lengths.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.data import ArrayDataset
    >>> data = ArrayDataset(np.arange(6).reshape(3, 2), np.array([0, 1, 0]))
    >>> len(data), data[1]
    (3, (array([2, 3]), np.int64(1)))
    """

    def __init__(self, *arrays: Any, transform: Apply | None = None) -> None:
        self.arrays = tuple(np.asarray(a) for a in arrays)
        self.transform = transform
        if not self.arrays or any(a.ndim == 0 for a in self.arrays):
            raise checks.value_error(
                "ArrayDataset", "expected at least one array, each with an item axis", n=len(arrays)
            )
        lengths = [len(a) for a in self.arrays]
        if len(set(lengths)) > 1:
            raise checks.value_error("ArrayDataset", f"arrays must have one length, got {lengths}")
        # A transform that works on a whole batch as on one image makes reading a batch a single fancy index.
        if transform is None or getattr(transform, "batched", False):
            self.read_batch = self._read_batch

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: int) -> Item:
        return self.read(index)

    def read(self, index: int, stream: Stream | None = None) -> Item:
        """Item ``index``; a random transform draws from ``stream``."""
        i = position("ArrayDataset", index, len(self))
        first, *rest = (a[i] for a in self.arrays)
        return (apply(self.transform, first, stream), *rest)

    def _read_batch(self, indices: Indices, stream: Stream | None = None) -> Item:
        first, *rest = (a[indices] for a in self.arrays)
        return (apply(self.transform, first, stream), *rest)


class Subset:
    """Some items of another dataset, in the order of ``indices``.

    Parameters
    ----------
    dataset : Dataset
    indices : sequence of int, each in ``range(len(dataset))``
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int] | NDArray[Any]) -> None:
        self.dataset = dataset
        self.indices = np.array(indices, dtype=np.int64).reshape(-1)
        if self.indices.size and (self.indices.min() < 0 or self.indices.max() >= len(dataset)):
            raise checks.value_error(
                "Subset",
                f"indices must lie in 0..{len(dataset) - 1}",
                smallest=int(self.indices.min()),
                largest=int(self.indices.max()),
            )
        inner = getattr(dataset, "read_batch", None)
        if inner is not None:
            self.read_batch = lambda indices, stream=None: inner(self.indices[indices], stream)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Item:
        return self.read(index)

    def read(self, index: int, stream: Stream | None = None) -> Item:
        """Item ``index`` of the subset."""
        return read_item(self.dataset, int(self.indices[position("Subset", index, len(self))]), stream)


class Transformed:
    """Another dataset with a transform on the first element of every item.

    Parameters
    ----------
    dataset : Dataset
    transform : callable
        As in :class:`ArrayDataset`.
    """

    def __init__(self, dataset: Dataset, transform: Apply) -> None:
        self.dataset, self.transform = dataset, transform
        inner = getattr(dataset, "read_batch", None)
        if inner is not None and getattr(transform, "batched", False):
            self.read_batch = lambda indices, stream=None: self._apply(inner(indices, stream), stream)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Item:
        return self.read(index)

    def read(self, index: int, stream: Stream | None = None) -> Item:
        """Item ``index``, transformed."""
        return self._apply(read_item(self.dataset, index, stream), stream)

    def _apply(self, item: Item, stream: Stream | None) -> Item:
        return (apply(self.transform, item[0], stream), *item[1:])
