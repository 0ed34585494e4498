"""Windows as columns, and the adjoint map; convolution without shared weights, built on them."""

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Pair, Shape
from minicnn.core.windows import Window2d
from minicnn.ops.arithmetic import add
from minicnn.ops.linear import matmul
from minicnn.ops.shape import permute, reshape, unsqueeze


class Unfold(Function):
    def __init__(self, window: Window2d, size: Shape, out: Shape) -> None:
        self.window, self.size, self.out = window, size, out

    def forward(self, x: Array) -> Array:
        return self.backend.unfold.unfold(x, self.window, self.out)

    def backward(self, gy: Tensor) -> Tensor:
        return Fold(self.window, self.size, self.out)(gy)  # type: ignore[no-any-return]


class Fold(Function):
    def __init__(self, window: Window2d, size: Shape, out: Shape) -> None:
        self.window, self.size, self.out = window, size, out

    def forward(self, columns: Array) -> Array:
        return self.backend.unfold.fold(columns, self.window, self.size, self.out)

    def backward(self, gx: Tensor) -> Tensor:
        return Unfold(self.window, self.size, self.out)(gx)  # type: ignore[no-any-return]


def unfold(input: Tensor, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> Tensor:
    """Copy every window into a column (im2col).

    ``y[n, (i, a, b), (r, c)] = input[n, i, r*stride + a*dilation - padding, ...]``, zero outside the input.

    Parameters
    ----------
    input : Tensor (N, C, H, W) or (C, H, W)
    kernel_size, dilation, padding, stride : int or pair (height, width)

    Returns
    -------
    Tensor (N, C * KH * KW, L) or (C * KH * KW, L)
        L windows in row-major order.

    Raises
    ------
    ValueError
        If the kernel does not fit into the padded input.

    Gradient
    --------
    :func:`fold` of gy. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.unfold(mc.tensor([[[[1.0, 2.0, 3.0]]]]), (1, 2)).tolist()
    [[[1.0, 2.0], [2.0, 3.0]]]
    """
    checks.ndim("unfold", "input", input, 3, 4)
    checks.kernel_dtype("unfold", input=input)
    if input.ndim == 3:
        y = unfold(unsqueeze(input, 0), kernel_size, dilation, padding, stride)
        return reshape(y, y.shape[1:])
    window = Window2d.of("unfold", kernel_size, stride, padding, dilation)
    size = input.shape[2:]
    return Unfold(window, size, window.output_size("unfold", (size[0], size[1])))(input)  # type: ignore[no-any-return]


def fold(
    input: Tensor, output_size: Pair, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1
) -> Tensor:
    """Add every column back where :func:`unfold` would have taken it from (col2im).

    Parameters
    ----------
    input : Tensor (N, C * KH * KW, L) or (C * KH * KW, L)
    output_size : int or pair (H, W)
    kernel_size, dilation, padding, stride : int or pair (height, width)
        Those of the unfold; they fix L.

    Returns
    -------
    Tensor (N, C, H, W) or (C, H, W)
        Overlapping windows add up, so ``fold(unfold(x))`` counts each pixel once per window.

    Raises
    ------
    ValueError
        If the columns do not fit the kernel, or their number is not that of the windows.

    Gradient
    --------
    :func:`unfold` of gy. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.fold(mc.tensor([[[1.0, 2.0], [2.0, 3.0]]]), (1, 3), (1, 2)).tolist()
    [[[[1.0, 4.0, 3.0]]]]
    """
    checks.ndim("fold", "input", input, 2, 3)
    checks.kernel_dtype("fold", input=input)
    if input.ndim == 2:
        x = fold(unsqueeze(input, 0), output_size, kernel_size, dilation, padding, stride)
        return reshape(x, x.shape[1:])
    window = Window2d.of("fold", kernel_size, stride, padding, dilation)
    size = checks.pair("fold", "output_size", output_size, least=1)
    out = window.output_size("fold", size)
    area, count = window.kernel[0] * window.kernel[1], out[0] * out[1]
    if input.shape[1] % area or input.shape[2] != count:
        expected = f"(N, C * {area}, {count})"
        raise checks.value_error("fold", f"input must be {expected} for output_size {size}", input=input)
    return Fold(window, size, out)(input)  # type: ignore[no-any-return]


def locally_connected2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Pair = 1, padding: Pair = 0
) -> Tensor:
    """Convolution with a kernel of its own at every output position (weights are not shared).

    ``y[n, o, r, c] = bias[o, r, c] + sum_{i,a,b} weight[r, c, o, i, a, b] * input[n, i, r*stride + a - padding, ...]``

    Parameters
    ----------
    input : Tensor (N, C, H, W)
    weight : Tensor (OH, OW, O, C, KH, KW)
    bias : Tensor (O, OH, OW), optional
    stride, padding : int or pair (height, width)

    Returns
    -------
    Tensor (N, O, OH, OW)

    Raises
    ------
    ValueError
        If the weight's leading axes are not the output size, or its channels not the input's.

    Gradient
    --------
    A matrix product at each position, then :func:`fold`. Any order.

    References
    ----------
    Taigman, Yang, Ranzato, Wolf, *DeepFace*, CVPR 2014, section 3.

    Examples
    --------
    >>> import minicnn as mc
    >>> x, w = mc.tensor([[[[1.0, 1.0, 1.0]]]]), mc.tensor([1.0, 2.0, 3.0])
    >>> mc.ops.locally_connected2d(x, w.reshape(1, 3, 1, 1, 1, 1)).tolist()
    [[[[1.0, 2.0, 3.0]]]]
    """
    op = "locally_connected2d"
    checks.ndim(op, "input", input, 4)
    checks.ndim(op, "weight", weight, 6)
    oh, ow, o, c, kh, kw = weight.shape
    window = Window2d.of(op, (kh, kw), stride, padding)
    size = window.output_size(op, (input.shape[2], input.shape[3]))
    if size != (oh, ow) or c != input.shape[1]:
        expected = f"(*{size}, O, {input.shape[1]}, KH, KW)"
        raise checks.value_error(op, f"weight must be {expected}", input=input, weight=weight)
    if bias is not None and bias.shape != (o, oh, ow):
        raise checks.value_error(op, f"bias must have shape {(o, oh, ow)}", bias=bias)
    columns = permute(unfold(input, (kh, kw), 1, padding, stride), (2, 1, 0))  # (positions, taps, N)
    y = matmul(reshape(weight, (oh * ow, o, c * kh * kw)), columns)  # (positions, O, N)
    y = reshape(permute(y, (2, 1, 0)), (input.shape[0], o, oh, ow))
    return y if bias is None else add(y, bias)
