"""Average, sum and Lp pooling.

An average is linear, so its gradient is the adjoint map: each output hands equal shares back to its window. The
map and its adjoint are each other's backward.
"""

from math import isfinite

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Ints, Pair, Shape
from minicnn.core.windows import Window2d
from minicnn.ops.arithmetic import where
from minicnn.ops.pooling import adaptive_size, line, pooling_window, single
from minicnn.ops.shape import reshape


class AvgPool2d(Function):
    def __init__(self, window: Window2d, out: Shape, count_include_pad: bool, divisor: int | None) -> None:
        self.window, self.out = window, out
        self.count_include_pad, self.divisor = count_include_pad, divisor

    def forward(self, x: Array) -> Array:
        return self.backend.average_pooling.avg_pool2d(x, self.window, self.out, self.count_include_pad, self.divisor)

    def backward(self, gy: Tensor) -> Tensor:
        size = self.in_shapes[0][-2:]
        return AvgPool2dAdjoint(self.window, size, self.count_include_pad, self.divisor)(gy)  # type: ignore[no-any-return]


class AvgPool2dAdjoint(Function):
    def __init__(self, window: Window2d, size: Shape, count_include_pad: bool, divisor: int | None) -> None:
        self.window, self.size = window, size
        self.count_include_pad, self.divisor = count_include_pad, divisor

    def forward(self, gy: Array) -> Array:
        return self.backend.average_pooling.avg_pool2d_adjoint(
            gy, self.window, self.size, self.count_include_pad, self.divisor
        )

    def backward(self, ggx: Tensor) -> Tensor:
        out = self.in_shapes[0][-2:]
        return AvgPool2d(self.window, out, self.count_include_pad, self.divisor)(ggx)  # type: ignore[no-any-return]


class AdaptiveAvgPool2d(Function):
    def __init__(self, out: Shape) -> None:
        self.out = out

    def forward(self, x: Array) -> Array:
        return self.backend.average_pooling.adaptive_avg_pool2d(x, self.out)

    def backward(self, gy: Tensor) -> Tensor:
        return AdaptiveAvgPool2dAdjoint(self.in_shapes[0][-2:])(gy)  # type: ignore[no-any-return]


class AdaptiveAvgPool2dAdjoint(Function):
    def __init__(self, size: Shape) -> None:
        self.size = size

    def forward(self, gy: Array) -> Array:
        return self.backend.average_pooling.adaptive_avg_pool2d_adjoint(gy, self.size)

    def backward(self, ggx: Tensor) -> Tensor:
        return AdaptiveAvgPool2d(self.in_shapes[0][-2:])(ggx)  # type: ignore[no-any-return]


def avg_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean over sliding windows: ``y[n, c, i, j] = 1/k sum_{u, v} x[n, c, i s + u - p, j s + v - p]``.

    Output size: ``floor((in + 2 padding - kernel) / stride) + 1`` per axis.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        The kernel size by default.
    padding : int or (int, int)
        Zeros around the input, at most half the window.
    ceil_mode : bool
        Round the output size up; a window that would start in the right padding is left out. What a window has
        beyond the padding is not counted in k.
    count_include_pad : bool
        Whether k counts padding.
    divisor_override : int, optional
        Divide by this instead of k.

    Returns
    -------
    Tensor, (N, C, out_h, out_w)

    Raises
    ------
    ValueError
        If the window does not fit the padded input, the padding exceeds half the window, or the divisor is 0.

    Gradient
    --------
    The adjoint: ``gy / k`` to every element of the window. Any order.

    Notes
    -----
    A window sum is added along columns first and then along rows, so that rounding errors grow with the sides of
    the window and not with its area.

    References
    ----------
    LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998 (subsampling layers).

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([[[[6.0, 6, 6, 6], [4, 5, 5, 4], [2, 4, 4, 2], [2, 4, 4, 2]]]])
    >>> mc.ops.avg_pool2d(x, 2).tolist()
    [[[[5.25, 5.25], [3.0, 3.0]]]]
    """
    window, out = pooling_window("avg_pool2d", input, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None and (not isinstance(divisor_override, int) or divisor_override == 0):
        raise checks.value_error("avg_pool2d", f"divisor_override must be an int but 0, got {divisor_override!r}")
    return AvgPool2d(window, out, bool(count_include_pad), divisor_override)(input)  # type: ignore[no-any-return]


def avg_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """:func:`avg_pool2d` along one axis.

    Parameters
    ----------
    input : Tensor, (N, C, L) or (C, L)
    kernel_size, stride, padding : int
    ceil_mode, count_include_pad : bool

    Returns
    -------
    Tensor, (N, C, out)

    Gradient
    --------
    ``gy / k`` to every element of the window. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.avg_pool1d(mc.tensor([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[2.0, 1.0]]
    """
    op = "avg_pool1d"
    k = single(op, "kernel_size", kernel_size, 1)
    s = k if stride is None else single(op, "stride", stride, 1)
    image = line(op, input)
    window, out = pooling_window(op, image, (1, k), (1, s), (0, single(op, "padding", padding)), 1, ceil_mode)
    y = AvgPool2d(window, out, bool(count_include_pad), None)(image)
    return reshape(y, (*input.shape[:-1], out[1]))


def sum_pool2d(
    input: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False
) -> Tensor:
    """Sum over sliding windows: :func:`avg_pool2d` without the division.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
    kernel_size, stride, padding, ceil_mode
        As in :func:`avg_pool2d`.

    Returns
    -------
    Tensor, (N, C, out_h, out_w)

    Gradient
    --------
    The adjoint: ``gy`` to every element of the window. Any order.

    References
    ----------
    LeCun et al., 1998: S-layers are ``f(w_c sum_{2x2} x + b_c)``.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([[[[6.0, 6, 6, 6], [4, 5, 5, 4], [2, 4, 4, 2], [2, 4, 4, 2]]]])
    >>> mc.ops.sum_pool2d(x, 2).tolist()
    [[[[21.0, 21.0], [12.0, 12.0]]]]
    """
    window, out = pooling_window("sum_pool2d", input, kernel_size, stride, padding, 1, ceil_mode)
    return AvgPool2d(window, out, True, 1)(input)  # type: ignore[no-any-return]


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Pair, stride: Pair | None = None, ceil_mode: bool = False
) -> Tensor:
    """Power-mean over sliding windows: ``y = (sum x^p)^(1/p)``; p = 1 is the sum, large p nears the maximum.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
    norm_type : float
        p > 0, finite. As in PyTorch the power is of x, not of |x|: for odd p the sign counts, for fractional p
        negative inputs give NaN.
    kernel_size, stride, ceil_mode
        As in :func:`avg_pool2d`, whose window mean times the kernel's area is the sum.

    Returns
    -------
    Tensor, (N, C, out_h, out_w)

    Gradient
    --------
    ``gy (x / y)^(p - 1)``; 0 where the sum is 0. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.lp_pool2d(mc.tensor([[[3.0, 4.0]]]), 2, (1, 2)).tolist()
    [[[5.0]]]
    """
    window, out = pooling_window("lp_pool2d", input, kernel_size, stride, 0, 1, ceil_mode)
    if not (norm_type > 0 and isfinite(norm_type)):
        raise checks.value_error("lp_pool2d", f"norm_type must be positive and finite, got {norm_type}")
    total = AvgPool2d(window, out, True, None)(input**norm_type) * (window.kernel[0] * window.kernel[1])
    flat = total == 0  # the root has no slope there: keep its infinite derivative out of the graph
    return where(flat, 0.0, where(flat, 1.0, total) ** (1.0 / norm_type))


def adaptive_avg_pool2d(input: Tensor, output_size: "int | tuple[int | None, int | None]") -> Tensor:
    """Mean over as many windows as asked for: rows ``floor(i H / out) .. ceil((i + 1) H / out)``.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
    output_size : int or (int, int)
        ``None`` for an axis keeps its size.

    Returns
    -------
    Tensor, (N, C, out_h, out_w)

    Gradient
    --------
    The adjoint: equal shares to the window. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.adaptive_avg_pool2d(mc.tensor([[[1.0, 5.0, 2.0]]]), (1, 2)).tolist()
    [[[3.0, 3.5]]]
    """
    return AdaptiveAvgPool2d(adaptive_size("adaptive_avg_pool2d", input, output_size))(input)  # type: ignore[no-any-return]


def global_avg_pool2d(input: Tensor, keepdim: bool = False) -> Tensor:
    """The mean of every map: what replaces dense layers at the end of a network of any input size.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
    keepdim : bool
        Return maps of size 1 x 1 instead of a vector per image.

    Returns
    -------
    Tensor, (N, C), or (N, C, 1, 1) with ``keepdim``

    Gradient
    --------
    ``gy / (H W)`` to every pixel. Any order.

    References
    ----------
    Lin, Chen and Yan, Network In Network, 2013, section 3.2.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.global_avg_pool2d(mc.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])).tolist()
    [[3.0]]
    """
    pooled: Tensor = AdaptiveAvgPool2d(adaptive_size("global_avg_pool2d", input, 1))(input)
    return pooled if keepdim else reshape(pooled, input.shape[:-2])
