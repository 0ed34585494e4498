"""What concerns the GPU as a whole: whether there is one, waiting for it, its memory, its streams.

Tensors go there by ``x.to("cuda")``; nothing here is needed for that. Names are those of ``torch.cuda``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minicnn.core.device import device


def why_not() -> str | None:
    """The first missing link of the chain and what to do about it; None if all are there.

    The chain is CuPy 14 or later, the driver, a visible device, CUDA's headers with NVRTC, and cuBLAS.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.cuda.is_available() == (mc.cuda.why_not() is None)
    True
    """
    from minicnn.backends.cuda.detection import missing_link

    return missing_link()


def is_available() -> bool:
    """Whether ``"cuda"`` can be used here."""
    return why_not() is None


def synchronize() -> None:
    """Wait until all that was launched is done; without it a clock measures launches, not work.

    Raises
    ------
    DeviceUnavailableError
        Where there is no GPU.
    """
    device("cuda").backend.runtime.synchronize()


def memory_stats() -> dict[str, int]:
    """Bytes of the device and of the pool that keeps freed memory for reuse.

    Returns
    -------
    dict
        ``used`` by arrays that live, ``pooled`` kept by the pool (``used`` is part of it), ``pinned_blocks`` free
        blocks of page-locked host memory, ``free`` and ``total`` of the device.
    """
    stats: dict[str, int] = device("cuda").backend.runtime.memory_stats()
    return stats


def empty_cache() -> None:
    """Give the pool's unused memory back to the device."""
    device("cuda").backend.runtime.empty_cache()


@contextmanager
def stream(of: Any = None) -> Iterator[Any]:
    """Launch what is called inside on a stream of its own, beside that of the caller.

    Parameters
    ----------
    of : cupy.cuda.Stream, optional
        The stream to use; a new one by default, which the block gets.

    Notes
    -----
    It begins after all that the caller's stream was given before, and the caller's stream goes on after it, so results
    can be used as usual. What runs side by side is what other streams do meanwhile.
    """
    with device("cuda").backend.runtime.stream(of) as entered:
        yield entered


@contextmanager
def atomics() -> Iterator[None]:
    """Let what adds at indices use float atomics inside: faster, and not the same from run to run.

    By default every kernel has one order of its sums. Here ``scatter_add``, ``scatter_flat`` and the gradients of
    indexing by Tensors, ``gather``, ``take``, ``index_select``, embeddings, RoI pooling and RoIAlign add as their
    threads come, and so do third derivatives of max-pooling; what differs is rounding. It concerns GPUs, emulated ones
    too, and what the present thread launches.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([1.0, 2.0], requires_grad=True)
    >>> with mc.cuda.atomics():
    ...     x[[0, 0, 1]].sum().backward()
    >>> x.grad.tolist()
    [2.0, 1.0]
    """
    from minicnn.backends.cuda import seam

    with seam.atomics():
        yield


__all__ = ["atomics", "empty_cache", "is_available", "memory_stats", "stream", "synchronize", "why_not"]
