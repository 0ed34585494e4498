"""Piecewise linear functions of one number: absolute value, sign, rounding, clamping."""

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.ops.arithmetic import Operand, maximum, minimum, where
from minicnn.ops.cast import zeros_like


class Abs(Function):
    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        return self.xp.abs(x)

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        return gy * sign(x)


def abs(input: Tensor) -> Tensor:
    """Absolute value.

    Gradient
    --------
    gy * sign(input), 0 at 0. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.abs(mc.tensor([-2.0, 3.0])).tolist()
    [2.0, 3.0]
    """
    return Abs()(input)  # type: ignore[no-any-return]


class _Step(Function):
    """Constant between jumps: the gradient is zero."""

    def backward(self, gy: Tensor) -> Tensor:
        return zeros_like(gy)


class Sign(_Step):
    def forward(self, x: Array) -> Array:
        return self.xp.sign(x)


class Floor(_Step):
    def forward(self, x: Array) -> Array:
        return self.xp.floor(x)


class Ceil(_Step):
    def forward(self, x: Array) -> Array:
        return self.xp.ceil(x)


class Round(_Step):
    def __init__(self, decimals: int) -> None:
        self.decimals = decimals

    def forward(self, x: Array) -> Array:
        return self.xp.round(x, self.decimals)


class Trunc(_Step):
    def forward(self, x: Array) -> Array:
        return self.xp.trunc(x)


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1.

    Gradient
    --------
    Zero.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.sign(mc.tensor([-2.0, 0.0, 3.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    return Sign()(input)  # type: ignore[no-any-return]


def floor(input: Tensor) -> Tensor:
    """The largest integer that is not larger.

    Gradient
    --------
    Zero.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.floor(mc.tensor([-1.5, 1.5])).tolist()
    [-2.0, 1.0]
    """
    return Floor()(input)  # type: ignore[no-any-return]


def ceil(input: Tensor) -> Tensor:
    """The smallest integer that is not smaller.

    Gradient
    --------
    Zero.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.ceil(mc.tensor([-1.5, 1.5])).tolist()
    [-1.0, 2.0]
    """
    return Ceil()(input)  # type: ignore[no-any-return]


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest integer (or multiple of 10 ** -decimals); halves go to the even neighbour.

    Gradient
    --------
    Zero.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.round(mc.tensor([0.5, 1.5, 2.6])).tolist()
    [0.0, 2.0, 3.0]
    """
    return Round(decimals)(input)  # type: ignore[no-any-return]


def trunc(input: Tensor) -> Tensor:
    """The integer part: rounded towards 0.

    Gradient
    --------
    Zero.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.trunc(mc.tensor([-1.5, 1.5])).tolist()
    [-1.0, 1.0]
    """
    return Trunc()(input)  # type: ignore[no-any-return]


class Clamp(Function):
    def __init__(self, low: float | None, high: float | None) -> None:
        self.low, self.high = low, high

    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        if self.low is not None:
            x = self.xp.maximum(x, self.low)
        return x if self.high is None else self.xp.minimum(x, self.high)

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        if self.low is not None:
            gy = where(x < self.low, 0.0, gy)
        return gy if self.high is None else where(x > self.high, 0.0, gy)


def clamp(input: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """Limit to the range from ``min`` to ``max``; NaN stays.

    Parameters
    ----------
    input : Tensor
    min, max : number, Tensor or None
        At least one. If ``min`` > ``max``, the result is ``max``.

    Raises
    ------
    ValueError
        If both are missing.

    Gradient
    --------
    gy where min <= input <= max (both ends included), 0 elsewhere; a Tensor bound gets the gradient where it binds.
    Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.clamp(mc.tensor([-2.0, 0.5, 2.0]), 0.0, 1.0).tolist()
    [0.0, 0.5, 1.0]
    """
    if min is None and max is None:
        raise checks.value_error("clamp", "at least one of min and max must be given", input=input)
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        y = input if min is None else maximum(input, min)
        return y if max is None else minimum(y, max)
    return Clamp(min, max)(input)  # type: ignore[no-any-return]
