"""What can be checked: a function of minicnn Tensors, of torch tensors, of autograd's arrays, or a pair of plain rules.

A subject computes float outputs from float inputs, and gradients from cotangents, all as float64 NumPy arrays; the
checker knows nothing else about it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.testing.subjects.hips import Autograd, scalar
from minicnn.testing.subjects.pair import GradientCountError, IntegerGradientError, Pair
from minicnn.testing.subjects.subject import COTANGENT, OTHER, OUTSIDE, Call, Gradients, Subject
from minicnn.testing.subjects.taped import Taped, Torch

__all__ = [
    "COTANGENT", "OTHER", "OUTSIDE", "Autograd", "Call", "GradientCountError", "Gradients", "IntegerGradientError",
    "Pair", "Subject", "Taped", "Torch", "placed", "recognise",
]


def recognise(call: Call, arrays: Sequence[Array]) -> Subject:
    """The subject that ``f`` is without a hand-written rule, by what it returns.

    Raises
    ------
    TypeError
        If it returns plain arrays, or nothing that has a gradient.
    """
    first: Exception | None = None
    candidates: list[type[Taped | Autograd]] = [Taped]
    if "torch" in sys.modules:  # a torch.autograd.Function runs its forward on anything: ask who it is first
        candidates.insert(0 if _speaks_torch(call.f) else 1, Torch)
    candidates += [Autograd] if "autograd" in sys.modules else []
    for kind in candidates:
        if kind is Autograd:
            found = _traced(call, arrays)
        else:
            seen: list[Any] = []
            wrap = kind.leaf  # type: ignore[union-attr]
            try:
                seen = call([wrap(a, True) for a in arrays], wrap)  # tracked: NumPy's functions refuse these
            except Exception as error:  # noqa: BLE001 (whatever f raises on another framework's arrays)
                first = first or error
            ours = Tensor if kind is Taped else sys.modules["torch"].Tensor
            found = any(isinstance(y, ours) for y in seen)
        if found:
            return kind.of(call)
    try:
        call(list(arrays), lambda array: array)
    except Exception as error:  # noqa: BLE001 (it cannot be evaluated at all: say what it says)
        raise first or error from None
    raise TypeError(
        "gradcheck: f returned neither minicnn Tensors nor torch tensors nor autograd's arrays; "
        "pass its hand-written rule as backward=, called as backward(gy, *inputs, **kwargs)"
    )


def _speaks_torch(f: Callable[..., Any]) -> bool:
    """Whether a function is torch's own, or names torch or one of its Functions."""
    import torch

    def is_torch(value: Any) -> bool:
        owner = getattr(value, "__self__", value)
        return (
            isinstance(value, torch.nn.Module)
            or str(getattr(value, "__name__", "")) == "torch"
            or str(getattr(owner, "__module__", "")).partition(".")[0] == "torch"
            or (isinstance(owner, type) and issubclass(owner, torch.autograd.Function))
        )

    if is_torch(f):
        return True
    code = getattr(f, "__code__", None)
    if code is None:
        return False
    names = [getattr(f, "__globals__", {}).get(name) for name in code.co_names]
    names += [cell.cell_contents for cell in getattr(f, "__closure__", None) or () if cell is not None]
    return any(is_torch(value) for value in names if value is not None)


def _traced(call: Call, arrays: Sequence[Array]) -> bool:
    """Whether autograd can follow the function from its inputs to a float output."""
    import autograd
    import autograd.builtins
    from autograd.extend import Box

    seen: list[Any] = []

    def bundle(points: Any) -> Any:
        seen.extend(call(list(points), lambda a: a))
        return 0.0

    try:
        autograd.make_vjp(bundle)(tuple(scalar(a) for a in arrays))
    except Exception:  # noqa: BLE001 (f may be anything)
        return False
    return any(isinstance(y, Box) for y in seen)


def placed(inputs: Sequence[Any]) -> tuple[Callable[[Array], Any], str]:
    """How host arrays become the arrays that a pair works on, by what its inputs are."""
    if any(hasattr(value, "__cuda_array_interface__") and hasattr(value, "get") for value in inputs):
        return importlib.import_module("cupy").asarray, "CuPy pair"
    return lambda array: array, "NumPy pair"
