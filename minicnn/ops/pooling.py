"""Max pooling, over pixels and over channels, and its inverse with stored indices.

A maximum selects: ``y_o = x[index_o]``. So its gradient scatters onto the same flat indices, the gradient of that
gathers from them, and the two are each other's backward, up to any order. Averages are in ``average_pooling``.
"""

from math import prod
from typing import Any

from minicnn.core import checks
from minicnn.core.function import Function, constant
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Ints, Pair, Shape
from minicnn.core.windows import Window2d
from minicnn.ops.shape import ints, reshape


class GatherPlanes(Function):
    """``y[n, c, i] = x[n, c].flat[index[n, c, i]]``; 0 for a negative index."""

    def __init__(self, index: Array) -> None:
        self.index = index

    def forward(self, x: Array) -> Array:
        return self.backend.pooling.gather_planes(x, self.index)

    def backward(self, gy: Tensor) -> Tensor:
        return ScatterPlanes(self.index, self.in_shapes[0][-2:])(gy)  # type: ignore[no-any-return]


class ScatterPlanes(Function):
    """The adjoint: ``gx[n, c].flat[index[n, c, i]] += gy[n, c, i]``."""

    def __init__(self, index: Array, size: Shape) -> None:
        self.index, self.size = index, size

    def forward(self, gy: Array) -> Array:
        return self.backend.pooling.scatter_planes(gy, self.index, self.size)

    def backward(self, ggx: Tensor) -> Tensor:
        return GatherPlanes(self.index)(ggx)  # type: ignore[no-any-return]


class MaxPool2dAdjoint(ScatterPlanes):
    """The same onto the maxima of windows (``None``: adaptive ones), so that a place can look where it may be named."""

    def __init__(self, index: Array, size: Shape, window: Window2d | None) -> None:
        super().__init__(index, size)
        self.window = window

    def forward(self, gy: Array) -> Array:
        return self.backend.pooling.max_pool2d_adjoint(gy, self.index, self.size, self.window)


class MaxPool2d(Function):
    def __init__(self, window: Window2d, out: Shape, indices: bool) -> None:
        self.window, self.out, self.indices = window, out, indices
        self.index: Array = None

    def forward(self, x: Array) -> Array:
        y, self.index = self.backend.pooling.max_pool2d(x, self.window, self.out, self.indices or self.needs(0))
        return y

    def backward(self, gy: Tensor) -> Tensor:
        return MaxPool2dAdjoint(self.index, self.in_shapes[0][-2:], self.window)(gy)  # type: ignore[no-any-return]


class AdaptiveMaxPool2d(Function):
    def __init__(self, out: Shape, indices: bool) -> None:
        self.out, self.indices = out, indices
        self.index: Array = None

    def forward(self, x: Array) -> Array:
        y, self.index = self.backend.pooling.adaptive_max_pool2d(x, self.out, self.indices or self.needs(0))
        return y

    def backward(self, gy: Tensor) -> Tensor:
        return MaxPool2dAdjoint(self.index, self.in_shapes[0][-2:], None)(gy)  # type: ignore[no-any-return]


def image_size(input: Tensor) -> tuple[int, int]:
    """(height, width)."""
    return input.shape[-2], input.shape[-1]


def pooling_window(
    op: str, input: Tensor, kernel_size: Pair, stride: Pair | None, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Window2d, tuple[int, int]]:
    """The checked window of a pooling op, and its output size."""
    checks.kernel_dtype(op, input=input)
    checks.ndim(op, "input", input, 3, 4)
    window = Window2d.of(op, kernel_size, stride, padding, dilation, ceil_mode)
    if any(2 * p > e for p, e in zip(window.padding, window.extent, strict=True)):
        raise checks.value_error(
            op, f"padding {window.padding} exceeds half the kernel_size {window.kernel}: windows would see none of "
            "the input", input=input, dilation=window.dilation,
        )  # fmt: skip
    return window, window.output_size(op, image_size(input))


def adaptive_size(op: str, input: Tensor, output_size: "int | tuple[int | None, int | None]") -> Shape:
    """The checked (height, width) of an adaptive pooling op; ``None`` keeps the input's."""
    checks.kernel_dtype(op, input=input)
    checks.ndim(op, "input", input, 3, 4)
    given = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size, output_size)
    out = tuple(n if o is None else o for n, o in zip(input.shape[-2:], given, strict=False))
    if len(given) != 2 or not all(hasattr(o, "__index__") and o >= 1 for o in out) or 0 in input.shape[-2:]:
        raise checks.value_error(
            op, f"output_size must be a positive int or a pair of them or None, got {output_size!r}", input=input
        )
    return ints(out)


def line(op: str, input: Tensor) -> Tensor:
    """(N, C, L) or (C, L) as images of height 1."""
    checks.ndim(op, "input", input, 2, 3)
    return reshape(input, (*input.shape[:-1], 1, input.shape[-1]))


def single(op: str, name: str, value: Ints, least: int = 0) -> int:
    """``value`` as one int, also from a sequence of length 1."""
    items = tuple(value) if isinstance(value, tuple | list) else (value,)
    if len(items) != 1 or not hasattr(items[0], "__index__") or items[0] < least:
        raise checks.value_error(op, f"{name} must be an int >= {least}, got {value!r}")
    return ints(items)[0]


def max_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum over sliding windows: ``y[n, c, i, j] = max_{u, v} x[n, c, i s + u d - p, j s + v d - p]``.

    Output size: ``floor((in + 2 padding - dilation (kernel - 1) - 1) / stride) + 1`` per axis.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        The kernel size by default.
    padding : int or (int, int)
        At most half the window. Padding counts as minus infinity: it never wins, whatever the sign of the input.
    dilation : int or (int, int)
        Distance between the elements of a window.
    ceil_mode : bool
        Round the output size up; a window that would start in the right padding is left out.
    return_indices : bool
        Also return where the maxima lie, for :func:`max_unpool2d`.

    Returns
    -------
    Tensor, (N, C, out_h, out_w), and with ``return_indices`` int64 flat indices ``row * W + column`` of that shape

    Raises
    ------
    ValueError
        If the window does not fit the padded input, or the padding exceeds half the window.

    Gradient
    --------
    ``gx[index_o] += gy_o``. Of equal elements the first in row-major order gets it. Any order (tested to 3).

    Notes
    -----
    NaN propagates; of several NaN in a window the index is that of the last. The pass over whole rows costs about
    ``kernel_h + kernel_w`` operations per output, not their product.

    References
    ----------
    Riesenhuber and Poggio, Hierarchical models of object recognition in cortex, 1999.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([[[[6.0, 6, 6, 6], [4, 5, 5, 4], [2, 4, 4, 2], [2, 4, 4, 2]]]])
    >>> mc.ops.max_pool2d(x, 2).tolist()
    [[[[6.0, 6.0], [4.0, 4.0]]]]
    """
    window, out = pooling_window("max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode)
    node = MaxPool2d(window, out, bool(return_indices))
    y: Tensor = node(input)
    return (y, constant(node.index.astype("int64"), input)) if return_indices else y


def max_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """:func:`max_pool2d` along one axis.

    Parameters
    ----------
    input : Tensor, (N, C, L) or (C, L)
    kernel_size, stride, padding, dilation : int
    ceil_mode, return_indices : bool

    Returns
    -------
    Tensor, (N, C, out), and with ``return_indices`` int64 positions of that shape

    Gradient
    --------
    To the first maximum of each window. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.max_pool1d(mc.tensor([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[3.0, 2.0]]
    """
    op = "max_pool1d"
    k = single(op, "kernel_size", kernel_size, 1)
    s = k if stride is None else single(op, "stride", stride, 1)
    p, d = single(op, "padding", padding), single(op, "dilation", dilation, 1)
    window, out = pooling_window(op, line(op, input), (1, k), (1, s), (0, p), (1, d), ceil_mode)
    node = MaxPool2d(window, out, bool(return_indices))
    shape = (*input.shape[:-1], out[1])
    y = reshape(node(line(op, input)), shape)
    return (y, constant(node.index.astype("int64").reshape(shape), input)) if return_indices else y


def adaptive_max_pool2d(
    input: Tensor, output_size: "int | tuple[int | None, int | None]", return_indices: bool = False
) -> Any:
    """Maximum over as many windows as asked for: rows ``floor(i H / out) .. ceil((i + 1) H / out)``.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
    output_size : int or (int, int)
        ``None`` for an axis keeps its size.
    return_indices : bool

    Returns
    -------
    Tensor, (N, C, out_h, out_w), and with ``return_indices`` int64 flat indices of that shape

    Gradient
    --------
    To the first maximum of each window. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.adaptive_max_pool2d(mc.tensor([[[1.0, 5.0, 2.0]]]), (1, 2)).tolist()
    [[[5.0, 5.0]]]
    """
    node = AdaptiveMaxPool2d(adaptive_size("adaptive_max_pool2d", input, output_size), bool(return_indices))
    y: Tensor = node(input)
    return (y, constant(node.index.astype("int64"), input)) if return_indices else y


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    output_size: Shape | None = None,
) -> Tensor:
    """Put values back where :func:`max_pool2d` found them, zeros elsewhere.

    Output size: ``(in - 1) stride - 2 padding + kernel`` per axis, or ``output_size``.

    Parameters
    ----------
    input : Tensor, (N, C, h, w) or (C, h, w)
    indices : integer Tensor of the same shape
        From ``max_pool2d(..., return_indices=True)``.
    kernel_size, stride, padding : int or (int, int)
        Those of the pooling.
    output_size : tuple of int, optional
        (H, W), or a whole shape of which the last two are used; needed where the stride did not divide.

    Returns
    -------
    Tensor, (N, C, H, W)

    Raises
    ------
    ValueError
        If shapes differ or an index lies outside the output.

    Gradient
    --------
    ``gx_o = gy[index_o]``; where overlapping windows share a maximum, only the last one written gets it.

    References
    ----------
    Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2013, section 2.1.

    Examples
    --------
    >>> import minicnn as mc
    >>> y, i = mc.ops.max_pool2d(mc.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2, return_indices=True)
    >>> mc.ops.max_unpool2d(y, i, 2).tolist()
    [[[0.0, 0.0], [4.0, 0.0]]]
    """
    op = "max_unpool2d"
    checks.kernel_dtype(op, input=input)
    checks.ndim(op, "input", input, 3, 4)
    checks.same_device(op, input=input, indices=indices)
    if indices.dtype.kind not in "iu":
        raise checks.type_error(op, "indices must be integers", indices=indices)
    if indices.shape != input.shape:
        raise checks.value_error(op, "indices must have the shape of input", input=input, indices=indices)
    window = Window2d.of(op, kernel_size, stride, padding)
    usual = window.transposed_size(image_size(input))
    size = usual if output_size is None else tuple(output_size)[-2:]
    if len(size) != 2 or any(abs(n - u) >= s for n, u, s in zip(size, usual, window.stride, strict=False)):
        raise checks.value_error(op, f"output_size {size} must be within a stride of {usual}", input=input)
    index = indices.data
    if index.size and not 0 <= int(index.min()) <= int(index.max()) < prod(size):
        raise checks.value_error(op, f"indices must lie in 0..{prod(size) - 1}, output size {size}", input=input)
    return ScatterPlanes(input.backend.pooling.last_writers(index, size), size)(input)  # type: ignore[no-any-return]


def channel_max_pool(
    input: Tensor,
    channels: int,
    kernel_size: Pair = 1,
    stride: Pair | None = None,
    padding: Pair = 0,
    channel_stride: int | None = None,
) -> Tensor:
    """3-D max pooling: ``y[c, p] = max over the d channels of group c and the q pixels of window p``.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
    channels : int
        Channels d of a group, consecutive; 1 is :func:`max_pool2d`.
    kernel_size, stride, padding : int or (int, int)
        The window of pixels; 1 is :func:`maxout`.
    channel_stride : int, optional
        Distance between groups, ``channels`` by default (they do not overlap).

    Returns
    -------
    Tensor, (N, (C - d) / channel_stride + 1, out_h, out_w)

    Raises
    ------
    ValueError
        If the groups do not cover the channels evenly.

    Gradient
    --------
    To the first maximum, channels before rows before columns. Any order.

    References
    ----------
    Figurnov, lecture on convolutional networks: layer definition with 3-D max-pooling.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.channel_max_pool(mc.tensor([[[1.0, 2.0]], [[3.0, 0.0]]]), 2, (1, 2)).tolist()
    [[[3.0]]]
    """
    op = "channel_max_pool"
    window, out = pooling_window(op, input, kernel_size, stride, padding, 1, False)
    step = channels if channel_stride is None else channel_stride
    total = input.shape[-3]
    if channels < 1 or step < 1 or total < channels or (total - channels) % step:
        raise checks.value_error(
            op, f"groups of {channels} channels every {step} do not fit {total} channels evenly", input=input
        )
    pixels: Tensor = input if window.kernel == window.stride == (1, 1) else MaxPool2d(window, out, False)(input)
    return _channel_groups(pixels, input.ndim - 3, channels, step)


def maxout(input: Tensor, pieces: int, dim: int = 1) -> Tensor:
    """Maximum of each group of consecutive units: ``y[c] = max(x[c k], ..., x[c k + k - 1])``.

    Parameters
    ----------
    input : Tensor, (..., C, ...)
    pieces : int
        Units k of a group; divides C.
    dim : int
        The axis of the units.

    Returns
    -------
    Tensor, (..., C / k, ...)

    Gradient
    --------
    To the first maximum of the group. Any order.

    References
    ----------
    Goodfellow et al., Maxout Networks, 2013.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.maxout(mc.tensor([[1.0, 4.0, -2.0, -3.0]]), 2).tolist()
    [[4.0, -2.0]]
    """
    checks.kernel_dtype("maxout", input=input)
    axis = checks.dim("maxout", dim, input.ndim)
    if not input.ndim or pieces < 1 or not input.shape[axis] or input.shape[axis] % pieces:
        raise checks.value_error("maxout", f"pieces {pieces} must divide axis {dim}", input=input)
    return _channel_groups(input, axis, pieces, pieces)


def _channel_groups(input: Tensor, axis: int, size: int, step: int) -> Tensor:
    """Maximum over groups along one axis, as the rows of a plane whose columns are all later axes."""
    before, count, after = input.shape[:axis], input.shape[axis], input.shape[axis + 1 :]
    window = Window2d((size, 1), (step, 1))
    groups = (count - size) // step + 1
    planes = reshape(input, (1, prod(before), count, prod(after)))
    pooled: Tensor = MaxPool2d(window, (groups, prod(after)), False)(planes)
    return reshape(pooled, (*before, groups, *after))
