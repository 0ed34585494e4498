"""Runs the cases of an op against its oracle, a function of NumPy arrays of the same name and arguments."""

from types import ModuleType
from typing import Any

import numpy as np

from minicnn.core.tensor import Tensor
from minicnn.testing.arguments import Arguments
from minicnn.testing.cases.case import CASES, all_cases


def covered(oracles: ModuleType) -> list[str]:
    """Ids of the cases whose op has an oracle and no special way of being called."""
    return [case.id for case in all_cases() if hasattr(oracles, case.op) and case.call is None]


def assert_agrees(oracles: ModuleType, name: str, draws: int = 5) -> None:
    """Values of the op equal those of the oracle, over several draws."""
    case = CASES[name]
    for seed in range(draws):
        sample = case.sample(100 + seed)
        args, kwargs = Arguments(sample.args, sample.kwargs).map(Tensor)
        ours, theirs = case.function(*args, **kwargs), getattr(oracles, case.op)(*sample.args, **sample.kwargs)
        pairs = zip(_listed(ours), _listed(theirs), strict=True)
        for y, z in pairs:
            np.testing.assert_allclose(y.data, z, rtol=1e-12, atol=1e-13, err_msg=f"{name}, seed {seed}")
            assert y.shape == np.shape(z)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple | list) else [value]
