"""Arithmetic of two operands: broadcasting, promotion, Python numbers on either side.

Operands meet in a common dtype (``core/promotion.py``) and shape; each gradient is brought back to the shape and
dtype of its operand by ``fit``.
"""

from typing import TypeAlias

from minicnn.core import checks
from minicnn.core.function import Function, constant
from minicnn.core.lift import lift
from minicnn.core.promotion import match, real
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.ops.cast import fit, zeros_like

Operand: TypeAlias = Tensor | float
Pair: TypeAlias = tuple[Tensor | None, Tensor | None]


class Add(Function):
    def forward(self, a: Array, b: Array) -> Array:
        self.dtypes = a.dtype, b.dtype
        a, b = match(a, b)
        return self.xp.add(a, b)

    def backward(self, gy: Tensor) -> Pair:
        shapes, dtypes = self.in_shapes, self.dtypes
        return (
            fit(gy, shapes[0], dtypes[0]) if self.needs(0) else None,
            fit(gy, shapes[1], dtypes[1]) if self.needs(1) else None,
        )


def add(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """Elementwise sum, y = input + alpha * other.

    Parameters
    ----------
    input, other : Tensor or number
        Of shapes that broadcast; Python numbers and 0-d tensors never promote an array.
    alpha : float

    Returns
    -------
    Tensor of the broadcast shape

    Gradient
    --------
    gy to ``input`` and alpha * gy to ``other``, each summed over its broadcast axes. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.add(mc.tensor([1.0, 2.0]), 10).tolist()
    [11.0, 12.0]
    """
    return Add()(input, other if alpha == 1 else mul(other, alpha))  # type: ignore[no-any-return]


class Sub(Function):
    def forward(self, a: Array, b: Array) -> Array:
        self.dtypes = a.dtype, b.dtype
        a, b = match(a, b)
        return self.xp.subtract(a, b)

    def backward(self, gy: Tensor) -> Pair:
        shapes, dtypes = self.in_shapes, self.dtypes
        return (
            fit(gy, shapes[0], dtypes[0]) if self.needs(0) else None,
            -fit(gy, shapes[1], dtypes[1]) if self.needs(1) else None,
        )


def sub(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """Elementwise difference, y = input - alpha * other.

    Parameters
    ----------
    input, other : Tensor or number
        Of shapes that broadcast.
    alpha : float

    Gradient
    --------
    gy to ``input`` and -alpha * gy to ``other``, each summed over its broadcast axes. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.sub(1.0, mc.tensor([1.0, 2.0])).tolist()
    [0.0, -1.0]
    """
    return Sub()(input, other if alpha == 1 else mul(other, alpha))  # type: ignore[no-any-return]


class Mul(Function):
    def forward(self, a: Array, b: Array) -> Array:
        self.dtypes = a.dtype, b.dtype
        if self.needs(1):
            self.keep_inputs(0, 1)
        else:
            self.keep_inputs(1)  # x * 2 does not hold on to x
        a, b = match(a, b)
        return self.xp.multiply(a, b)

    def backward(self, gy: Tensor) -> Pair:
        *a, b = self.kept_inputs()
        shapes, dtypes = self.in_shapes, self.dtypes
        return (
            fit(gy * b, shapes[0], dtypes[0]) if self.needs(0) else None,
            fit(gy * a[0], shapes[1], dtypes[1]) if self.needs(1) else None,
        )


def mul(input: Operand, other: Operand) -> Tensor:
    """Elementwise product, y = input * other.

    Parameters
    ----------
    input, other : Tensor or number
        Of shapes that broadcast.

    Gradient
    --------
    gy * other to ``input`` and gy * input to ``other``, each summed over its broadcast axes. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([2.0, 3.0], requires_grad=True)
    >>> mc.ops.mul(x, x).sum().backward()
    >>> x.grad.tolist()
    [4.0, 6.0]
    """
    return Mul()(input, other)  # type: ignore[no-any-return]


class Div(Function):
    def forward(self, a: Array, b: Array) -> Array:
        self.dtypes = a.dtype, b.dtype
        self.keep_inputs(1)
        if self.needs(1):
            self.keep_outputs(0)
        a, b = match(a, b)
        return self.xp.divide(real(a), real(b))

    def backward(self, gy: Tensor) -> Pair:
        (b,) = self.kept_inputs()
        shapes, dtypes = self.in_shapes, self.dtypes
        ga = gy / b
        gb = None
        if self.needs(1):
            (y,) = self.kept_outputs()
            gb = -fit(ga * y, shapes[1], dtypes[1])
        return fit(ga, shapes[0], dtypes[0]) if self.needs(0) else None, gb


def div(input: Operand, other: Operand) -> Tensor:
    """Elementwise quotient, y = input / other; integers divide as float32.

    Parameters
    ----------
    input, other : Tensor or number
        Of shapes that broadcast.

    Gradient
    --------
    gy / other to ``input`` and -gy * y / other to ``other``, each summed over its broadcast axes. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.div(mc.tensor([1, 3]), 2).tolist()
    [0.5, 1.5]
    """
    return Div()(input, other)  # type: ignore[no-any-return]


class Remainder(Function):
    def forward(self, a: Array, b: Array) -> Array:
        self.keep_inputs(0, 1)
        a, b = match(a, b)
        return self.xp.remainder(a, b)

    def backward(self, gy: Tensor) -> Pair:
        a, b = self.kept_inputs()
        return (
            fit(gy, a.shape, a.dtype) if self.needs(0) else None,
            -fit(gy * floor_divide(a, b), b.shape, b.dtype) if self.needs(1) else None,
        )


def remainder(input: Operand, other: Operand) -> Tensor:
    """Elementwise remainder with the sign of the divisor, y = input - floor(input / other) * other.

    Gradient
    --------
    gy to ``input`` and -gy * floor(input / other) to ``other``. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.remainder(mc.tensor([-3, 5]), 4).tolist()
    [1, 1]
    """
    return Remainder()(input, other)  # type: ignore[no-any-return]


def floor_divide(input: Operand, other: Operand) -> Tensor:
    """floor(input / other), elementwise; a step function, so the result has no history.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.floor_divide(mc.tensor([-3, 5]), 4).tolist()
    [-1, 1]
    """
    if isinstance(input, Tensor):
        a, b = raw(input, other)
        return constant(input.device.xp.floor_divide(a, b), input)
    _, like = lift("floor_divide", (input, other))
    b, a = raw(like, input)
    return constant(like.device.xp.floor_divide(a, b), like)


class Neg(Function):
    def forward(self, x: Array) -> Array:
        return self.xp.negative(x)

    def backward(self, gy: Tensor) -> Tensor:
        return -gy


def neg(input: Tensor) -> Tensor:
    """Y = -input.

    Gradient
    --------
    -gy. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.neg(mc.tensor([1.0, -2.0])).tolist()
    [-1.0, 2.0]
    """
    return Neg()(input)  # type: ignore[no-any-return]


class PowNumber(Function):
    """Power with a Python number: no gradient for the exponent, and the usual exponents are cheap."""

    precision = "float32"

    def __init__(self, exponent: float) -> None:
        self.exponent = exponent

    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        xp, e = self.xp, self.exponent
        if isinstance(e, float):
            x = real(x)
        if e == 2:
            return xp.multiply(x, x)
        if e == 3:
            return xp.multiply(xp.multiply(x, x), x)
        if e == 0.5:
            return xp.sqrt(x)
        return xp.power(x, e)

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        e = self.exponent
        if e == 0:
            return zeros_like(x)
        if e == 1:
            return gy
        return gy * (x * e if e == 2 else PowNumber(e - 1)(x) * e)


class Pow(Function):
    precision = "float32"

    def forward(self, a: Array, b: Array) -> Array:
        self.keep_inputs(0, 1)
        self.keep_outputs(0)
        a, b = match(a, b)
        return self.xp.power(a, b)

    def backward(self, gy: Tensor) -> Pair:
        (a, b), (y,) = self.kept_inputs(), self.kept_outputs()
        ga = gb = None
        zero = a == 0  # where the formulas read 0 * inf; the number put instead of a makes the product 0
        if self.needs(0):
            ga = fit(gy * b * where(zero & (b == 0), 1.0, a) ** (b - 1.0), a.shape, a.dtype)
        if self.needs(1):
            gb = fit(gy * y * where(zero & (b >= 0), 1.0, a).log(), b.shape, b.dtype)
        return ga, gb


def pow(input: Operand, exponent: Operand) -> Tensor:
    """Elementwise power, y = input ** exponent.

    Parameters
    ----------
    input, exponent : Tensor or number
        Of shapes that broadcast. A negative base with a fractional exponent gives NaN.

    Gradient
    --------
    gy * exponent * input ** (exponent - 1) to ``input``, 0 where exponent = 0; gy * y * log(input) to ``exponent``,
    0 where input = 0 and exponent >= 0. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.pow(mc.tensor([1.0, 2.0, 3.0]), 2).tolist()
    [1.0, 4.0, 9.0]
    """
    if isinstance(input, Tensor) and not isinstance(exponent, Tensor):
        return PowNumber(exponent.item() if hasattr(exponent, "item") else exponent)(input)  # type: ignore[no-any-return]
    return Pow()(input, exponent)  # type: ignore[no-any-return]


class _Extremum(Function):
    """Larger or smaller of two; the gradient goes to the one taken, half to each where they are equal."""

    def losing(self, a: Tensor, b: Tensor) -> Tensor:
        raise NotImplementedError

    def backward(self, gy: Tensor) -> Pair:
        a, b = self.kept_inputs()
        gy = where(a == b, gy * 0.5, gy)
        return (
            fit(where(self.losing(a, b), 0.0, gy), a.shape, a.dtype) if self.needs(0) else None,
            fit(where(self.losing(b, a), 0.0, gy), b.shape, b.dtype) if self.needs(1) else None,
        )


class Maximum(_Extremum):
    def forward(self, a: Array, b: Array) -> Array:
        self.keep_inputs(0, 1)
        a, b = match(a, b)
        return self.xp.maximum(a, b)

    def losing(self, a: Tensor, b: Tensor) -> Tensor:
        return a < b


class Minimum(_Extremum):
    def forward(self, a: Array, b: Array) -> Array:
        self.keep_inputs(0, 1)
        a, b = match(a, b)
        return self.xp.minimum(a, b)

    def losing(self, a: Tensor, b: Tensor) -> Tensor:
        return a > b


def maximum(input: Operand, other: Operand) -> Tensor:
    """Elementwise larger of two; NaN wins.

    Gradient
    --------
    gy to the larger; half to each where they are equal. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.maximum(mc.tensor([1.0, 5.0]), mc.tensor([3.0, 2.0])).tolist()
    [3.0, 5.0]
    """
    return Maximum()(input, other)  # type: ignore[no-any-return]


def minimum(input: Operand, other: Operand) -> Tensor:
    """Elementwise smaller of two; NaN wins.

    Gradient
    --------
    gy to the smaller; half to each where they are equal. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.minimum(mc.tensor([1.0, 5.0]), mc.tensor([3.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    return Minimum()(input, other)  # type: ignore[no-any-return]


class Where(Function):
    """The condition is an input, so that writing to it before backward is noticed."""

    def forward(self, condition: Array, a: Array, b: Array) -> Array:
        self.keep_inputs(0)
        self.dtypes = a.dtype, b.dtype
        a, b = match(a, b)
        return self.xp.where(condition, a, b)

    def backward(self, gy: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        (condition,) = self.kept_inputs()
        (_, a, b), dtypes = self.in_shapes, self.dtypes
        return (
            None,
            fit(Where()(condition, gy, 0.0), a, dtypes[0]) if self.needs(1) else None,
            fit(Where()(condition, 0.0, gy), b, dtypes[1]) if self.needs(2) else None,
        )


def where(condition: Tensor, input: Operand, other: Operand) -> Tensor:
    """Elementwise choice: ``input`` where the condition holds, else ``other``.

    Parameters
    ----------
    condition : bool Tensor
    input, other : Tensor or number
        The three shapes broadcast.

    Raises
    ------
    TypeError
        If the condition is not a Tensor.

    Gradient
    --------
    gy to ``input`` where the condition holds, to ``other`` elsewhere. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([-1.0, 2.0])
    >>> mc.ops.where(x > 0, x, 0.0).tolist()
    [0.0, 2.0]
    """
    if not isinstance(condition, Tensor):
        raise checks.type_error("where", f"condition must be a Tensor, got {type(condition).__name__}")
    mask = condition if condition.data.dtype.kind == "b" else constant(condition.data != 0, condition)
    return Where()(mask, *lift("where", (input, other)))  # type: ignore[no-any-return]


def lerp(input: Tensor, end: Tensor, weight: Operand) -> Tensor:
    """Linear interpolation, y = input + weight * (end - input).

    Parameters
    ----------
    input, end : Tensor
    weight : Tensor or number
        0 gives ``input``, 1 gives ``end``.

    Gradient
    --------
    (1 - weight) * gy, weight * gy, and gy * (end - input) to the weight. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.lerp(mc.tensor([0.0]), mc.tensor([10.0]), 0.25).tolist()
    [2.5]
    """
    return input + weight * (end - input)


def raw(input: Tensor, other: Operand) -> tuple[Array, Array]:
    """The arrays of two operands of an op without gradient, in their common dtype."""
    if isinstance(other, Tensor):
        return match(input.data, other.data)
    return input.data, other.item() if hasattr(other, "item") else other
