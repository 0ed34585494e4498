"""What this machine can do, measured beside the contenders: its matrix product's peak and its copy bandwidth.

A work of F operations that must move B bytes takes at least ``max(F / peak, B / bandwidth)`` seconds.
"""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from minicnn.bench.desk import Desk, WorkError
from minicnn.bench.worker import Handler, Work
from minicnn.core.device import device as find_device
from minicnn.core.types import Array

SIDE = 2048  # of the matrices: 2 N^3 operations, far more than what packing them costs
DEVICE_SIDE, DEVICE_COPIED = 8192, 1 << 30  # on a GPU, whose cache is tens of megabytes
COPIED = 1 << 26  # bytes a thread: twice a large last-level cache


def provide(name: str, threads: int) -> Mapping[str, Handler]:
    """The works ``gemm`` (NumPy's BLAS on all threads) and ``copy`` (each thread its own part), or a device's."""
    device = name.partition("@")[2] or "cpu"

    def prepare(kind: str, dtype: str) -> Work:
        if device != "cpu":
            return _on_device(kind, dtype, device)
        return _gemm(dtype) if kind == "gemm" else _copy(threads)

    return {"prepare": prepare}


def _on_device(kind: str, dtype: str, name: str) -> Work:
    """The device's matrix product (cuBLAS) and a copy within its memory."""
    place = find_device(name)
    side = SIDE if name != "cuda" else DEVICE_SIDE
    if kind == "gemm":  # of random numbers: constant ones take less power, and the clock rises
        draw = np.random.default_rng(0)
        a, b = (place.xp.array(draw.standard_normal((side, side)).astype(dtype)) for _ in range(2))
        return Work(lambda: place.xp.matmul(a, b), {"amount": 2 * side**3}, place.backend.runtime.clock)
    size = DEVICE_COPIED if name == "cuda" else COPIED
    source, target = (place.xp.zeros(size, np.uint8) for _ in range(2))
    return Work(lambda: place.xp.copyto(target, source), {"amount": 2 * size}, place.backend.runtime.clock)


def _gemm(dtype: str) -> Work:
    draw = np.random.default_rng(0)
    a, b = (draw.standard_normal((SIDE, SIDE)).astype(dtype) for _ in range(2))
    out = np.empty_like(a)
    return Work(lambda: np.matmul(a, b, out=out), {"amount": 2 * SIDE**3})


def _copy(threads: int) -> Work:
    pairs = [(np.ones(COPIED, np.uint8), np.zeros(COPIED, np.uint8)) for _ in range(threads)]

    def part(source: Array, target: Array) -> None:
        for _ in range(4):  # so that starting a thread does not count
            np.copyto(target, source)

    def work() -> None:
        others = [threading.Thread(target=part, args=pair) for pair in pairs[1:]]
        for other in others:
            other.start()
        part(*pairs[0])
        for other in others:
            other.join()

    return Work(work, {"amount": 2 * 4 * threads * COPIED})


def best(first: dict[str, float], desk: Desk, dtype: str) -> dict[str, float]:
    """The better of a first measurement and a second one. Without an answer it is empty: contenders need no roof."""
    try:
        again = measure(desk, dtype)
    except WorkError:
        return first
    return {unit: max(value, first.get(unit, 0.0)) for unit, value in again.items()}


def measure(desk: Desk, dtype: str, rounds: int = 5) -> dict[str, float]:
    """The best of some rounds of each: ``flops`` and ``bytes`` a second.

    The best, since a roof is what can be reached; everything else in a result is a median.
    """
    found = {}
    for kind, unit in (("gemm", "flops"), ("copy", "bytes")):
        facts: dict[str, Any] = desk.ask("prepare", key=kind, kind=kind, dtype=dtype)
        run = desk.runner(kind)
        run(1)
        found[unit] = facts["amount"] / min(run(1) for _ in range(rounds))
    desk.ask("drop")
    return found
