"""Every case of every op on the emulated device: values and first gradients equal those of the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minicnn.backends.cuda.emulator import compiler
from minicnn.core.backprop import grad
from minicnn.core.tensor import Tensor, tensor
from minicnn.testing.arguments import Arguments
from minicnn.testing.cases.case import CASES, Case, all_cases

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C++20 compiler")
CASE_IDS = [case.id for case in all_cases()]


def on_device(case: Case, seed: int, dtype: Any, device: str) -> tuple[list[Any], list[Any]]:
    """Outputs and first gradients on a device, as host arrays; cotangents are the same everywhere."""
    sample = case.sample(seed)
    arguments = Arguments(sample.args, sample.kwargs)
    wanted = set(arguments.floats(case.constants)) if case.differentiable else set()
    leaves = [
        tensor(leaf, dtype=dtype if leaf.dtype.kind == "f" else None, device=device, requires_grad=i in wanted)
        if isinstance(leaf, np.ndarray)
        else leaf
        for i, leaf in enumerate(arguments.leaves)
    ]
    args, kwargs = arguments.build(leaves)
    result = case.function(*args, **kwargs)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    rng = np.random.default_rng(seed + 1000)
    pairs = []
    for y in outputs:
        if isinstance(y, Tensor):
            assert y.device == device, "the output left the device"
            if y.dtype.kind == "f":
                cotangent = tensor(rng.standard_normal(y.shape).astype(y.dtype), device=device)
                if y.requires_grad:
                    pairs.append((y, cotangent))
    inputs = [leaves[i] for i in sorted(wanted)]
    gradients: list[Any] = [None] * len(inputs)
    if pairs and inputs:
        gradients = list(grad([y for y, _ in pairs], inputs, [v for _, v in pairs], allow_unused=True))
    return [host(y) for y in outputs], [host(g) for g in gradients]


def host(value: Any) -> Any:
    return value.detach().numpy() if isinstance(value, Tensor) else value


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", CASE_IDS)
def test_values_and_gradients_equal_the_cpus(name: str, dtype: Any) -> None:
    case = CASES[name]
    for seed in range(2):
        expected = on_device(case, seed, dtype, "cpu")
        found = on_device(case, seed, dtype, "cuda-emulated")
        for mine, theirs in zip((*found[0], *found[1]), (*expected[0], *expected[1]), strict=True):
            compare(mine, theirs)


def compare(mine: Any, theirs: Any) -> None:
    if not isinstance(theirs, np.ndarray):
        assert mine == theirs
        return
    tolerance = {8: 1e-11, 4: 1e-4}.get(theirs.dtype.itemsize, 0) if theirs.dtype.kind == "f" else 0
    scale = float(np.max(np.abs(theirs), initial=1.0, where=np.isfinite(theirs))) if theirs.dtype.kind == "f" else 0
    np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * scale, strict=True)
