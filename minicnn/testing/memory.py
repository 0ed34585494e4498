"""What no op may do with its arguments: read how they lie in memory, or give one the gradient of another's dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.core.backprop import grad
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.testing.arguments import Arguments, label
from minicnn.testing.cases.case import Case
from minicnn.testing.layouts import LAYOUTS
from minicnn.testing.report import Finding


def differences(case: Case, seed: int, *, rtol: float = 1e-11) -> tuple[list[Finding], int]:
    """What changes when the arrays of a draw are strided, transposed or reversed in memory.

    Parameters
    ----------
    case : Case
    seed : int
        Of the draw, and of the cotangents that the gradients are taken with.
    rtol : float
        Allowed difference relative to the largest value: sums may run in another order.

    Returns
    -------
    findings, comparisons
        A finding of kind ``layout`` per output or gradient that differs, and how many numbers were compared.
    """
    sample = case.sample(seed)
    plain = Arguments(sample.args, sample.kwargs)
    names, expected = _run(case, plain, seed)
    found, compared = [], 0
    for layout, arrange in LAYOUTS.items():
        _, actual = _run(case, Arguments(*plain.map(arrange)), seed)
        for name, a, b in zip(names, actual, expected, strict=True):
            compared += np.size(b)
            if not _close(a, b, rtol):
                found.append(Finding("layout", 1, name, f"another value where the arguments are {layout} in memory"))
    return found, compared


def mixed(case: Case, seed: int) -> list[Finding]:
    """Gradients in another dtype than their arguments, where one of several is float32 and the others float64.

    An op that refuses such a mixture has nothing to find.
    """
    sample = case.sample(seed)
    arguments = Arguments(sample.args, sample.kwargs)
    wanted = arguments.floats(case.constants) if case.differentiable else []
    found = []
    for narrow in wanted if len(wanted) > 1 else []:
        leaves = [leaf.astype(np.float32) if i == narrow else leaf for i, leaf in enumerate(arguments.leaves)]
        given = Arguments(*arguments.build(leaves))
        try:
            names, values = _run(case, given, seed)
        except (TypeError, ValueError):
            continue
        dtypes = {f"gradient of {label(arguments.paths[i])}": given.leaves[i].dtype for i in wanted}
        found += [
            Finding("dtype", 1, name, f"{value.dtype}, of an argument in {dtypes[name]} beside others in float64")
            for name, value in zip(names, values, strict=True)
            if name in dtypes and value is not None and value.dtype != dtypes[name]
        ]
    return found


def _run(case: Case, arguments: Arguments, seed: int) -> tuple[list[str], list[Any]]:
    """Names and values of all outputs and first gradients."""
    wanted = arguments.floats(case.constants) if case.differentiable else []
    leaves: list[Any] = []
    for i, (leaf, path) in enumerate(zip(arguments.leaves, arguments.paths, strict=True)):
        if isinstance(leaf, np.ndarray):
            leaves.append(Tensor(leaf.copy() if path[0] in case.writes else leaf, requires_grad=i in wanted))
        else:
            leaves.append(leaf)
    args, kwargs = arguments.build(leaves)
    result = case.function(*args, **kwargs)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    values = [y.data if isinstance(y, Tensor) else y for y in outputs]
    names = [f"output {i}" for i in range(len(values))]
    random = np.random.default_rng([seed, 1])
    pairs = [
        (y, Tensor(random.standard_normal(y.shape).astype(y.dtype)))
        for y in outputs if isinstance(y, Tensor) and y.requires_grad
    ]
    if pairs and wanted:
        ys, vs = zip(*pairs, strict=True)
        tensors = [leaves[i] for i in wanted]
        values += [None if g is None else g.data for g in grad(ys, tensors, vs, allow_unused=True)]
        names += [f"gradient of {label(arguments.paths[i])}" for i in wanted]
    return names, values


def _close(a: Any, b: Any, rtol: float) -> bool:
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        return bool(a is b or a == b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if b.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    return bool(np.allclose(a, b, rtol=rtol, atol=rtol * _scale(b), equal_nan=True))


def _scale(b: Array) -> float:
    return float(np.max(np.abs(b), initial=1.0, where=np.isfinite(b)))
