"""Which items, in which order: samplers are pure functions of (seed, epoch).

A sampler holds no state, so the order of any epoch can be asked at any time, and a run resumed in the
middle of an epoch needs to remember two numbers only. ``Sampler.indices`` orders items;
``BatchSampler.batches`` groups them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from minicnn.core import checks
from minicnn.core.rng import Stream

Indices = NDArray[np.int64]
Quotas = Mapping[int, int]


@runtime_checkable
class Sampler(Protocol):
    """Orders the items of one epoch."""

    def __len__(self) -> int: ...

    def indices(self, epoch: int, seed: int) -> Indices:
        """The items of that epoch, in order."""
        ...


@runtime_checkable
class Batches(Protocol):
    """Groups the items of one epoch into batches; ``len`` is their number."""

    def __len__(self) -> int: ...

    def batches(self, epoch: int, seed: int) -> list[Indices]:
        """The batches of that epoch, in order."""
        ...


class SequentialSampler:
    """Items 0, 1, ..., n-1 in every epoch."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def indices(self, epoch: int, seed: int) -> Indices:
        """``range(n)``, whatever the epoch."""
        return np.arange(self.n)


class RandomSampler:
    """A new order in every epoch.

    Parameters
    ----------
    n : int
        Number of items.
    replacement : bool
        Draw each item independently instead of permuting all of them (A17's setting for its variance check).
    samples : int, optional
        Items per epoch when drawn with replacement (default ``n``).

    Notes
    -----
    Epoch ``e`` is call ``e`` of the stream ``"shuffle"`` under the seed: no other draw can shift it.
    """

    def __init__(self, n: int, replacement: bool = False, samples: int | None = None) -> None:
        if samples is not None and not replacement:
            raise checks.value_error("RandomSampler", "samples needs replacement=True", samples=samples)
        if replacement and n < 1:
            raise checks.value_error("RandomSampler", "cannot draw from no items", n=n)
        self.n, self.replacement, self.samples = n, replacement, n if samples is None else samples

    def __len__(self) -> int:
        return self.samples

    def indices(self, epoch: int, seed: int) -> Indices:
        """The order of that epoch."""
        stream = Stream(seed, "shuffle", epoch)
        return stream.integers(0, self.n, self.samples) if self.replacement else stream.permutation(self.n)


class BatchSampler:
    """Consecutive items of a sampler, ``batch_size`` at a time.

    Parameters
    ----------
    sampler : Sampler
    batch_size : int, at least 1
    drop_last : bool
        Leave out a last batch that is not full.
    """

    def __init__(self, sampler: Sampler, batch_size: int, drop_last: bool = False) -> None:
        if not isinstance(batch_size, int | np.integer):
            raise checks.type_error("BatchSampler", f"batch_size must be an int, got {batch_size!r}")
        if batch_size < 1:
            raise checks.value_error("BatchSampler", f"batch_size must be at least 1, got {batch_size}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __len__(self) -> int:
        n = len(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def batches(self, epoch: int, seed: int) -> list[Indices]:
        """The sampler's order, cut."""
        order = self.sampler.indices(epoch, seed)
        return [order[k * self.batch_size : (k + 1) * self.batch_size] for k in range(len(self))]


class BalancedBatchSampler:
    """Batches with a fixed number of items of each class (catalogue entry A18).

    Parameters
    ----------
    labels : int array (N,)
        Class of every item.
    quotas : mapping class -> items per batch, or a schedule
        A schedule is a function ``epoch -> mapping``, or a sequence of mappings of which the last one stays.
    batches : int, optional
        Batches per epoch; by default ``N // batch size`` of the first epoch, at least 1.
    rare : "replacement" or "passes"
        What to do with a class that is asked for more items in an epoch than it has: draw them independently,
        or go through them again and again in new orders.

    Raises
    ------
    ValueError
        A quota for a class without items, a negative quota, an empty batch.

    Notes
    -----
    A class that is not rare goes through its items in random order, and every item appears once before any
    appears again; the pass continues from one epoch to the next. Order inside a batch is random.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.data import BalancedBatchSampler
    >>> labels = np.array([0] * 99 + [1])
    >>> batch = BalancedBatchSampler(labels, {0: 16, 1: 16}).batches(epoch=0, seed=0)[0]
    >>> np.bincount(labels[batch])
    array([16, 16])
    """

    def __init__(
        self,
        labels: Sequence[int] | NDArray[Any],
        quotas: Quotas | Sequence[Quotas] | Callable[[int], Quotas],
        *,
        batches: int | None = None,
        rare: str = "replacement",
    ) -> None:
        self.labels = np.asarray(labels)
        if self.labels.ndim != 1 or self.labels.dtype.kind not in "iu" or not self.labels.size:
            raise checks.value_error("BalancedBatchSampler", "labels must be ints (N,), N >= 1", labels=self.labels)
        if rare not in ("replacement", "passes"):
            raise checks.value_error("BalancedBatchSampler", f"rare must be 'replacement' or 'passes', got {rare!r}")
        self.members = {int(c): np.flatnonzero(self.labels == c) for c in np.unique(self.labels)}
        self.schedule, self.rare = quotas, rare
        size = sum(self.quotas(0).values())
        self.n = max(1, len(self.labels) // size) if batches is None else batches
        if self.n < 1:
            raise checks.value_error("BalancedBatchSampler", f"batches must be at least 1, got {batches}")

    def __len__(self) -> int:
        return self.n

    def quotas(self, epoch: int) -> dict[int, int]:
        """Items per batch of each class in that epoch."""
        schedule = self.schedule
        if callable(schedule):
            chosen = schedule(epoch)
        elif isinstance(schedule, Mapping):
            chosen = schedule
        elif not len(schedule):
            raise checks.value_error("BalancedBatchSampler", "quotas are an empty sequence: no epoch has any")
        else:
            chosen = schedule[min(epoch, len(schedule) - 1)]
        quotas = {int(c): int(q) for c, q in sorted(chosen.items())}
        for c, q in quotas.items():
            if q < 0 or (q and c not in self.members):
                problem = "is negative" if q < 0 else "asks for a class that has no items"
                raise checks.value_error("BalancedBatchSampler", f"quota {q} of class {c} {problem}", epoch=epoch)
        if not sum(quotas.values()):
            raise checks.value_error("BalancedBatchSampler", "quotas make an empty batch", epoch=epoch)
        return quotas

    def batches(self, epoch: int, seed: int) -> list[Indices]:
        """The batches of that epoch."""
        columns = [self._drawn(c, q, epoch, seed).reshape(self.n, q) for c, q in self.quotas(epoch).items()]
        rows = np.concatenate(columns, axis=1)
        mix = np.argsort(Stream(seed, "balanced.mix", epoch).uniform(rows.shape), axis=1, kind="stable")
        return list(np.take_along_axis(rows, mix, axis=1))

    def _drawn(self, c: int, quota: int, epoch: int, seed: int) -> Indices:
        """All items of class ``c`` in that epoch."""
        members, wanted = self.members.get(c, np.empty(0, np.int64)), quota * self.n
        if wanted > len(members) and self.rare == "replacement":
            return members[Stream(seed, f"balanced.{c}.rare", epoch).integers(0, len(members), wanted)]
        if not wanted:
            return members[:0]
        first = self.n * sum(self.quotas(e).get(c, 0) for e in range(epoch))  # passes go on across epochs
        last = first + wanted
        passes = range(first // len(members), -(-last // len(members)))
        order = np.concatenate([Stream(seed, f"balanced.{c}", p).permutation(len(members)) for p in passes])
        start = first - passes[0] * len(members)
        drawn: Indices = members[order[start : start + wanted]]
        return drawn
