"""Whether another device computes what the CPU does: every case of every op, values and first gradients.

The half types, which the CPU has no kernels for, are compared with its float32: of inputs rounded to the half type, and
with the results rounded to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minicnn.core.backprop import grad
from minicnn.core.dtypes import find as find_dtype
from minicnn.core.dtypes import is_float
from minicnn.core.tensor import Tensor, tensor
from minicnn.testing.arguments import Arguments
from minicnn.testing.cases.case import Case

# max |difference| <= relative * max |CPU's value| + absolute; the second for what is left where terms cancel
RELATIVE = {"float64": 1e-12, "float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}  # halves: 8 roundings
ABSOLUTE = {"float64": 1e-15, "float32": 3e-7, "float16": 2e-4, "bfloat16": 2e-3}
LOOSER = {"conv": 4.0}  # ops whose name begins so, and by how much: Winograd's transforms amplify rounding
LOOSER_IN_HALVES = {"batch_norm": 3.0, "scaled_tanh": 3.0, "cosine_embedding_loss": 3.0}  # differences of near equals
HALVES = ("float16", "bfloat16")


def moved(function: Callable[..., Any], device: str) -> Callable[..., Any]:
    """The function computed on another device: Tensors go there and results come back, so gradients do too."""

    def there(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(device)
        if isinstance(value, tuple | list):
            parts = [there(v) for v in value]
            return tuple(parts) if isinstance(value, tuple) else parts
        return value

    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*map(there, args), **{name: there(value) for name, value in kwargs.items()})
        if isinstance(result, tuple | list):
            return tuple(y.cpu() if isinstance(y, Tensor) else y for y in result)  # a named one too
        return result.cpu() if isinstance(result, Tensor) else result

    return call


class Parity(NamedTuple):
    """One case, compared."""

    case: str
    dtype: str
    error: float  # max |difference| / (relative tolerance's unit: max |CPU's value| + absolute / relative)
    trouble: str  # empty where values, dtypes and shapes agree

    @property
    def equal(self) -> bool:
        """Whether the devices agree within the tolerance."""
        return not self.trouble


def run(case: Case, seed: int, dtype: Any, device: str, rounded: Any = None) -> list[Any]:
    """Outputs and then first gradients of one draw on a device, as host arrays; cotangents are the same everywhere.

    ``rounded`` is a dtype that the floats of inputs and cotangents go through on their way to ``dtype``.
    """

    def drawn(values: Any, kind: Any) -> Any:
        return values if rounded is None else values.astype(rounded).astype(kind)

    sample = case.sample(seed)
    arguments = Arguments(sample.args, sample.kwargs)
    wanted = set(arguments.floats(case.constants)) if case.differentiable else set()
    leaves = [
        tensor(drawn(leaf, dtype), dtype=dtype, device=device, requires_grad=i in wanted)
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f"
        else tensor(leaf, device=device) if isinstance(leaf, np.ndarray) else leaf
        for i, leaf in enumerate(arguments.leaves)
    ]  # fmt: skip
    args, kwargs = arguments.build(leaves)
    result = case.function(*args, **kwargs)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    rng = np.random.default_rng(seed + 1000)
    pairs = []
    for y in outputs:
        if not isinstance(y, Tensor):
            continue
        if y.device != device:
            raise RuntimeError(f"{case.id}: an output is on {y.device}, its inputs are on {device}")
        if is_float(y.dtype):
            pairs.append((y, tensor(drawn(rng.standard_normal(y.shape), y.dtype), dtype=y.dtype, device=device)))
    pairs = [(y, v) for y, v in pairs if y.requires_grad]
    inputs = [leaves[i] for i in sorted(wanted)]
    gradients: list[Any] = [None] * len(inputs)
    if pairs and inputs:
        gradients = list(grad([y for y, _ in pairs], inputs, [v for _, v in pairs], allow_unused=True))
    return [v.detach().numpy() if isinstance(v, Tensor) else v for v in (*outputs, *gradients)]


def compare(case: Case, dtype: str, device: str, seeds: int = 2) -> Parity:
    """The case on both devices at several seeds."""
    worst, real = 0.0, find_dtype(dtype)
    for seed in range(seeds):
        found = run(case, seed, real, device)
        for number, (mine, theirs) in enumerate(zip(found, _expected(case, seed, real), strict=True)):
            error, trouble = difference(mine, theirs, case.op)
            worst = max(worst, error)
            if trouble:
                return Parity(case.id, dtype, worst, f"seed {seed}, result {number}: {trouble}")
    return Parity(case.id, dtype, worst, "")


def _expected(case: Case, seed: int, real: np.dtype[Any]) -> list[Any]:
    """The CPU's results."""
    if real.name not in HALVES:
        return run(case, seed, real, "cpu")
    single = np.dtype("float32")
    values = run(case, seed, single, "cpu", rounded=real)
    with np.errstate(over="ignore"):  # of what float16 cannot hold
        return [v.astype(real) if isinstance(v, np.ndarray) and v.dtype == single else v for v in values]


def tolerance(op: str, dtype: str) -> float:
    """The relative tolerance of an op."""
    looser = LOOSER_IN_HALVES if dtype in HALVES else LOOSER  # no rule takes Winograd for halves
    return RELATIVE[dtype] * next((factor for start, factor in looser.items() if op.startswith(start)), 1.0)


def difference(mine: Any, theirs: Any, op: str) -> tuple[float, str]:
    """Error of one of the op's results against the CPU's, and what is wrong with it (empty within the tolerance)."""
    if not isinstance(theirs, np.ndarray):
        return 0.0, "" if mine == theirs else f"{mine!r} where the CPU has {theirs!r}"
    if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return 0.0, f"{mine.dtype}{mine.shape} where the CPU has {theirs.dtype}{theirs.shape}"
    if not is_float(theirs.dtype):
        return 0.0, "" if np.array_equal(mine, theirs) else "other values"
    finite = np.isfinite(theirs)
    if not np.array_equal(mine[~finite], theirs[~finite], equal_nan=True):
        return 0.0, "NaN or infinity where the CPU has none, or none where it has"
    if not finite.any():
        return 0.0, ""
    gap = np.abs(mine[finite].astype(np.float64) - theirs[finite].astype(np.float64)).max()
    dtype = theirs.dtype.name
    error = float(gap / (float(np.abs(theirs[finite]).max()) + ABSOLUTE[dtype] / RELATIVE[dtype]))
    allowed = tolerance(op, dtype)
    return error, "" if error <= allowed else f"error {error:.1e} above {allowed:.0e}"
