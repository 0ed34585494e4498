"""The one table that gives Tensor its operators and methods; importing it binds them.

A method is the op of the same name with the tensor as its first argument. Where PyTorch's method also takes sizes
or axes one by one (``x.reshape(2, 3)``), ``_spread`` collects them.
"""

from collections.abc import Callable, Iterator
from typing import Any

from minicnn import ops
from minicnn.core.promotion import FLOAT
from minicnn.core.tensor import Tensor


def _swapped(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The operator for a Tensor on the right of a number."""
    return lambda self, other: op(other, self)


def _spread(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``x.op(2, 3)`` as well as ``x.op((2, 3))``."""

    def method(self: Tensor, *items: Any, **options: Any) -> Tensor:
        return op(self, items[0] if len(items) == 1 else items, **options) if items else op(self, **options)

    method.__name__, method.__doc__ = op.__name__, op.__doc__
    return method


def _iterate(self: Tensor) -> Iterator[Tensor]:
    if not self.ndim:
        raise TypeError("iter: a 0-d tensor cannot be iterated over")
    return iter(ops.getitem(self, i) for i in range(len(self)))


def _to_dtype(name: Any) -> Callable[[Tensor], Tensor]:
    return lambda self: ops.cast(self, name)


OPERATORS: dict[str, Callable[..., Any]] = {
    "__add__": ops.add,
    "__radd__": _swapped(ops.add),
    "__sub__": ops.sub,
    "__rsub__": _swapped(ops.sub),
    "__mul__": ops.mul,
    "__rmul__": _swapped(ops.mul),
    "__truediv__": ops.div,
    "__rtruediv__": _swapped(ops.div),
    "__floordiv__": ops.floor_divide,
    "__rfloordiv__": _swapped(ops.floor_divide),
    "__mod__": ops.remainder,
    "__rmod__": _swapped(ops.remainder),
    "__pow__": ops.pow,
    "__rpow__": _swapped(ops.pow),
    "__matmul__": ops.matmul,
    "__rmatmul__": _swapped(ops.matmul),
    "__neg__": ops.neg,
    "__abs__": ops.abs,
    "__eq__": ops.eq,
    "__ne__": ops.ne,
    "__lt__": ops.lt,
    "__le__": ops.le,
    "__gt__": ops.gt,
    "__ge__": ops.ge,
    "__and__": ops.bitwise_and,
    "__rand__": ops.bitwise_and,
    "__or__": ops.bitwise_or,
    "__ror__": ops.bitwise_or,
    "__xor__": ops.bitwise_xor,
    "__rxor__": ops.bitwise_xor,
    "__invert__": ops.bitwise_not,
    "__getitem__": ops.getitem,
    "__iter__": _iterate,
}

METHODS = """
    add sub mul div remainder floor_divide neg pow maximum minimum lerp clone contiguous eq ne lt le gt ge isnan isinf
    isfinite isclose allclose equal logical_not logical_and logical_or logical_xor exp expm1 log log1p sqrt rsqrt
    square reciprocal sin cos tan atan erf abs sign floor ceil round trunc clamp relu sigmoid tanh softmax log_softmax
    logsumexp sum mean var std norm amax amin prod cumsum all any max min argmax argmin sort argsort topk flatten
    unflatten squeeze unsqueeze transpose movedim moveaxis broadcast_to expand_as roll repeat_interleave split chunk
    unbind gather scatter scatter_add index_select take masked_fill masked_select matmul mm bmm dot outer to cpu
"""

METHODS_OF_MANY: dict[str, Callable[..., Tensor]] = {
    "reshape": ops.reshape,
    "view": ops.reshape,
    "permute": ops.permute,
    "expand": ops.expand,
    "flip": ops.flip,
    "repeat": ops.repeat,
    "tile": ops.tile,
}

DTYPES: dict[str, Any] = {
    "half": "float16",
    "bfloat16": "bfloat16",
    "float": FLOAT,
    "double": "float64",
    "int": "int32",
    "long": "int64",
    "bool": bool,
}


def _transposed(self: Tensor) -> Tensor:
    """The matrix transposed (all axes reversed)."""
    return ops.permute(self, tuple(reversed(range(self.ndim))))


def _matrix_transposed(self: Tensor) -> Tensor:
    """The last two axes swapped."""
    return ops.transpose(self, -1, -2)


def bind() -> None:
    """Give Tensor everything in the tables."""
    for name, operator in OPERATORS.items():
        setattr(Tensor, name, operator)
    for name in METHODS.split():
        setattr(Tensor, name, getattr(ops, name))
    for name, op in METHODS_OF_MANY.items():
        setattr(Tensor, name, _spread(op))
    for name, dtype in DTYPES.items():
        setattr(Tensor, name, _to_dtype(dtype))
    Tensor.type = Tensor.astype = ops.cast  # type: ignore[attr-defined]
    Tensor.T = property(_transposed)  # type: ignore[attr-defined]
    Tensor.mT = property(_matrix_transposed)  # type: ignore[attr-defined]
