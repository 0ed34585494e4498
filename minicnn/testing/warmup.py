"""Running a case for its side effect: that its kernels are compiled."""

from __future__ import annotations

import numpy as np

from minicnn.core.backprop import grad
from minicnn.core.tensor import Tensor
from minicnn.testing.arguments import Arguments
from minicnn.testing.cases.case import Case


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
