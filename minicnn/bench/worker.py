"""``python -m minicnn.bench.worker PROVIDER NAME THREADS``: one contender's process.

PROVIDER is ``module:function``; the function takes the contender's name and its threads, and returns its handlers:
requests by name, each a function of the request's arguments. ``prepare`` must be among them and give a :class:`Work`.
"""

import gc
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from minicnn.bench.desk import Answer, answer
from minicnn.bench.process_memory import page_faults

Handler = Callable[..., Any]
Clock = Callable[[Callable[[], object], int], float]


def host_clock(call: Callable[[], object], count: int) -> float:
    """Seconds that so many calls take."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - start


@dataclass
class Work:
    """What is timed, and what is known about it before; a device has a clock of its own."""

    call: Callable[[], object]
    facts: Answer = field(default_factory=dict)
    clock: Clock = host_clock


def handlers(provided: Mapping[str, Handler]) -> dict[str, Callable[..., Answer]]:
    """The provider's requests, and those that all workers answer: ``prepare``, ``run``, ``drop``."""
    works: dict[str, Work] = {}
    prepare_work, drop_more = provided["prepare"], provided.get("drop", lambda: None)

    def prepare(key: str, **request: Any) -> Answer:
        works[key] = prepare_work(**request)
        return works[key].facts

    def run(key: str, count: int) -> Answer:
        work = works[key]
        gc.disable()  # as timeit does: a collection in one turn and not in the next is noise
        try:
            pages = page_faults()
            seconds = work.clock(work.call, count)
        finally:
            gc.enable()
        return {"seconds": seconds, "faults": (page_faults() - pages) / count}

    def drop() -> Answer:
        works.clear()
        drop_more()
        gc.collect()
        return {}

    return {**provided, "prepare": prepare, "run": run, "drop": drop}


def main(provider: str, name: str, threads: str) -> None:
    """Serve the works of one provider."""
    module, _, function = provider.partition(":")
    answer(handlers(getattr(import_module(module), function)(name, int(threads))))


if __name__ == "__main__":
    main(*sys.argv[1:])
