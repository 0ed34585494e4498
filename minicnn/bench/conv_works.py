"""What a contender's process does for ``minicnn bench conv``: check a pass of a layer, then offer it to be timed."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from minicnn.backends.convolution import in_dtype
from minicnn.bench import gate, peers, process_memory
from minicnn.bench.desk import Answer, Cannot
from minicnn.bench.layers import Layer, parse
from minicnn.bench.worker import Handler, Work, host_clock
from minicnn.core.types import Array

COPIES = 2  # of the weights, one a call in turn: what was made from one set of weights is of no use for the next
TF32_ERROR = 4e-3  # of sums whose factors have 10 bits, whatever an algorithm states of itself in float32
ROTATED = 192 << 20  # bytes of operands that a device goes through in turn, so that its cache holds none of them
MOST_COPIES = 4096  # of small operands, for which launching takes longer than reading them


def provide(name: str, threads: int) -> Mapping[str, Handler]:
    """The requests that the process of a library answers."""
    library, _, device = name.partition("@")
    peer: Any = peers.load(library)
    peer.start(threads, device or "cpu")
    elsewhere = device not in {"", "cpu"}
    kept: dict[tuple[str, ...], tuple[Any, ...]] = {}
    asked: dict[tuple[Any, ...], list[gate.Question]] = {}

    def prepare(
        layer: str, which: str, dtype: str, algorithm: str, samples: int = gate.SAMPLES, transfers: bool = False
    ) -> Work:
        chosen = parse(layer)
        reason = peer.cannot(which, chosen, dtype)
        if reason:
            raise Cannot(reason)

        facts = peer.facts(which, chosen, dtype, algorithm) if hasattr(peer, "facts") else {}
        bound = in_dtype(facts.get("bound", gate.FOREIGN_BOUND), np.dtype(dtype).itemsize)
        if elsewhere and os.environ.get("CUPY_TF32") == "1":
            bound = max(bound, TF32_ERROR)
        work = (chosen.notation, which, dtype, samples)
        if work not in asked:
            asked[work] = gate.questions(which, chosen, dtype, samples)
        compute = _computing(peer, lambda at: peer.make(which, at, algorithm))
        verdict = gate.check(compute, which, chosen, dtype, samples, asked[work])
        error = verdict.error
        if which == "forward" and hasattr(peer, "fused"):  # what a layer of a network runs: with bias and ReLU
            error = max(error, gate.check_fused(_computing(peer, lambda at: peer.fused(at, algorithm)), chosen, dtype))
        facts |= {
            "error": min(error, 1e300), "bound": bound, "wrong": not error <= bound,
            "jit": max(0.0, verdict.small_first - verdict.small_second), "first": verdict.first,
        }
        if transfers:  # from the host and back, waited for
            a, b = gate.operands(which, chosen, dtype)
            return Work(lambda: compute(chosen, a, b)(), facts | {"peak_bytes": None})  # noqa: PLW0108 - copies each time
        call = _work(chosen, which, dtype, algorithm)
        facts["peak_bytes"] = None if elsewhere else _peak(call)
        return Work(call, facts, peer.clock if elsewhere else host_clock)

    def _work(layer: Layer, which: str, dtype: str, algorithm: str) -> Any:
        key = (layer.notation, which, dtype)
        if key not in kept:
            a, b = gate.operands(which, layer, dtype)
            copies = 1 if which == "weight_grad" else COPIES
            if elsewhere:
                copies = min(-(-ROTATED // (a.nbytes + b.nbytes)), MOST_COPIES)
            firsts = [peer.into(a) for _ in range(copies if elsewhere else 1)]
            kept[key] = (firsts, [peer.into(b if i == 0 else b.copy()) for i in range(copies)])
        firsts, others = kept[key]
        call, turn = peer.make(which, layer, algorithm), 0

        def work() -> None:
            nonlocal turn
            turn += 1
            call(firsts[turn % len(firsts)], others[turn % len(others)])

        return work

    def resolve(layer: str, which: str, algorithm: str, max_error: float | None) -> Answer:
        return {"name": peer.resolve(which, parse(layer), algorithm, max_error)}

    def algorithms(layer: str, which: str) -> Answer:
        return {"names": peer.algorithms(which, parse(layer))}

    def drop() -> None:
        kept.clear()
        asked.clear()

    served: dict[str, Handler] = {"prepare": prepare, "resolve": resolve, "algorithms": algorithms, "drop": drop}
    return served | ({"alive": partial(_alive, peer)} if elsewhere else {})


def _alive(peer: Any) -> Answer:
    peer.clock(lambda: None, 1)  # waits for what was launched before, which may still fail
    return {}


def _computing(peer: Any, make: Callable[[Layer], Callable[..., Any]]) -> gate.Compute:
    """From a layer and host arrays, which it copies to the peer, to the call that computes a host array."""

    def compute(at: Layer, *given: Array) -> Callable[[], Array]:
        call, operands = make(at), [peer.into(array) for array in given]
        return lambda: peer.back(call(*operands))

    return compute


def _peak(work: Any) -> int | None:
    """How far one call raises the memory that the process holds: result, scratch, and what its allocator keeps."""
    process_memory.give_back()
    before = process_memory.resident()
    if before is None or not process_memory.forget_peak():
        return None
    work()
    top = process_memory.peak()
    return None if top is None else max(0, top - before)
