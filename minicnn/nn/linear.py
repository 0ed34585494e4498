"""Fully connected layers, and the two that only pass or reshape."""

from __future__ import annotations

import math
from typing import Any

from minicnn import ops
from minicnn.core import checks
from minicnn.core.tensor import Tensor
from minicnn.nn import init
from minicnn.nn.module import Module
from minicnn.nn.parameter import Parameter, empty_parameter

__all__ = ["Flatten", "Identity", "Linear", "Unflatten", "init_like_pytorch_"]


def init_like_pytorch_(weight: Parameter, bias: Parameter | None) -> None:
    """U[-1/√fan_in, 1/√fan_in] for weight and bias: PyTorch's default for linear and convolution layers."""
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in, _ = init.fan_in_and_fan_out(weight)
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
        init.uniform_(bias, -bound, bound)


class Linear(Module):
    """Fully connected layer, ``y = x Wᵀ + b``.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last axis of input and output.
    bias : bool
        Whether to add b.
    device, dtype
        Place and dtype of the parameters (CPU, float32).

    Attributes
    ----------
    weight : Parameter (out_features, in_features)
        Starts from U[-1/√in_features, 1/√in_features].
    bias : Parameter (out_features,) or None
        Starts from the same.

    Examples
    --------
    >>> import minicnn as mc
    >>> layer = mc.nn.Linear(4, 2)
    >>> layer(mc.tensor([[1.0, 2.0, 3.0, 4.0]])).shape
    (1, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: str | None = None, dtype: Any = None
    ) -> None:
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if value < 0:
                raise checks.value_error("Linear", f"{name} must not be negative, got {value}")
        self.in_features, self.out_features = in_features, out_features
        self.weight = empty_parameter((out_features, in_features), device, dtype)
        self.bias = empty_parameter((out_features,), device, dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new starting values."""
        init_like_pytorch_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        return ops.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """Pass the input through; arguments of the constructor are ignored, so it can stand for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Any) -> Any:
        """The input itself."""
        return input


class Flatten(Module):
    """Join the axes from `start_dim` to `end_dim` into one.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.nn.Flatten()(mc.tensor([[[1.0, 2.0], [3.0, 4.0]]])).shape
    (1, 4)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C·H·W) with the defaults."""
        return ops.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split one axis into several: the inverse of `Flatten`."""

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """Axis `dim` -> the axes of `unflattened_size`."""
        axis = checks.dim("Unflatten", self.dim, input.ndim)
        return ops.reshape(input, (*input.shape[:axis], *self.unflattened_size, *input.shape[axis + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
