"""Comparisons, tests and logic: bool results without history."""

from minicnn.core.function import constant
from minicnn.core.tensor import Tensor
from minicnn.ops.arithmetic import Operand, raw


def eq(input: Tensor, other: Operand) -> Tensor:
    """Elementwise ``input == other``.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.eq(mc.tensor([1, 2, 3]), 2).tolist()
    [False, True, False]
    """
    return constant(input.device.xp.equal(*raw(input, other)), input)


def ne(input: Tensor, other: Operand) -> Tensor:
    """Elementwise ``input != other``."""
    return constant(input.device.xp.not_equal(*raw(input, other)), input)


def lt(input: Tensor, other: Operand) -> Tensor:
    """Elementwise ``input < other``; False where one is NaN."""
    return constant(input.device.xp.less(*raw(input, other)), input)


def le(input: Tensor, other: Operand) -> Tensor:
    """Elementwise ``input <= other``; False where one is NaN."""
    return constant(input.device.xp.less_equal(*raw(input, other)), input)


def gt(input: Tensor, other: Operand) -> Tensor:
    """Elementwise ``input > other``; False where one is NaN."""
    return constant(input.device.xp.greater(*raw(input, other)), input)


def ge(input: Tensor, other: Operand) -> Tensor:
    """Elementwise ``input >= other``; False where one is NaN."""
    return constant(input.device.xp.greater_equal(*raw(input, other)), input)


def isnan(input: Tensor) -> Tensor:
    """True where the input is NaN.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.isnan(mc.tensor([1.0, float("nan")])).tolist()
    [False, True]
    """
    return constant(input.device.xp.isnan(input.data), input)


def isinf(input: Tensor) -> Tensor:
    """True where the input is plus or minus infinity."""
    return constant(input.device.xp.isinf(input.data), input)


def isfinite(input: Tensor) -> Tensor:
    """True where the input is neither NaN nor infinite."""
    return constant(input.device.xp.isfinite(input.data), input)


def isclose(input: Tensor, other: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Elementwise abs(input - other) <= atol + rtol * abs(other).

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.isclose(mc.tensor([1.0, 2.0]), mc.tensor([1.0, 2.1])).tolist()
    [True, False]
    """
    a, b = raw(input, other)
    return constant(input.device.xp.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan), input)


def allclose(input: Tensor, other: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether :func:`isclose` holds everywhere.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.allclose(mc.tensor([1.0]), mc.tensor([1.0 + 1e-7]))
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).data.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape and the same elements.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.equal(mc.tensor([1, 2]), mc.tensor([1, 3]))
    False
    """
    return input.shape == other.shape and bool(eq(input, other).data.all())


def logical_not(input: Tensor) -> Tensor:
    """True where the input is zero (False).

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.logical_not(mc.tensor([True, False])).tolist()
    [False, True]
    """
    return constant(input.device.xp.logical_not(input.data), input)


def logical_and(input: Tensor, other: Operand) -> Tensor:
    """True where both are non-zero."""
    return constant(input.device.xp.logical_and(*raw(input, other)), input)


def logical_or(input: Tensor, other: Operand) -> Tensor:
    """True where at least one is non-zero."""
    return constant(input.device.xp.logical_or(*raw(input, other)), input)


def logical_xor(input: Tensor, other: Operand) -> Tensor:
    """True where exactly one is non-zero."""
    return constant(input.device.xp.logical_xor(*raw(input, other)), input)


def bitwise_and(input: Tensor, other: Operand) -> Tensor:
    """``input & other`` of bools or integers."""
    return constant(input.device.xp.bitwise_and(*raw(input, other)), input)


def bitwise_or(input: Tensor, other: Operand) -> Tensor:
    """``input | other`` of bools or integers."""
    return constant(input.device.xp.bitwise_or(*raw(input, other)), input)


def bitwise_xor(input: Tensor, other: Operand) -> Tensor:
    """``input ^ other`` of bools or integers."""
    return constant(input.device.xp.bitwise_xor(*raw(input, other)), input)


def bitwise_not(input: Tensor) -> Tensor:
    """``~input`` of bools or integers."""
    return constant(input.device.xp.invert(input.data), input)
