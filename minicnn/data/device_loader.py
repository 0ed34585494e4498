"""Batches that are on the device before they are asked for: the next one is read and copied while this one is used."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from minicnn.core.device import device as find_device
from minicnn.core.tensor import Tensor


class DeviceLoader:
    """A loader whose batches are Tensors on a device, one batch ahead.

    A thread reads the next batch and begins its copy; on a GPU that goes through page-locked memory and a stream of its
    own, so reading and copying overlap with compute.

    Parameters
    ----------
    loader : iterable of tuples of arrays
        A ``DataLoader``, or anything like it.
    device : str
        Where the batches go.

    Notes
    -----
    ``state_dict`` counts the batches handed out, not the one that is already under way: a run that is saved and resumed
    misses none. An error of the loader surfaces at the batch it belongs to. Iterate on the stream that uses the batches
    (:func:`minicnn.cuda.stream`): their memory is reused for later ones when that stream is done with them.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.data import ArrayDataset, DataLoader, DeviceLoader
    >>> loader = DeviceLoader(DataLoader(ArrayDataset(np.arange(5)), batch_size=2), "cpu")
    >>> [batch[0].tolist() for batch in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, loader: Any, device: str) -> None:
        self.loader, self.device = loader, find_device(device)
        self._place: Any = None

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        source = iter(self.loader)
        self._place = self._loaders_place()
        uploader = self.device.backend.uploader()
        with ThreadPoolExecutor(1, thread_name_prefix="minicnn-upload") as thread:
            under_way = thread.submit(self._start, uploader, source, uploader.mark())
            try:
                while (ahead := under_way.result()) is not None:
                    started, place = ahead
                    batch = tuple(Tensor(array, self.device) for array in uploader.finish(started))
                    under_way = thread.submit(self._start, uploader, source, uploader.mark())
                    self._place = place
                    yield batch
            finally:
                under_way.exception()  # wait: a generator cannot be closed while it runs
                uploader.close()
                if hasattr(source, "close"):
                    source.close()
        self._place = None

    def _start(self, uploader: Any, source: Iterator[Any], mark: Any) -> Any:
        """The copy of the next batch begun, with the place of the loader after it; None at the end."""
        batch = next(source, None)
        return None if batch is None else (uploader.start([np.asarray(a) for a in batch], mark), self._loaders_place())

    def _loaders_place(self) -> Any:
        return self.loader.state_dict() if hasattr(self.loader, "state_dict") else None

    def state_dict(self) -> Any:
        """Where the loader stands after the batches handed out so far."""
        return self._loaders_place() if self._place is None else self._place

    def load_state_dict(self, state: Any) -> None:
        """Continue where :meth:`state_dict` was taken."""
        self.loader.load_state_dict(state)
        self._place = None
