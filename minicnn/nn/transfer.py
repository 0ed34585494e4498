"""Writing host values into tensors, and moving tensors between devices and dtypes without replacing them."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from minicnn.core import checks
from minicnn.core.device import Device
from minicnn.core.device import device as find_device
from minicnn.core.dtypes import find as find_dtype
from minicnn.core.dtypes import is_float, is_name
from minicnn.core.modes import no_grad
from minicnn.core.tensor import Tensor
from minicnn.core.types import Shape

T = TypeVar("T", bound=Tensor)


def assign_(target: T, source: Any) -> T:
    """Copy a Tensor or array into ``target``, cast to its dtype and device; nothing is recorded."""
    host = source.detach().numpy() if isinstance(source, Tensor) else np.asarray(source)
    with no_grad():
        target.copy_(target.device.xp.asarray(host, dtype=target.dtype))
    return target


def shape_of(value: Any) -> Shape:
    """Shape of a Tensor, array or nested list."""
    return tuple(value.shape) if hasattr(value, "shape") else np.shape(value)


def parse_target(target: tuple[Any, ...], device: Any, dtype: Any) -> tuple[Device | None, Any]:
    """The device and dtype among positional arguments of ``Module.to``, told apart by what they are."""
    for item in target:
        if item is None:
            continue
        if isinstance(item, Tensor):
            device, dtype = item.device, item.dtype
        elif isinstance(item, Device) or (isinstance(item, str) and not is_name(item)):
            device = item
        else:
            dtype = item
    if dtype is not None:
        dtype = find_dtype(dtype)
        if not is_float(dtype):
            raise checks.type_error("Module.to", f"dtype must be floating, got {dtype}")
    return None if device is None else find_device(device), dtype


def move_(target: Tensor, device: Device | None, dtype: Any) -> None:
    """Change the place and (if floating) the dtype of a tensor in place, with its gradient."""
    place = target.device if device is None else device
    wanted = target.dtype if dtype is None or not is_float(target.dtype) else dtype
    if place is target.device and wanted == target.dtype:
        return
    if place is target.device:
        target.data = target.data.astype(wanted)
    else:
        target.data = place.xp.array(target.detach().numpy(), dtype=wanted)
        target.device = place
    target.storage = type(target.storage)()
    if target.grad is not None:
        move_(target.grad, device, dtype)
