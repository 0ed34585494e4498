"""Counter-based random numbers: Philox4x32-10, the same bits on every device and in any order.

A number is a pure function of (seed, purpose, call, element): the key holds the seed and a hash of the purpose
(a module path or a named stream), the counter holds the call number and the element's index. Nothing depends on
how work was split over threads, workers or devices, and the whole state is one call number per purpose.

References
----------
Salmon, Moraes, Dror, Shaw, *Parallel random numbers: as easy as 1, 2, 3*, SC 2011 (Philox4x32, 10 rounds).
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
Bits = NDArray[np.uint32]


def philox4x32(counter: NDArray[np.uint32], key: tuple[int, int], rounds: int = 10) -> Bits:
    """Philox4x32: four random words for each counter.

    Parameters
    ----------
    counter : uint32 array (4, n)
        One column for each block of four words.
    key : two ints in [0, 2**32)

    Returns
    -------
    uint32 array (4, n)
    """
    c0, c1, c2, c3 = (row.astype(np.uint64) for row in counter)
    k0, k1 = key
    for _ in range(rounds):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1),
            p0 & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3]).astype(np.uint32)


def key_of(seed: int, purpose: str) -> tuple[int, int]:
    """The Philox key of a seed (any int in [0, 2**64)) and a purpose: low seed word, hash of the rest."""
    digest = hashlib.blake2s(f"{seed >> 32}:{purpose}".encode(), digest_size=4).digest()
    return seed & 0xFFFFFFFF, int.from_bytes(digest, "little")


def bits(key: tuple[int, int], call: int, n: int) -> Bits:
    """``n`` random words of one call: word ``i`` is lane ``i % 4`` of the block with counter (i // 4, call)."""
    blocks = (n + 3) // 4
    index = np.arange(blocks, dtype=np.uint64)
    counter = np.empty((4, blocks), np.uint32)
    counter[0], counter[1] = index & _LOW, index >> _SHIFT
    counter[2], counter[3] = call & 0xFFFFFFFF, call >> 32
    return philox4x32(counter, key).T.reshape(-1)[:n]


class Stream:
    """Random numbers for one purpose; every method call takes the next call number.

    Parameters
    ----------
    seed : int in [0, 2**64)
    purpose : str
        A module path or a name such as ``"shuffle"``.
    call : int
        Number of the next call.
    """

    def __init__(self, seed: int, purpose: str, call: int = 0) -> None:
        self.seed, self.purpose, self.call = seed, purpose, call
        self.key = key_of(seed, purpose)

    def next_call(self) -> int:
        """The number of this call; the stream moves on (for backends that make the same bits themselves)."""
        with _LOCK:
            call, self.call = self.call, self.call + 1
        return call

    def bits(self, n: int) -> Bits:
        """``n`` uniform 32-bit words."""
        return bits(self.key, self.next_call(), n)

    def uniform(self, shape: int | tuple[int, ...] = ()) -> NDArray[np.float64]:
        """Float64 in [0, 1) with 53 random bits each."""
        n = int(np.prod(shape, dtype=np.int64))
        words = self.bits(2 * n).astype(np.uint64).reshape(n, 2)
        high, low = words[:, 0] >> np.uint64(5), words[:, 1] >> np.uint64(6)  # 27 + 26 bits
        return ((high * np.uint64(1 << 26) + low) * 2.0**-53).reshape(shape)

    def normal(self, shape: int | tuple[int, ...] = ()) -> NDArray[np.float64]:
        """Standard normal float64 by Box-Muller."""
        n = int(np.prod(shape, dtype=np.int64))
        u = self.uniform((2, (n + 1) // 2))
        radius, angle = np.sqrt(-2.0 * np.log1p(-u[0])), 2.0 * np.pi * u[1]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:n].reshape(shape)

    def integers(self, low: int, high: int, shape: int | tuple[int, ...] = ()) -> NDArray[np.int64]:
        """Ints in [low, high) (floor of a 53-bit uniform times the range; bias below 2**-53 times the range)."""
        return low + np.floor(self.uniform(shape) * (high - low)).astype(np.int64)

    def permutation(self, n: int) -> NDArray[np.int64]:
        """A uniform permutation of ``range(n)``: the stable order of ``n`` random 64-bit keys."""
        words = self.bits(2 * n).astype(np.uint64).reshape(n, 2)
        return np.argsort((words[:, 0] << _SHIFT) | words[:, 1], kind="stable")


_LOCK = threading.Lock()
_REPLAY = threading.local()
_SEED = 0
_STREAMS: dict[str, Stream] = {}


def manual_seed(seed: int) -> None:
    """Seed everything random in the library, and start every stream over."""
    global _SEED
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"manual_seed: seed must be in [0, 2**64), got {seed}")
    _SEED = int(seed)
    _STREAMS.clear()


def stream(purpose: str) -> Stream:
    """The global stream of that purpose under the current seed; look it up for each use, do not hold it."""
    replay: dict[str, Any] | None = getattr(_REPLAY, "state", None)
    if replay is not None:
        found = replay["streams"].get(purpose)
        if found is None:
            found = replay["streams"][purpose] = Stream(replay["seed"], purpose, replay["calls"].get(purpose, 0))
        return found  # type: ignore[no-any-return]
    found = _STREAMS.get(purpose)
    if found is None:
        found = _STREAMS[purpose] = Stream(_SEED, purpose)
    return found


@contextmanager
def replayed(state: dict[str, Any]) -> Iterator[None]:
    """Let this thread draw again what followed :func:`get_state`; global streams and other threads do not notice."""
    before = getattr(_REPLAY, "state", None)
    _REPLAY.state = {**state, "streams": {}}
    try:
        yield
    finally:
        _REPLAY.state = before


def get_state() -> dict[str, Any]:
    """Seed and next call number of every stream, as plain JSON-able values."""
    return {"seed": _SEED, "calls": {name: s.call for name, s in sorted(_STREAMS.items())}}


def set_state(state: dict[str, Any]) -> None:
    """Continue exactly where :func:`get_state` was taken."""
    manual_seed(int(state["seed"]))
    for purpose, call in state["calls"].items():
        stream(purpose).call = int(call)
