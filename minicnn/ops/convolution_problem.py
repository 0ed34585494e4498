"""From the arguments of a convolution to the one tuple of sizes that its kernels take."""

import operator
from functools import lru_cache

from minicnn.backends.convolution import Problem
from minicnn.core import checks
from minicnn.core.dtypes import is_float
from minicnn.core.tensor import Tensor
from minicnn.core.types import Pair, Shape
from minicnn.core.windows import Window2d


def problem(
    op: str,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair | str,
    dilation: Pair,
    groups: int,
) -> Problem:
    """The convolution of these arguments, or an error that says what does not fit."""
    checks.ndim(op, "input", input, 3, 4)
    checks.ndim(op, "weight", weight, 4)
    check_dtypes(op, input, weight=weight, bias=bias)
    _check_bias(op, bias, weight.data.shape[0])
    return problem_of(op, input, weight.data.shape, stride, padding, dilation, groups)


def problem_of(
    op: str, input: Tensor, weight: Shape, stride: Pair, padding: Pair | str, dilation: Pair, groups: int
) -> Problem:
    """The same for a weight of which only the shape is known."""
    steps, spread = checks.pair(op, "stride", stride, least=1), checks.pair(op, "dilation", dilation, least=1)
    zeros = padding if isinstance(padding, str) else checks.pair(op, "padding", padding)
    return _cached_problem(op, input.data.shape, weight, steps, zeros, spread, _whole(op, groups))


def _whole(op: str, groups: int) -> int:
    """Groups as an int: 2.0 equals 2, and would be the same key of the cache."""
    try:
        return operator.index(groups)
    except TypeError:
        raise checks.type_error(op, f"groups must be an int, got {groups!r}") from None


@lru_cache(maxsize=512)
def _cached_problem(
    op: str, size: Shape, weight: Shape, stride: Pair, padding: Pair | str, dilation: Pair, groups: int
) -> Problem:
    n, c, h, w = size
    o, per_group, kh, kw = weight
    if groups < 1 or c != per_group * groups or o % groups:
        message = f"{c} input channels and weight {tuple(weight)} do not fit groups {groups}: expected weight"
        raise checks.value_error(
            op, f"{message} (O, {c} / groups, KH, KW) with O divisible by groups", **{"input.shape": size}
        )
    window = Window2d.of(op, (kh, kw), stride, 0 if isinstance(padding, str) else padding, dilation)
    (sh, sw), (dh, dw) = window.stride, window.dilation
    if padding == "same":
        if window.stride != (1, 1):
            raise checks.value_error(op, "padding 'same' needs stride 1", stride=window.stride)
        top, left = dh * (kh - 1) // 2, dw * (kw - 1) // 2
        return Problem(n, groups, c, o, h, w, h, w, kh, kw, 1, 1, top, left, dh, dw)
    if isinstance(padding, str) and padding != "valid":
        raise checks.value_error(op, f"padding must be an int, a pair, 'valid' or 'same', got {padding!r}")
    oh, ow = window.output_size(op, (h, w))
    return Problem(n, groups, c, o, h, w, oh, ow, kh, kw, sh, sw, *window.padding, dh, dw)


def transposed_problem(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    groups: int,
    dilation: Pair,
) -> Problem:
    """The convolution whose output is our input."""
    op = "conv_transpose2d"
    checks.ndim(op, "input", input, 3, 4)
    checks.ndim(op, "weight", weight, 4)
    check_dtypes(op, input, weight=weight, bias=bias)
    (n, o, oh, ow), (rows, per_group, kh, kw) = input.data.shape, weight.data.shape
    groups = _whole(op, groups)
    if groups < 1 or rows != o or o % groups:
        message = f"{o} input channels and weight {weight.shape} do not fit groups {groups}"
        raise checks.value_error(op, f"{message}: expected weight ({o}, O / groups, KH, KW)", input=input)
    _check_bias(op, bias, per_group * groups)
    window = Window2d.of(op, (kh, kw), stride, padding, dilation)
    extra = checks.pair(op, "output_padding", output_padding)
    if any(e >= max(s, d) for e, s, d in zip(extra, window.stride, window.dilation, strict=True)):
        message = f"output_padding {extra} must be smaller than stride {window.stride} or dilation {window.dilation}"
        raise checks.value_error(op, message, input=input)
    h, w = window.transposed_size((oh, ow), extra)
    if h < 1 or w < 1:
        raise checks.value_error(op, f"output size {(h, w)} is not positive", input=input, padding=window.padding)
    sizes = (n, groups, per_group * groups, o, h, w, oh, ow, kh, kw)
    return Problem(*sizes, *window.stride, *window.padding, *window.dilation)


def check_dtypes(op: str, input: Tensor, **others: Tensor | None) -> None:
    """Raise unless the input has a dtype of kernels, and the others, where given, the same."""
    dtype, given = input.data.dtype, {name: other for name, other in others.items() if other is not None}
    if not is_float(dtype) or (dtype.itemsize < 4 and not checks.has_half(input)):
        raise checks.type_error(op, "input must be float32 or float64", input=input)
    if any(other.data.dtype != dtype for other in given.values()):
        message = f"{', '.join(['input', *others][:-1])} and {[*others][-1]} must have one dtype"
        raise checks.type_error(op, message, input=input, **given)


def _check_bias(op: str, bias: Tensor | None, channels: int) -> None:
    if bias is not None and bias.data.shape != (channels,):
        raise checks.value_error(op, f"bias must have shape ({channels},)", bias=bias)
