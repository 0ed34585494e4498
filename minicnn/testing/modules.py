"""A module as a function of its inputs and parameters, so that both are checked together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.core.tensor import Tensor
from minicnn.core.types import Array


def parameters(module: Any) -> dict[str, Array]:
    """Parameters of a minicnn or torch module as float64 arrays, by their dotted names."""
    found = {}
    for name, value in module.named_parameters():
        array = value.detach().numpy() if isinstance(value, Tensor) else value.detach().cpu().numpy()
        found[name] = np.array(array, np.float64)
    return found


def functional(module: Any, names: tuple[str, ...]) -> Callable[..., Any]:
    """``f(*inputs, **parameters)`` of a float64 copy of the module; buffers are as they were at every call."""
    if not hasattr(module, "named_modules") or isinstance(next(iter(module.parameters()), None), Tensor):
        return _ours(module, names)
    import torch

    twin = copy.deepcopy(module).double()
    buffers = {key: value.clone() for key, value in twin.named_buffers()}

    def of_torch(*inputs: Any, **options: Any) -> Any:
        given = {key: options.pop(key) for key in names}
        state = given | {key: value.clone() for key, value in buffers.items()}
        return torch.func.functional_call(twin, state, inputs, options)

    of_torch.__qualname__ = type(module).__name__
    return of_torch


def _ours(module: Any, names: tuple[str, ...]) -> Callable[..., Any]:
    twin = copy.deepcopy(module)
    buffers = {
        key: (value, value.data.astype(np.float64) if value.dtype.kind == "f" else value.data.copy())
        for key, value in twin.named_buffers()
    }

    def of_tensors(*inputs: Any, **options: Any) -> Any:
        for value, array in buffers.values():
            value.data = array.copy()
        for key in names:
            owner, _, attribute = key.rpartition(".")
            vars(twin.get_submodule(owner))[attribute] = options.pop(key)
        return twin(*inputs, **options)

    return of_tensors
