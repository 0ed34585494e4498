"""Convolution (cross-correlation), its two adjoints, and what is built from them.

``y = conv(x, w)`` is linear in x and in w. With gy the gradient of y, the three maps

- Conv2d             x, w   -> y
- ConvTranspose2d    gy, w  -> gx    the adjoint by x
- Conv2dWeightGrad   gy, x  -> gw    the adjoint by w

are closed under differentiation: the backward of each is made of the other two, so gradients of any order follow.
"""

import math

from minicnn.backends.convolution import AUTO, Algorithms, Problem, in_float32
from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Ints, Pair, Shape
from minicnn.ops.arithmetic import where
from minicnn.ops.autocast import in_half
from minicnn.ops.comparisons import ne
from minicnn.ops.conv_algorithm import current, ran
from minicnn.ops.convolution_problem import check_dtypes, problem, problem_of, transposed_problem
from minicnn.ops.pooling import single
from minicnn.ops.rectifiers import ReluGrad
from minicnn.ops.reduce import sum
from minicnn.ops.shape import reshape, unsqueeze


class Conv2d(Function):
    relu = False  # whether the output is rectified while it lies in the cache

    def __init__(self, problem: Problem, algorithms: Algorithms = Algorithms()) -> None:  # noqa: B008 - immutable
        self.problem, self.algorithms = problem, algorithms

    def forward(self, x: Array, w: Array, bias: Array | None) -> Array:
        self.keep_inputs(0, 1)
        room, p, (first, by_x, by_w, bound) = self.backend.convolution, self.problem, self.algorithms
        item = x.itemsize
        most = in_float32(bound, item)
        self.algorithms = Algorithms(
            room.resolve(first, "forward", p, most, item),
            room.resolve(by_x, "input_grad", p, most, item) if self.needs(0) else AUTO,
            room.resolve(by_w, "weight_grad", p, most, item) if self.needs(1) else AUTO,
            bound,
        )
        return room.forward(x, w, bias, p, self.algorithms.forward, relu=self.relu)

    def backward(self, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, w = self.kept_inputs()
        p, (_, by_x, by_w, bound) = self.problem, self.algorithms
        return (
            ConvTranspose2d(p, Algorithms(by_x, max_error=bound))(gy, w, None) if self.needs(0) else None,
            Conv2dWeightGrad(p, by_w, bound)(gy, x) if self.needs(1) else None,
            sum(gy, (0, 2, 3)) if self.needs(2) else None,
        )


class Conv2dRelu(Conv2d):
    """``max(conv(x, w) + b, 0)``: the gradient meets ReLU's kink first, then the convolution."""

    relu = True

    def forward(self, x: Array, w: Array, bias: Array | None) -> Array:
        self.keep_outputs(0)
        return super().forward(x, w, bias)

    def backward(self, gy: Tensor) -> tuple[Tensor | None, ...]:
        (y,) = self.kept_outputs()
        return super().backward(ReluGrad()(gy, y))


class ConvTranspose2d(Function):
    """Its passes are the room's other passes: forward is the convolution's input gradient, and the reverse."""

    def __init__(self, problem: Problem, algorithms: Algorithms = Algorithms()) -> None:  # noqa: B008 - immutable
        self.problem, self.algorithms = problem, algorithms

    def forward(self, gy: Array, w: Array, bias: Array | None) -> Array:
        self.keep_inputs(0, 1)
        room, p, (first, by_gy, by_w, bound) = self.backend.convolution, self.problem, self.algorithms
        item = gy.itemsize
        most = in_float32(bound, item)
        self.algorithms = Algorithms(
            room.resolve(first, "input_grad", p, most, item),
            room.resolve(by_gy, "forward", p, most, item) if self.needs(0) else AUTO,
            room.resolve(by_w, "weight_grad", p, most, item) if self.needs(1) else AUTO,
            bound,
        )
        gx: Array = room.input_grad(gy, w, p, self.algorithms.forward)
        return gx if bias is None else self.xp.add(gx, bias.reshape(-1, 1, 1), out=gx)

    def backward(self, ggx: Tensor) -> tuple[Tensor | None, ...]:
        gy, w = self.kept_inputs()
        p, (_, by_gy, by_w, bound) = self.problem, self.algorithms
        return (
            Conv2d(p, Algorithms(by_gy, max_error=bound))(ggx, w, None) if self.needs(0) else None,
            Conv2dWeightGrad(p, by_w, bound)(gy, ggx) if self.needs(1) else None,
            sum(ggx, (0, 2, 3)) if self.needs(2) else None,
        )


class Conv2dWeightGrad(Function):
    def __init__(self, problem: Problem, algorithm: str = AUTO, max_error: float = math.inf) -> None:
        self.problem, self.algorithm, self.bound = problem, algorithm, max_error

    def forward(self, gy: Array, x: Array) -> Array:
        self.keep_inputs(0, 1)
        room = self.backend.convolution
        most = in_float32(self.bound, gy.itemsize)
        self.algorithm = room.resolve(self.algorithm, "weight_grad", self.problem, most, gy.itemsize)
        return room.weight_grad(gy, x, self.problem, self.algorithm)

    def backward(self, ggw: Tensor) -> tuple[Tensor | None, ...]:
        gy, x = self.kept_inputs()
        automatic = Algorithms(max_error=self.bound)
        return (
            Conv2d(self.problem, automatic)(x, ggw, None) if self.needs(0) else None,
            ConvTranspose2d(self.problem, automatic)(gy, ggw, None) if self.needs(1) else None,
        )


def _run(node: Conv2d | ConvTranspose2d, *inputs: Tensor | None) -> Tensor:
    """The call of a user, which notes what ran; those of backward do not."""
    y: Tensor = node(*inputs)
    ran(node.algorithms)
    return y


@in_half
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Slide a bank of filters over images (cross-correlation: the kernel is not flipped).

    ``y[n, o, r, c] = bias[o] + sum_{i,a,b} weight[o, i, a, b] * input[n, i, r*stride + a*dilation - padding, ...]``,
    output size ``floor((H + 2 padding - dilation (KH - 1) - 1) / stride) + 1``.

    Parameters
    ----------
    input : Tensor (N, C, H, W) or (C, H, W)
        float32 or float64; N may be 0.
    weight : Tensor (O, C / groups, KH, KW)
    bias : Tensor (O,), optional
    stride, dilation : int or pair (height, width), >= 1
    padding : int, pair, "valid" or "same"
        Zeros on each side. "same" (stride 1) keeps the size; an odd number of zeros has the extra one at the end.
    groups : int
        Input and output channels are split into that many independent convolutions.

    Returns
    -------
    Tensor (N, O, OH, OW) or (O, OH, OW)

    Raises
    ------
    ValueError
        If shapes, groups and options do not fit, or a named algorithm cannot do a pass.
    TypeError
        If dtypes differ or are not float32 or float64.

    Gradient
    --------
    By input the transposed convolution of gy, by weight the correlation of input with gy, by bias the sum of gy. Any
    order (each is a member of this family).

    Notes
    -----
    N·O·OH·OW·C/groups·KH·KW multiply-adds. Which algorithm runs: :class:`conv_algorithm`. The result does not depend
    on the number of threads.

    References
    ----------
    LeCun et al., *Gradient-based learning applied to document recognition*, 1998, section II.

    Examples
    --------
    >>> import minicnn as mc
    >>> image = mc.tensor([[[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]]])
    >>> mc.ops.conv2d(image, mc.tensor([[[[-1.0, 1.0]]]]))[0, 0].tolist()
    [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """
    if input.data.ndim == 3:
        return reshape_unbatched(conv2d(unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups))
    p = problem("conv2d", input, weight, bias, stride, padding, dilation, groups)
    return _run(Conv2d(p, current()), input, weight, bias)


@in_half
def conv2d_relu(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """``relu(conv2d(...))`` in one pass over memory: each block is rectified while it lies in the cache.

    Parameters
    ----------
    input, weight, bias, stride, padding, dilation, groups
        As in :func:`conv2d`.

    Returns
    -------
    Tensor (N, O, OH, OW) or (O, OH, OW)

    Gradient
    --------
    That of :func:`conv2d` for gy where the output is positive, and 0 elsewhere. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> image = mc.tensor([[[[0.0, 1.0, 3.0, 2.0]]]])
    >>> mc.ops.conv2d_relu(image, mc.tensor([[[[-1.0, 1.0]]]])).tolist()
    [[[[1.0, 2.0, 0.0]]]]
    """
    if input.data.ndim == 3:
        return reshape_unbatched(conv2d_relu(unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups))
    p = problem("conv2d_relu", input, weight, bias, stride, padding, dilation, groups)
    return _run(Conv2dRelu(p, current()), input, weight, bias)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Slide filters over sequences: :func:`conv2d` on images of one row.

    Parameters
    ----------
    input : Tensor (N, C, L) or (C, L)
    weight : Tensor (O, C / groups, K)
    bias : Tensor (O,), optional
    stride, padding, dilation, groups
        As in :func:`conv2d`, for one axis.

    Returns
    -------
    Tensor (N, O, L') or (O, L')

    Gradient
    --------
    That of :func:`conv2d`. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.conv1d(mc.tensor([[[1.0, 2.0, 4.0, 8.0]]]), mc.tensor([[[-1.0, 1.0]]])).tolist()
    [[[1.0, 2.0, 4.0]]]
    """
    if input.data.ndim == 2:
        return reshape_unbatched(conv1d(unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups))
    checks.ndim("conv1d", "input", input, 2, 3)
    checks.ndim("conv1d", "weight", weight, 3)
    s, d = single("conv1d", "stride", stride), single("conv1d", "dilation", dilation)
    pad = padding if isinstance(padding, str) else (0, single("conv1d", "padding", padding))
    y = conv2d(unsqueeze(input, 2), unsqueeze(weight, 2), bias, (1, s), pad, (1, d), groups)
    return reshape(y, (y.shape[0], y.shape[1], y.shape[3]))


@in_half
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Tensor:
    """The adjoint of :func:`conv2d` by its input: every input element paints a scaled kernel into the output.

    ``<conv2d(x, w), y> = <x, conv_transpose2d(y, w)>``; output size
    ``(H - 1) stride - 2 padding + dilation (KH - 1) + 1 + output_padding``.

    Parameters
    ----------
    input : Tensor (N, C, H, W) or (C, H, W)
    weight : Tensor (C, O / groups, KH, KW)
    bias : Tensor (O,), optional
    stride, padding, dilation, groups
        Those of the convolution that this one transposes.
    output_padding : int or pair
        Rows and columns more, below the larger of stride and dilation: it chooses among the sizes that the
        convolution maps to the same one.

    Returns
    -------
    Tensor (N, O, OH, OW) or (O, OH, OW)

    Raises
    ------
    ValueError
        If shapes and options do not fit.

    Gradient
    --------
    By input the convolution of gy, by weight the correlation of gy with input, by bias the sum of gy. Any order.

    References
    ----------
    Zeiler, Krishnan, Taylor, Fergus, *Deconvolutional networks*, CVPR 2010.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([[[[1.0, 2.0]]]])
    >>> mc.ops.conv_transpose2d(x, mc.tensor([[[[1.0, 10.0]]]]), stride=(1, 2)).tolist()
    [[[[1.0, 10.0, 2.0, 20.0]]]]
    """
    if input.data.ndim == 3:
        batch = unsqueeze(input, 0)
        return reshape_unbatched(
            conv_transpose2d(batch, weight, bias, stride, padding, output_padding, groups, dilation)
        )
    p = transposed_problem(input, weight, bias, stride, padding, output_padding, groups, dilation)
    return _run(ConvTranspose2d(p, current()), input, weight, bias)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """The adjoint of :func:`conv1d`: :func:`conv_transpose2d` on images of one row.

    Parameters
    ----------
    input : Tensor (N, C, L) or (C, L)
    weight : Tensor (C, O / groups, K)
    bias : Tensor (O,), optional
    stride, padding, output_padding, groups, dilation
        As in :func:`conv_transpose2d`, for one axis.

    Returns
    -------
    Tensor (N, O, L') or (O, L')

    Gradient
    --------
    That of :func:`conv_transpose2d`. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.conv_transpose1d(mc.tensor([[[1.0, 2.0]]]), mc.tensor([[[1.0, 10.0]]]), stride=2).tolist()
    [[[1.0, 10.0, 2.0, 20.0]]]
    """
    if input.data.ndim == 2:
        batch = unsqueeze(input, 0)
        return reshape_unbatched(
            conv_transpose1d(batch, weight, bias, stride, padding, output_padding, groups, dilation)
        )
    op = "conv_transpose1d"
    checks.ndim(op, "input", input, 2, 3)
    checks.ndim(op, "weight", weight, 3)
    s, p, extra, d = (
        single(op, name, value)
        for name, value in (
            ("stride", stride), ("padding", padding), ("output_padding", output_padding), ("dilation", dilation)
        )
    )  # fmt: skip
    pairs = ((1, s), (0, p), (0, extra), groups, (1, d))
    y = conv_transpose2d(unsqueeze(input, 2), unsqueeze(weight, 2), bias, *pairs)
    return reshape(y, (y.shape[0], y.shape[1], y.shape[3]))


@in_half
def conv2d_weight_grad(
    input: Tensor,
    weight_size: Shape,
    grad_output: Tensor,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """The adjoint of :func:`conv2d` by its weight: how each output gradient met each input under every tap.

    ``gw[o, i, a, b] = sum_{n,r,c} grad_output[n, o, r, c] * input[n, i, r*stride + a*dilation - padding, ...]``
    (``torch.nn.grad.conv2d_weight``).

    Parameters
    ----------
    input : Tensor (N, C, H, W)
    weight_size : tuple (O, C / groups, KH, KW)
    grad_output : Tensor (N, O, OH, OW)
    stride, padding, dilation, groups
        As in :func:`conv2d`.

    Returns
    -------
    Tensor of shape ``weight_size``

    Raises
    ------
    ValueError
        If the shapes are not those of one convolution.
    TypeError
        If dtypes differ or are not float32 or float64.

    Gradient
    --------
    By grad_output ``conv2d(input, ggw)``, by input ``conv_transpose2d(grad_output, ggw)``. Any order.

    Notes
    -----
    float32 sums run in blocks of fixed size that are joined in float64.

    Examples
    --------
    >>> import minicnn as mc
    >>> x, gy = mc.tensor([[[[1.0, 2.0, 4.0]]]]), mc.tensor([[[[1.0, 1.0]]]])
    >>> mc.ops.conv2d_weight_grad(x, (1, 1, 1, 2), gy).tolist()
    [[[[3.0, 6.0]]]]
    """
    op = "conv2d_weight_grad"
    checks.ndim(op, "input", input, 4)
    check_dtypes(op, input, grad_output=grad_output)
    size = tuple(weight_size) if isinstance(weight_size, tuple | list) else ()
    if len(size) != 4 or not all(isinstance(n, int) and n >= 0 for n in size):
        raise checks.value_error(op, f"weight_size must be (O, C / groups, KH, KW), got {weight_size!r}", input=input)
    p = problem_of(op, input, size, stride, padding, dilation, groups)
    if grad_output.shape != p.y_shape:
        raise checks.value_error(op, f"grad_output must have shape {p.y_shape}", grad_output=grad_output)
    return Conv2dWeightGrad(p, current().weight_grad, current().max_error)(grad_output, input)  # type: ignore[no-any-return]


def masked_conv2d(
    input: Tensor,
    weight: Tensor,
    mask: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
) -> Tensor:
    """Convolution in which each output map sees only the input maps that a connection table names.

    ``y_o = bias_o + sum_i mask[o, i] (input_i * weight[o, i])`` with mask in {0, 1}: LeNet-5's C3, gated layers.

    Parameters
    ----------
    input : Tensor (N, C, H, W) or (C, H, W)
    weight : Tensor (O, C, KH, KW)
    mask : Tensor (O, C), bool or 0/1
        Not differentiated.
    bias, stride, padding, dilation
        As in :func:`conv2d`.

    Returns
    -------
    Tensor (N, O, OH, OW) or (O, OH, OW)

    Raises
    ------
    ValueError
        If the mask's shape is not (O, C).
    RuntimeError
        If the mask requires a gradient.

    Gradient
    --------
    That of :func:`conv2d`; exactly zero for the weights of absent links, whatever their value. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> x, w = mc.tensor([[[[1.0]], [[10.0]]]]), mc.tensor([[[[1.0]], [[1.0]]], [[[1.0]], [[1.0]]]])
    >>> mc.ops.masked_conv2d(x, w, mc.tensor([[True, False], [True, True]])).tolist()
    [[[[1.0]], [[11.0]]]]
    """
    if mask.requires_grad:
        raise RuntimeError("masked_conv2d: mask is not differentiated (it is a connection table); pass .detach()")
    if weight.ndim != 4 or mask.shape != weight.shape[:2]:
        raise checks.value_error(
            "masked_conv2d", f"mask must have the shape of the weight's leading axes {weight.shape[:2]}", mask=mask
        )
    present = ne(reshape(mask, (*mask.shape, 1, 1)), 0)
    return conv2d(input, where(present, weight, 0.0), bias, stride, padding, dilation)


def reshape_unbatched(y: Tensor) -> Tensor:
    """Drop the batch axis of one."""
    return reshape(y, y.shape[1:])
