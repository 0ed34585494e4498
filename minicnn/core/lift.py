"""Numbers among Tensors: a Python or NumPy number takes the dtype of the tensor it meets, and never promotes it."""

from typing import Any

import numpy as np

from minicnn.core.device import device as find_device
from minicnn.core.dtypes import is_float
from minicnn.core.tensor import Tensor


def lift(name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Python and NumPy scalars as 0-d Tensors that never promote the Tensor beside them."""
    like = next((a for a in args if isinstance(a, Tensor)), None)
    lifted = []
    for position, value in enumerate(args):
        if value is None or isinstance(value, Tensor):
            lifted.append(value)
        elif isinstance(value, bool | int | float | np.number | np.bool_):
            lifted.append(scalar(value, like))
        else:
            raise TypeError(
                f"{name}: argument {position} must be a Tensor or a number, got {type(value).__name__}; "
                "make it a Tensor with mc.tensor(...)"
            )
    return tuple(lifted)


def scalar(value: Any, like: Tensor | None = None) -> Tensor:
    """A number as a 0-d Tensor: of ``like``'s dtype, or float32 where a float meets an integer tensor."""
    if like is None:
        dtype: Any = None if isinstance(value, bool | np.bool_) else np.float32 if isinstance(value, float) else None
        place = find_device()
    else:
        whole = not isinstance(value, float | np.floating)
        dtype = like.dtype if whole or is_float(like.dtype) else np.float32
        if like.dtype.kind == "b" and not isinstance(value, bool | np.bool_ | float | np.floating):
            dtype = np.int64
        place = like.device
    return Tensor(place.xp.asarray(value, dtype=dtype), place)
