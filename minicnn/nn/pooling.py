"""Pooling layers, and the trainable subsampling of LeNet-5."""

from __future__ import annotations

from typing import Any

from minicnn import ops
from minicnn.core import checks
from minicnn.core.tensor import Tensor
from minicnn.core.types import Pair
from minicnn.nn import init
from minicnn.nn.module import Module
from minicnn.nn.parameter import empty_parameter

__all__ = [
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "ChannelMaxPool",
    "GlobalAvgPool2d",
    "LPPool2d",
    "MaxPool2d",
    "MaxUnpool2d",
    "SumPool2d",
    "TrainableSubsampling",
]


def _options(layer: Module, *names: str) -> str:
    return ", ".join(f"{name}={getattr(layer, name)}" for name in names)


class _Pool(Module):
    """Window, stride (the window's size if absent) and padding; the text."""

    kernel_size: Pair
    stride: Pair
    padding: Pair = 0

    def _window(self, kernel_size: Pair, stride: Pair | None, padding: Pair) -> None:
        name = type(self).__name__
        checks.pair(name, "kernel_size", kernel_size, least=1)
        checks.pair(name, "padding", padding)
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        checks.pair(name, "stride", self.stride, least=1)

    def extra_repr(self) -> str:
        return _options(self, "kernel_size", "stride", "padding")


class MaxPool2d(_Pool):
    """Largest value of each window; padding never wins, and the gradient goes to the first maximum.

    Parameters
    ----------
    kernel_size : int or pair (height, width)
    stride : int or pair, optional
        The kernel size if absent.
    padding, dilation : int or pair
    return_indices : bool
        Also return the flat position of each maximum in its map, for `MaxUnpool2d`.
    ceil_mode : bool
        Round the output size up instead of down.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([[[[6.0, 6, 6, 6], [4, 5, 5, 4], [2, 4, 4, 2], [2, 4, 4, 2]]]])
    >>> mc.nn.MaxPool2d(2)(x).tolist()
    [[[[6.0, 6.0], [4.0, 4.0]]]]
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        dilation: Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self._window(kernel_size, stride, padding)
        self.dilation, self.return_indices, self.ceil_mode = dilation, return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        """(N, C, H, W) -> (N, C, H', W'), with the indices beside it if asked for."""
        return ops.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return _options(self, "kernel_size", "stride", "padding", "dilation", "ceil_mode")


class AvgPool2d(_Pool):
    """Mean of each window.

    Parameters
    ----------
    kernel_size, stride, padding, ceil_mode
        As in `MaxPool2d`.
    count_include_pad : bool
        Whether padded zeros count in the divisor.
    divisor_override : int, optional
        Divide by this instead of the window's size.
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self._window(kernel_size, stride, padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        return ops.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class SumPool2d(_Pool):
    """Sum of each window."""

    def __init__(
        self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False
    ) -> None:
        self._window(kernel_size, stride, padding)
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        return ops.sum_pool2d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode)


class LPPool2d(_Pool):
    """``(Σ x^p)^(1/p)`` of each window: a sum for p = 1, towards the maximum for large p."""

    def __init__(
        self, norm_type: float, kernel_size: Pair, stride: Pair | None = None, ceil_mode: bool = False
    ) -> None:
        self._window(kernel_size, stride, 0)
        self.norm_type, self.ceil_mode = norm_type, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        return ops.lp_pool2d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return _options(self, "norm_type", "kernel_size", "stride", "ceil_mode")


class AdaptiveAvgPool2d(Module):
    """Mean over windows chosen so that the output has the given size, whatever the input's.

    Parameters
    ----------
    output_size : int, pair, or pair with None
        None keeps that axis as it is.
    """

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, *output_size)."""
        return ops.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool2d(Module):
    """Maximum over windows chosen so that the output has the given size."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Any:
        """(N, C, H, W) -> (N, C, *output_size), with the indices beside it if asked for."""
        return ops.adaptive_max_pool2d(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class GlobalAvgPool2d(Module):
    """Mean of each map: (N, C, H, W) -> (N, C), for any size of image.

    Parameters
    ----------
    keepdim : bool
        Return maps of size 1 × 1, (N, C, 1, 1), instead.

    References
    ----------
    Lin, Chen, Yan, *Network in network*, 2013, section 3.2.
    """

    def __init__(self, keepdim: bool = False) -> None:
        self.keepdim = keepdim

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C), or (N, C, 1, 1)."""
        return ops.global_avg_pool2d(input, self.keepdim)


class ChannelMaxPool(_Pool):
    """Largest value over groups of neighbouring maps and windows of their pixels: 3-D max-pooling.

    With `channels` 1 it is `MaxPool2d`, with all channels and single pixels it is maxout.

    Parameters
    ----------
    channels : int
        Maps in a group.
    kernel_size, stride, padding
        As in `MaxPool2d`; single pixels by default.
    channel_stride : int, optional
        Maps from one group to the next; `channels` if absent.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: Pair = 1,
        stride: Pair | None = None,
        padding: Pair = 0,
        channel_stride: int | None = None,
    ) -> None:
        self._window(kernel_size, stride, padding)
        self.channels, self.channel_stride = channels, channel_stride

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        return ops.channel_max_pool(
            input, self.channels, self.kernel_size, self.stride, self.padding, self.channel_stride
        )

    def extra_repr(self) -> str:
        return _options(self, "channels", "kernel_size", "stride", "padding", "channel_stride")


class MaxUnpool2d(_Pool):
    """Put values back where `MaxPool2d(return_indices=True)` found them, zeros elsewhere."""

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        self._window(kernel_size, stride, padding)

    def forward(self, input: Tensor, indices: Tensor, output_size: tuple[int, ...] | None = None) -> Tensor:
        """(N, C, H', W') and the indices -> (N, C, H, W); `output_size` settles what rounding lost."""
        return ops.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class TrainableSubsampling(_Pool):
    """Subsampling layer of LeNet-5: ``y_c = f(w_c Σ_window x + b_c)``, one weight and one bias for each map.

    Parameters
    ----------
    channels : int
        Maps.
    kernel_size : int or pair (height, width)
    stride : int or pair, optional
        The kernel size if absent.
    activation : Module, optional
        The function f; identity if absent.
    device, dtype
        Place and dtype of the parameters (CPU, float32).

    Attributes
    ----------
    weight, bias : Parameter (channels,)
        Start from 1/window area and 0: plain averaging.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, 1998, section II.B.

    Examples
    --------
    >>> import minicnn as mc
    >>> layer = mc.nn.TrainableSubsampling(1, 2)
    >>> layer(mc.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])).tolist()
    [[[[3.0]]]]
    """

    def __init__(
        self,
        channels: int,
        kernel_size: Pair = 2,
        stride: Pair | None = None,
        activation: Module | None = None,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        self._window(kernel_size, stride, 0)
        self.channels = channels
        self.weight = empty_parameter((channels,), device, dtype)
        self.bias = empty_parameter((channels,), device, dtype)
        self.activation = activation
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start from plain averaging."""
        height, width = checks.pair("TrainableSubsampling", "kernel_size", self.kernel_size)
        init.constant_(self.weight, 1.0 / (height * width))
        init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        sums = ops.sum_pool2d(input, self.kernel_size, self.stride)
        per_map = (self.channels, 1, 1)
        output: Tensor = sums * self.weight.reshape(per_map) + self.bias.reshape(per_map)
        if self.activation is not None:
            output = self.activation(output)
        return output

    def extra_repr(self) -> str:
        return f"{self.channels}, {_options(self, 'kernel_size', 'stride')}"
