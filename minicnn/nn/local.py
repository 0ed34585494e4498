"""Convolution-like layers whose links differ from place to place: connection tables and unshared weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.core import checks
from minicnn.core.modes import no_grad
from minicnn.core.tensor import Tensor, tensor
from minicnn.core.types import Pair
from minicnn.core.windows import Window2d
from minicnn.nn import init
from minicnn.nn.convolution import Conv2d
from minicnn.nn.module import Module
from minicnn.nn.parameter import empty_parameter

__all__ = ["LocallyConnected2d", "MaskedConv2d"]


class MaskedConv2d(Conv2d):
    """Convolution in which each output map sees only the input maps that a connection table names.

    ``y_c = Σ_k g_kc (z_k * f_kc) + b_c`` with g ∈ {0, 1}: a gated convolution. With g all ones it is `Conv2d`.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, bias
        As in `Conv2d`.
    table : bool or 0/1 array (out_channels, in_channels)
        g: which input maps each output map sees; each sees at least one.
    device, dtype, algorithm
        As in `Conv2d`.

    Attributes
    ----------
    weight : Parameter (out_channels, in_channels, kernel height, kernel width)
        Zero, and without gradient, at absent links; starts from U[-1/√fan_in, 1/√fan_in] with the fan-in of
        each output map's own links.
    table : bool buffer (out_channels, in_channels)
    links : int
        Number of kernels present; `absent_weights` is the number of weights that do not exist.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, 1998, table I.

    Examples
    --------
    >>> import minicnn as mc
    >>> layer = mc.nn.MaskedConv2d(2, 3, 5, table=[[1, 0], [0, 1], [1, 1]])
    >>> layer.links, mc.nn.count_parameters(layer)
    (4, 103)
    """

    table: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        table: Any,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        algorithm: str | None = None,
    ) -> None:
        gates = np.asarray(table.detach().numpy() if isinstance(table, Tensor) else table)
        if gates.shape != (out_channels, in_channels) or not np.isin(gates, (0, 1)).all():
            raise checks.value_error(
                "MaskedConv2d", f"table must hold 0 and 1 in shape {(out_channels, in_channels)}", table=gates
            )
        if not gates.any(axis=1).all():
            raise checks.value_error("MaskedConv2d", "every output map must see at least one input map")
        self.gates = tuple(tuple(int(gate) for gate in row) for row in gates)
        self.register_buffer("table", tensor(gates.astype(bool), device=device), persistent=False)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            bias=bias,
            device=device,
            dtype=dtype,
            algorithm=algorithm,
        )

    @property
    def links(self) -> int:
        """Kernels present in the table."""
        return sum(map(sum, self.gates))

    @property
    def absent_weights(self) -> int:
        """Entries of `weight` that stand for no link."""
        per_link: int = math.prod(self.kernel_size)
        return self.weight.numel() - self.links * per_link

    @property
    def fan_in(self) -> tuple[int, ...]:
        """Inputs of one unit of each output map."""
        return tuple(sum(row) * math.prod(self.kernel_size) for row in self.gates)

    def reset_parameters(self) -> None:
        """Draw new starting values, each map by its own fan-in."""
        bounds = tuple(2.4 * math.sqrt(fan) for fan in self.fan_in)  # 2.4 / (2.4 √fan) = 1 / √fan
        init.lecun_uniform_(self.weight, bounds)
        self.cut_()
        if self.bias is not None:
            init.lecun_uniform_(self.bias, bounds)

    def cut_(self) -> None:
        """Set absent weights to zero, as after a change of `weight` from outside; their gradient is zero anyway."""
        with no_grad():
            self.weight.copy_(self.weight * self.table.reshape(self.out_channels, self.in_channels, 1, 1))

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H', W')."""
        with self._named_algorithm():
            return ops.masked_conv2d(
                input, self.weight, self.table, self.bias, self.stride, self.padding, self.dilation
            )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, links={self.links}"


class LocallyConnected2d(Module):
    """Convolution with a kernel of its own at every output position (weights are not shared).

    Parameters
    ----------
    in_channels, out_channels : int
        Maps of input and output.
    input_size : int or pair (height, width)
        The layer is made for images of this size only.
    kernel_size, stride, padding : int or pair
        As in `Conv2d`.
    bias : bool
        Whether to add one number for each output unit.
    device, dtype
        Place and dtype of the parameters (CPU, float32).

    Attributes
    ----------
    weight : Parameter (H', W', out_channels, in_channels, kernel height, kernel width)
        Starts from U[-1/√fan_in, 1/√fan_in], fan_in = in_channels · kernel area.
    bias : Parameter (out_channels, H', W') or None

    References
    ----------
    Taigman, Yang, Ranzato, Wolf, *DeepFace*, CVPR 2014, section 3 (layers L4 to L6).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: Pair,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        name = "LocallyConnected2d"
        window = Window2d.of(name, kernel_size, stride, padding)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.input_size = checks.pair(name, "input_size", input_size, least=1)
        self.kernel_size, self.stride, self.padding = window.kernel, window.stride, window.padding
        self.output_size = window.output_size(name, self.input_size)
        shape = (*self.output_size, out_channels, in_channels, *self.kernel_size)
        self.weight = empty_parameter(shape, device, dtype)
        self.bias = empty_parameter((out_channels, *self.output_size), device, dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new starting values."""
        bound = 1 / math.sqrt(self.in_channels * math.prod(self.kernel_size))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H', W')."""
        return ops.locally_connected2d(input, self.weight, self.bias, self.stride, self.padding)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, input_size={self.input_size}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        )
