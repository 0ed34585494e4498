"""Parameter: the tensor that a module trains."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from minicnn.core import checks
from minicnn.core.device import Device
from minicnn.core.device import device as find_device
from minicnn.core.dtypes import is_float
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array

__all__ = ["Parameter", "empty_buffer", "empty_parameter"]


class Parameter(Tensor):
    """A leaf tensor that a module lists among its parameters.

    Parameters
    ----------
    data : Tensor or array
        Starting value, floating; its memory is shared, not copied.
    requires_grad : bool
        False for a weight that is saved as a parameter but frozen.

    Raises
    ------
    TypeError
        If gradients are asked of an integer tensor.

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.nn.Parameter(mc.tensor([1.0, 2.0]))
    >>> w.requires_grad, w.is_leaf
    (True, True)
    """

    __slots__ = ()

    def __init__(self, data: Tensor | Array, requires_grad: bool = True) -> None:
        source = data if isinstance(data, Tensor) else Tensor(find_device().xp.asarray(data))
        if requires_grad and not is_float(source.dtype):
            raise checks.type_error("Parameter", "only floating tensors have gradients", data=source)
        memory = source.device.xp.asarray(source.data)  # a 0-d result may be a NumPy scalar, which nobody can write to
        super().__init__(memory, source.device, requires_grad=requires_grad)
        self.storage = source.storage

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = type(self)(Tensor(self.data.copy(), self.device), self.requires_grad)
        memo[id(self)] = copied
        return copied

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


def empty_parameter(shape: tuple[int, ...], device: str | None, dtype: Any) -> Parameter:
    """A parameter whose values the caller is about to draw."""
    return Parameter(empty_buffer(shape, device, dtype))


def empty_buffer(shape: tuple[int, ...], device: str | None, dtype: Any) -> Tensor:
    """A zero tensor of the given place and dtype (float32 by default)."""
    place: Device = find_device(device)
    return Tensor(place.xp.zeros(shape, dtype=np.float32 if dtype is None else dtype), place)
