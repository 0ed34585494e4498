"""Batches from a dataset, fetched ahead by threads, in an order that depends on seed and epoch alone.

Threads read and transform whole batches while the network computes (NumPy, Pillow and zlib release the
GIL). The batches come out in order, and what a random transform draws depends on (seed, epoch, position),
so any number of workers gives the same bytes. The position is two numbers, epoch and batch: ``state_dict``
in the middle of an epoch and ``load_state_dict`` later continue with exactly the next batch.
"""

import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.core import checks, rng
from minicnn.core.rng import Stream
from minicnn.data.dataset import Dataset, Item, read_item
from minicnn.data.samplers import Batches, BatchSampler, RandomSampler, Sampler, SequentialSampler

Batch = tuple[Any, ...]


def collate(items: Sequence[Item]) -> Batch:
    """Items as one batch: element ``k`` of all items stacked (Python floats become float32, ints int64).

    Raises
    ------
    ValueError
        Elements of different shapes, or items of different lengths.
    """
    if len({len(item) for item in items}) > 1:
        raise checks.value_error("collate", f"items have different lengths {sorted({len(i) for i in items})}")
    return tuple(_stack(k, column) for k, column in enumerate(zip(*items, strict=True)))


def _stack(k: int, column: Sequence[Any]) -> NDArray[Any]:
    arrays = [np.asarray(v, np.float32 if type(v) is float else None) for v in column]
    shapes = sorted({a.shape for a in arrays})
    if len(shapes) > 1:
        raise checks.value_error(
            "collate",
            f"element {k} has different shapes in one batch: {shapes[:4]}; resize or crop, or pass collate",
        )
    return np.stack(arrays)


class DataLoader:
    """Batches of a dataset.

    Parameters
    ----------
    dataset : Dataset
    batch_size : int
    shuffle : bool
        A new order in every epoch.
    sampler : Sampler, optional
        Orders the items in place of ``shuffle``.
    batch_sampler : Batches, optional
        Makes the batches in place of ``batch_size``, ``shuffle``, ``sampler`` and ``drop_last``.
    num_workers : int
        Threads that fetch ahead; 0 reads in the caller's thread. The batches are the same.
    collate_fn : callable, optional
        Makes a batch of a list of items (default :func:`collate`).
    drop_last : bool
        Leave out a last batch that is not full.
    prefetch_factor : int
        Batches ready or under way per worker.
    seed : int, optional
        Of the order and of random transforms; by default the global seed (``manual_seed``) at construction.

    Notes
    -----
    Each ``iter(loader)`` is the next epoch; after ``load_state_dict`` the first one continues in the
    middle. A worker's exception surfaces at the batch it belongs to, once, and names the item. Leaving the
    loop early stops the threads.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.data import ArrayDataset, DataLoader
    >>> loader = DataLoader(ArrayDataset(np.arange(10)), batch_size=4)
    >>> [batch[0].tolist() for batch in loader]
    [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Sampler | None = None,
        batch_sampler: Batches | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Sequence[Item]], Batch] | None = None,
        drop_last: bool = False,
        *,
        prefetch_factor: int = 2,
        seed: int | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("num_workers", num_workers)):
            if not isinstance(value, int | np.integer):
                raise checks.type_error("DataLoader", f"{name} must be an int, got {value!r}")
        if num_workers < 0 or prefetch_factor < 1:
            raise checks.value_error(
                "DataLoader",
                "num_workers must be >= 0 and prefetch_factor >= 1",
                num_workers=num_workers,
                prefetch_factor=prefetch_factor,
            )
        if batch_sampler is not None and (sampler is not None or shuffle or drop_last or batch_size != 1):
            raise checks.value_error("DataLoader", "batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        if sampler is not None and shuffle:
            raise checks.value_error("DataLoader", "sampler and shuffle exclude each other")
        if batch_sampler is None:
            if sampler is None:
                sampler = RandomSampler(len(dataset)) if shuffle else SequentialSampler(len(dataset))
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset, self.batch_sampler = dataset, batch_sampler
        self.num_workers, self.prefetch_factor = num_workers, prefetch_factor
        self.collate_fn = collate_fn
        self.seed = int(rng.get_state()["seed"]) if seed is None else seed
        self._position = (0, 0)  # epoch, batches of it already handed out
        self._fresh = True  # the next iter() starts at _position instead of the epoch after it
        self._known: tuple[int, dict[str, int]] | None = None  # seed and fingerprint under it

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        epoch, start = self._position if self._fresh else (self._position[0] + 1, 0)
        self._position, self._fresh = (epoch, start), False
        return self._batches(epoch, start)

    def seek(self, epoch: int, batch: int = 0) -> None:
        """Let the next ``iter()`` start at that batch of that epoch."""
        if epoch < 0 or not 0 <= batch <= len(self):
            raise checks.value_error("DataLoader", f"cannot start at epoch {epoch}, batch {batch}", batches=len(self))
        self._position, self._fresh = (epoch, batch), True

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands, after the batches handed out so far."""
        epoch, batch = self._position
        return {"epoch": epoch, "batch": batch, "seed": self.seed, **self._fingerprint(self.seed)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue where :meth:`state_dict` was taken.

        Raises
        ------
        ValueError
            If number of items, batch size or sampler differ: the order would not be the same.
        """
        lacking = [name for name in ("epoch", "batch", "seed") if name not in state]
        if lacking:
            raise checks.value_error("DataLoader", f"the state lacks {', '.join(lacking)}")
        here = self._fingerprint(state["seed"])
        for name in ("items", "batch_size", "batches"):
            if state.get(name, here[name]) != here[name]:
                message = f"the state is of a loader with {state[name]} {name}, this one has {here[name]}"
                raise checks.value_error("DataLoader", message.replace("batch_size", "items in a batch"))
        if state.get("order", here["order"]) != here["order"]:
            message = "the state is of a loader with another sampler: under its seed this one gives other batches"
            raise checks.value_error("DataLoader", message, sampler=type(self._sampler()).__name__)
        self.seek(state["epoch"], state["batch"])
        self.seed = state["seed"]

    def _sampler(self) -> Any:
        return getattr(self.batch_sampler, "sampler", self.batch_sampler)

    def _fingerprint(self, seed: int) -> dict[str, int]:
        """What a loader must share with another one to give the same batches; ``order`` sums up the first epoch's."""
        if self._known is None or self._known[0] != seed:
            plan = [np.asarray(indices, np.int64) for indices in self.batch_sampler.batches(0, seed)]
            order = 0
            for indices in plan:
                order = zlib.crc32(indices.tobytes(), zlib.crc32(len(indices).to_bytes(8, "little"), order))
            size = len(plan[0]) if plan else 0
            counts = {"items": len(self.dataset), "batch_size": size, "batches": len(self), "order": order}
            self._known = (seed, counts)
        return self._known[1]

    def _batches(self, epoch: int, start: int) -> Iterator[Batch]:
        plan = self.batch_sampler.batches(epoch, self.seed)
        todo = range(start, len(plan))
        source = self._ahead(plan, todo, epoch) if self.num_workers else (self._fetch(plan[k], epoch, k) for k in todo)
        with closing(source):
            for k, batch in zip(todo, source, strict=True):
                self._position = (epoch, k + 1)  # before the caller sees the batch: its state_dict counts it
                yield batch
        self.seek(epoch + 1)

    def _ahead(self, plan: list[NDArray[np.int64]], todo: range, epoch: int) -> Generator[Batch, None, None]:
        """The batches of ``todo`` in order, fetched by threads a few batches ahead."""
        ahead: deque[Future[Batch]] = deque()
        upcoming = iter(todo)
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="minicnn-loader")
        try:
            for _ in todo:
                while len(ahead) < self.num_workers * self.prefetch_factor:
                    following = next(upcoming, None)
                    if following is None:
                        break
                    ahead.append(pool.submit(self._fetch, plan[following], epoch, following))
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _stream(self, purpose: str, epoch: int, k: int, place: int = 0) -> Stream:
        """A stream of its own for a batch, or an item of it: 256 calls before it meets the next one's."""
        return Stream(self.seed, purpose, (epoch << 48) | (k << 24) | (place << 8))

    def _fetch(self, indices: NDArray[np.int64], epoch: int, k: int) -> Batch:
        """Batch ``k`` of that epoch; runs in a worker."""
        read_batch = getattr(self.dataset, "read_batch", None) if self.collate_fn is None else None
        if read_batch is not None:
            try:
                return tuple(read_batch(indices, self._stream("loader.batch", epoch, k)))
            except Exception as error:
                raise _named(error, f"a batch of items {_few(indices)}", epoch, k) from error
        items = []
        for place, index in enumerate(indices.tolist()):
            stream = self._stream("loader.item", epoch, k, place)
            try:
                items.append(read_item(self.dataset, index, stream))
            except Exception as error:
                raise _named(error, f"item {index}", epoch, k) from error
        try:
            return collate(items) if self.collate_fn is None else self.collate_fn(items)
        except Exception as error:
            raise _named(error, f"a batch of items {_few(indices)}", epoch, k) from error


def _few(indices: NDArray[np.int64]) -> str:
    shown = ", ".join(str(i) for i in indices[:6].tolist())
    return f"({shown}{', ...' if len(indices) > 6 else ''})"


def _named(error: Exception, what: str, epoch: int, k: int) -> Exception:
    """The error of a worker with the item in its message, as a built-in class that callers can catch."""
    for kind in (FileNotFoundError, ValueError, TypeError, IndexError, OSError):
        if isinstance(error, kind):
            return kind(f"DataLoader: {what} could not be read: {error} [epoch={epoch}, batch={k}]")
    return RuntimeError(
        f"DataLoader: {what} could not be read: {type(error).__name__}: {error} [epoch={epoch}, batch={k}]"
    )
