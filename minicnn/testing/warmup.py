"""Compiling every kernel before it is needed, by running every case once in float32 and float64."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from minicnn.core.backprop import grad
from minicnn.core.tensor import Tensor
from minicnn.testing.arguments import Arguments
from minicnn.testing.cases.case import Case, all_cases


def warm_up(processes: int) -> Iterator[tuple[str, int, int]]:
    """Run all cases, a process for each module of cases, since its ops share kernels.

    Parameters
    ----------
    processes : int
        How many run at a time; 1 works in this process.

    Yields
    ------
    (stem, done, total)
        The module that has just finished, and how many have.
    """
    stems = sorted({stem_of(case) for case in all_cases()})
    if processes == 1:
        for done, stem in enumerate(stems, start=1):
            run_stem(stem)
            yield stem, done, len(stems)
    else:
        context = multiprocessing.get_context("spawn")  # a child by fork could not enter parallel kernels
        with ProcessPoolExecutor(processes, context) as pool:
            tasks = {pool.submit(run_stem, stem): stem for stem in stems}
            for done, task in enumerate(as_completed(tasks), start=1):
                task.result()
                yield tasks[task], done, len(stems)
    _mark().touch()


def is_warm() -> bool:
    """Whether a warm-up has finished since the kernels last changed."""
    return _mark().exists()


def _mark() -> Path:
    import numba

    from minicnn.backends.cpu import jit  # noqa: F401 - names the cache folder

    folder = Path(numba.config.CACHE_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "warm"


def stem_of(case: Case) -> str:
    """The module of cases that this one stands in: ``pooling``."""
    return case.sampler.__module__.rsplit(".", 1)[-1]


def run_stem(stem: str) -> None:
    """Run the cases of one module."""
    for case in all_cases():
        if stem_of(case) == stem:
            for dtype in ("float32", "float64"):
                run_once(case, dtype)


def run_once(case: Case, dtype: str, seed: int = 0) -> None:
    """Forward, backward and, where the case promises it, the second derivative, in one dtype."""
    sample = case.sample(seed)
    arguments = Arguments(sample.args, sample.kwargs)
    wanted = set(arguments.floats(case.constants)) if case.differentiable else set()
    leaves = []
    for i, leaf in enumerate(arguments.leaves):
        if isinstance(leaf, np.ndarray):
            array = leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf
            leaves.append(Tensor(np.array(array, order="C"), requires_grad=i in wanted))
        else:
            leaves.append(leaf)
    args, kwargs = arguments.build(leaves)
    result = case.function(*args, **kwargs)
    tensors = [leaves[i] for i in sorted(wanted)]
    values = list(result) if isinstance(result, (tuple, list)) else [result]
    for _ in range(min(case.order, 2)):
        values = [v for v in values if isinstance(v, Tensor) and v.requires_grad]
        if not values:
            return
        ones = [Tensor(np.ones(v.shape, v.dtype)) for v in values]
        gradients = grad(values, tensors, ones, create_graph=case.order > 1, allow_unused=True)
        values = [g for g in gradients if g is not None]
