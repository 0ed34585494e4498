"""Activation layers: the functions of `minicnn.ops` in module form, without state (but for PReLU)."""

from __future__ import annotations

from typing import Any

from minicnn import ops
from minicnn.core.tensor import Tensor
from minicnn.nn import init
from minicnn.nn.module import Module
from minicnn.nn.parameter import empty_parameter

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "PReLU",
    "ReLU",
    "ReLU6",
    "ScaledTanh",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]


class _Inplace(Module):
    """Takes PyTorch's `inplace`, which changes no result; the output is always a new tensor."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace


class ReLU(_Inplace):
    """``max(x, 0)``; the derivative at 0 is 0."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.relu(input)


class ReLU6(_Inplace):
    """``min(max(x, 0), 6)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.relu6(input)


class SiLU(_Inplace):
    """``x σ(x)``, also called swish."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.silu(input)


class SELU(_Inplace):
    """Scaled ELU with the two self-normalising constants."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.selu(input)


class LeakyReLU(Module):
    """``x`` where positive, ``negative_slope · x`` elsewhere."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """``x`` where positive, ``alpha (eˣ - 1)`` elsewhere."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class GELU(Module):
    """``x Φ(x)``, Φ being the standard normal distribution function.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        Exact, or by a tanh.
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Sigmoid(Module):
    """``σ(x) = 1 / (1 + e⁻ˣ)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.sigmoid(input)


class LogSigmoid(Module):
    """``ln σ(x)``, finite for large negative x."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.logsigmoid(input)


class Tanh(Module):
    """``tanh(x)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.tanh(input)


class ScaledTanh(Module):
    """LeNet-5's squashing function ``1.7159 tanh(2x/3)``, with f(±1) = ±1.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, 1998, appendix A.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.scaled_tanh(input)


class Softplus(Module):
    """``ln(1 + e^(beta x)) / beta``; linear where beta x exceeds `threshold`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(Module):
    """``clip(x, min_val, max_val)``."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


class Softmax(Module):
    """``e^x_i / Σ e^x_j`` along `dim`."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Same shape; sums to 1 along `dim`."""
        return ops.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """``x_i - ln Σ e^x_j`` along `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.log_softmax(input, self.dim)


class PReLU(Module):
    """Leaky ReLU whose slope is trained.

    Parameters
    ----------
    num_parameters : int
        1 slope for all, or one for each channel.
    init : float
        Starting slope.

    References
    ----------
    He, Zhang, Ren, Sun, *Delving deep into rectifiers*, ICCV 2015.
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: str | None = None, dtype: Any = None
    ) -> None:
        self.num_parameters, self.init = num_parameters, init
        self.weight = empty_parameter((num_parameters,), device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Back to the starting slope."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape."""
        return ops.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
