"""Convolution layers and their transposes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from minicnn import ops
from minicnn.core import checks
from minicnn.core.tensor import Tensor
from minicnn.core.types import Ints, Pair
from minicnn.nn.linear import init_like_pytorch_
from minicnn.nn.module import Module
from minicnn.nn.parameter import Parameter, empty_parameter

__all__ = ["Conv1d", "Conv2d", "ConvReLU2d", "ConvTranspose1d", "ConvTranspose2d", "Fold", "Unfold"]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def _tuple(layer: str, name: str, value: Ints, n: int, least: int) -> Any:
    """An int or `n` ints as a tuple of `n`; Any, because its length follows from `n`."""
    items = (value,) * n if isinstance(value, int) else tuple(value)
    if len(items) != n or not all(isinstance(v, int) and v >= least for v in items):
        raise checks.value_error(layer, f"{name} must be an int or {n} ints >= {least}, got {value!r}")
    return items


class _Convolution(Module):
    """Options, parameters and text that all convolution layers share; `axes` is the number of spatial axes."""

    axes = 2
    transposed = False
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints,
        padding: Ints | str,
        dilation: Ints,
        groups: int,
        bias: bool,
        device: str | None,
        dtype: Any,
        algorithm: str | None,
    ) -> None:
        name = type(self).__name__
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise checks.value_error(
                name, f"groups {groups} must divide in_channels {in_channels} and out_channels {out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.algorithm = algorithm
        self.kernel_size = _tuple(name, "kernel_size", kernel_size, self.axes, 1)
        self.stride = _tuple(name, "stride", stride, self.axes, 1)
        self.dilation = _tuple(name, "dilation", dilation, self.axes, 1)
        self.padding = self._resolve_padding(padding)
        leading = (in_channels, out_channels // groups) if self.transposed else (out_channels, in_channels // groups)
        self.weight = empty_parameter((*leading, *self.kernel_size), device, dtype)
        self.bias = empty_parameter((out_channels,), device, dtype) if bias else None
        self.reset_parameters()

    def _resolve_padding(self, padding: Ints | str) -> Any:
        name = type(self).__name__
        if not isinstance(padding, str):
            return _tuple(name, "padding", padding, self.axes, 0)
        if padding == "valid":
            return (0,) * self.axes
        if padding != "same" or self.transposed:
            raise checks.value_error(name, f"padding must be ints, 'valid' or 'same', got {padding!r}")
        if self.stride != (1,) * self.axes:
            raise checks.value_error(name, "padding 'same' needs stride 1", stride=self.stride)
        spans = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        self.surplus = tuple(span % 2 for span in spans)
        return tuple(span // 2 for span in spans)

    def reset_parameters(self) -> None:
        """Draw new starting values, U[-1/√fan_in, 1/√fan_in] as in PyTorch."""
        init_like_pytorch_(self.weight, self.bias)

    def _named_algorithm(self) -> AbstractContextManager[None]:
        """The block in which the convolution is called."""
        return nullcontext() if self.algorithm is None else ops.conv_algorithm(self.algorithm)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}"]
        parts += [f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        zeros = (0,) * self.axes
        if self.padding != zeros:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * self.axes:
            parts.append(f"dilation={self.dilation}")
        if getattr(self, "output_padding", zeros) != zeros:
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if getattr(self, "padding_mode", "zeros") != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)

    output_padding: Any
    padding_mode: str
    surplus: tuple[int, ...] = ()  # what "same" adds on the far side of an even kernel extent


class _Forward(_Convolution):
    """What Conv1d and Conv2d share beyond that: the padding mode."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints | str = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
        *,
        algorithm: str | None = None,
    ) -> None:
        if padding_mode not in _PADDING_MODES:
            raise checks.value_error(
                type(self).__name__, f"padding_mode must be one of {_PADDING_MODES}, got {padding_mode!r}"
            )
        self.padding_mode = padding_mode
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype, algorithm
        )

    def _padded(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input, padded here unless the padding is zeros, and the padding left for the convolution."""
        zeros = (0,) * self.axes
        surplus = self.surplus or zeros
        if surplus == zeros and (self.padding_mode == "zeros" or self.padding == zeros):
            return input, self.padding
        pairs = zip(reversed(self.padding), reversed(surplus), strict=True)  # ops.pad begins at the last axis
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        return ops.pad(input, [side for p, extra in pairs for side in (p, p + extra)], mode=mode), zeros


class Conv1d(_Forward):
    """Convolution (cross-correlation) over one axis; see `Conv2d`.

    Attributes
    ----------
    weight : Parameter (out_channels, in_channels / groups, kernel_size)
    bias : Parameter (out_channels,) or None
    """

    axes = 1

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, L) -> (N, out_channels, L')."""
        input, padding = self._padded(input)
        with self._named_algorithm():
            return ops.conv1d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Forward):
    """Convolution (cross-correlation) of images.

    ``H' = floor((H + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1``, the same for the width.

    Parameters
    ----------
    in_channels, out_channels : int
        Maps of input and output.
    kernel_size, stride, dilation : int or pair (height, width)
        Window, its step, and the distance between its pixels.
    padding : int, pair, "valid" or "same"
        Border added on each side; "same" (stride 1) keeps the size.
    groups : int
        Blocks of channels that do not see each other; divides both channel numbers.
    bias : bool
        Whether to add one number for each output map.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the border holds.
    device, dtype
        Place and dtype of the parameters (CPU, float32).
    algorithm : str, optional
        How this layer's convolutions are computed, as in `minicnn.conv_algorithm`; chosen by rules if absent.

    Attributes
    ----------
    weight : Parameter (out_channels, in_channels / groups, kernel height, kernel width)
        Starts from U[-1/√fan_in, 1/√fan_in] with fan_in = in_channels / groups · kernel area.
    bias : Parameter (out_channels,) or None
        Starts from the same.

    Examples
    --------
    >>> import minicnn as mc
    >>> layer = mc.nn.Conv2d(3, 6, 5)
    >>> sum(p.numel() for p in layer.parameters())
    456
    >>> mc.nn.summary(layer, (3, 32, 32)).output_shape
    (6, 28, 28)
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H', W')."""
        input, padding = self._padded(input)
        with self._named_algorithm():
            return ops.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class ConvReLU2d(Conv2d):
    """`Conv2d` and `ReLU` in one pass over memory; parameters and ``state_dict`` are those of `Conv2d`.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.nn.ConvReLU2d(3, 6, 5)
    ConvReLU2d(3, 6, kernel_size=(5, 5), stride=(1, 1))
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H', W')."""
        input, padding = self._padded(input)
        with self._named_algorithm():
            return ops.conv2d_relu(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class _Transposed(_Convolution):
    """What both transposed layers share: output padding, and the weight's leading axes swapped."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
        *,
        algorithm: str | None = None,
    ) -> None:
        name = type(self).__name__
        if padding_mode != "zeros":
            raise checks.value_error(name, f"padding_mode must be 'zeros', got {padding_mode!r}")
        self.output_padding = _tuple(name, "output_padding", output_padding, self.axes, 0)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype, algorithm
        )

    def _output_padding(self, input: Tensor, output_size: tuple[int, ...] | None) -> Any:
        """The output padding that reaches `output_size`, where one is asked for."""
        if output_size is None:
            return self.output_padding
        name = type(self).__name__
        wanted = tuple(output_size)[-self.axes :]
        smallest = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.shape[2:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        ]
        extra = tuple(w - m for w, m in zip(wanted, smallest, strict=True))
        if not all(0 <= e < max(s, d) for e, s, d in zip(extra, self.stride, self.dilation, strict=True)):
            raise checks.value_error(
                name, f"output_size {wanted} is not within a stride above {tuple(smallest)}", input=input
            )
        return extra


class ConvTranspose1d(_Transposed):
    """Transposed convolution over one axis; see `ConvTranspose2d`.

    Attributes
    ----------
    weight : Parameter (in_channels, out_channels / groups, kernel_size)
    bias : Parameter (out_channels,) or None
    """

    axes = 1

    def forward(self, input: Tensor, output_size: tuple[int, ...] | None = None) -> Tensor:
        """(N, in_channels, L) -> (N, out_channels, L')."""
        extra = self._output_padding(input, output_size)
        with self._named_algorithm():
            return ops.conv_transpose1d(
                input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
            )


class ConvTranspose2d(_Transposed):
    """Transposed convolution: the adjoint of `Conv2d`, used to upsample.

    ``H' = (H - 1) stride - 2 padding + dilation (kernel_size - 1) + 1 + output_padding``.

    Parameters
    ----------
    in_channels, out_channels : int
        Maps of input and output.
    kernel_size, stride, padding, output_padding, dilation : int or pair (height, width)
        As of the convolution that it transposes; `output_padding` chooses among the sizes which that
        convolution maps to the same one.
    groups, bias, algorithm
        As in `Conv2d`.

    Attributes
    ----------
    weight : Parameter (in_channels, out_channels / groups, kernel height, kernel width)
    bias : Parameter (out_channels,) or None

    Examples
    --------
    >>> import minicnn as mc
    >>> up = mc.nn.ConvTranspose2d(2, 1, kernel_size=4, stride=2, padding=1)
    >>> mc.nn.summary(up, (2, 8, 8)).output_shape
    (1, 16, 16)
    """

    def forward(self, input: Tensor, output_size: tuple[int, ...] | None = None) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H', W')."""
        extra = self._output_padding(input, output_size)
        with self._named_algorithm():
            return ops.conv_transpose2d(
                input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
            )


class Unfold(Module):
    """Columns of all windows: (N, C, H, W) -> (N, C · kernel area, number of windows)."""

    def __init__(self, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> None:
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C · kernel area, L)."""
        return ops.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return _window_repr(self)


class Fold(Module):
    """Sum columns of windows back into images: the adjoint of `Unfold`."""

    def __init__(
        self, output_size: Pair, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1
    ) -> None:
        self.output_size = output_size
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """(N, C · kernel area, L) -> (N, C, H, W)."""
        return ops.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {_window_repr(self)}"


def _window_repr(layer: Unfold | Fold) -> str:
    return ", ".join(f"{n}={getattr(layer, n)}" for n in ("kernel_size", "dilation", "padding", "stride"))
