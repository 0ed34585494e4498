"""A function with a penalty on its own gradient: what wants the derivatives of values and of gradients together."""

from __future__ import annotations

from typing import Any

from minicnn.core.backprop import grad
from minicnn.core.modes import enable_grad
from minicnn.core.tensor import Tensor


def penalised(op: str) -> Any:
    """``sum(y**3) + sum((dy/dx)**2)`` of an op, by its first argument.

    In a plain second derivative a node is asked for the gradient of its value, or for that of what its gradient has
    kept, but never for both at once.
    """

    def call(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        import minicnn.ops

        with enable_grad():
            leaf = x if x.requires_grad else Tensor(x.data, x.device, requires_grad=True)
            y = getattr(minicnn.ops, op)(leaf, *args, **kwargs)
            value = (y * y * y).sum()
            (g,) = grad([value], [leaf], create_graph=True)
            assert g is not None
            result: Tensor = value + (g * g).sum()
            return result

    return call
