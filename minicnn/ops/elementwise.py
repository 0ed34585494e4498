"""Functions of one number, elementwise: exponentials, logarithms, roots, trigonometry.

Integers are computed as float32; only ``square`` keeps them.
"""

from math import pi
from math import sqrt as _root

from minicnn.core.function import Function
from minicnn.core.promotion import real
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array


class Exp(Function):
    precision = "float32"

    def forward(self, x: Array) -> Array:
        self.keep_outputs(0)
        return self.xp.exp(real(x))

    def backward(self, gy: Tensor) -> Tensor:
        (y,) = self.kept_outputs()
        return gy * y


def exp(input: Tensor) -> Tensor:
    """Y = e ** input.

    Gradient
    --------
    gy * y. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.exp(mc.tensor([0.0, 1.0]))
    tensor([1.    , 2.7183])
    """
    return Exp()(input)  # type: ignore[no-any-return]


class Expm1(Function):
    precision = "float32"

    def forward(self, x: Array) -> Array:
        self.keep_outputs(0)
        return self.xp.expm1(real(x))

    def backward(self, gy: Tensor) -> Tensor:
        (y,) = self.kept_outputs()
        return gy * (y + 1.0)


def expm1(input: Tensor) -> Tensor:
    """Y = e ** input - 1, exact near 0.

    Gradient
    --------
    gy * (y + 1). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> f"{mc.ops.expm1(mc.tensor(1e-10)).item():.3g}"
    '1e-10'
    """
    return Expm1()(input)  # type: ignore[no-any-return]


class Log(Function):
    precision = "float32"

    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        return self.xp.log(real(x))

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        return gy / x


def log(input: Tensor) -> Tensor:
    """Natural logarithm; minus infinity at 0, NaN below.

    Gradient
    --------
    gy / input. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.log(mc.tensor([1.0, 10.0]))
    tensor([0.    , 2.3026])
    """
    return Log()(input)  # type: ignore[no-any-return]


class Log1p(Function):
    precision = "float32"

    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        return self.xp.log1p(real(x))

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        return gy / (x + 1.0)


def log1p(input: Tensor) -> Tensor:
    """Y = log(1 + input), exact near 0.

    Gradient
    --------
    gy / (1 + input). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> f"{mc.ops.log1p(mc.tensor(1e-10)).item():.3g}"
    '1e-10'
    """
    return Log1p()(input)  # type: ignore[no-any-return]


class Sqrt(Function):
    def forward(self, x: Array) -> Array:
        self.keep_outputs(0)
        return self.xp.sqrt(real(x))

    def backward(self, gy: Tensor) -> Tensor:
        (y,) = self.kept_outputs()
        return gy * 0.5 / y


def sqrt(input: Tensor) -> Tensor:
    """Square root; NaN below 0.

    Gradient
    --------
    gy / (2 y), infinite at 0. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.sqrt(mc.tensor([4.0, 9.0])).tolist()
    [2.0, 3.0]
    """
    return Sqrt()(input)  # type: ignore[no-any-return]


class Rsqrt(Function):
    precision = "float32"

    def forward(self, x: Array) -> Array:
        self.keep_outputs(0)
        return self.xp.reciprocal(self.xp.sqrt(real(x)))

    def backward(self, gy: Tensor) -> Tensor:
        (y,) = self.kept_outputs()
        return gy * -0.5 * (y * y * y)


def rsqrt(input: Tensor) -> Tensor:
    """Reciprocal square root, y = input ** -0.5.

    Gradient
    --------
    -gy * y**3 / 2. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.rsqrt(mc.tensor([4.0, 0.25])).tolist()
    [0.5, 2.0]
    """
    return Rsqrt()(input)  # type: ignore[no-any-return]


class Square(Function):
    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        return self.xp.multiply(x, x)

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        return gy * (x * 2.0)


def square(input: Tensor) -> Tensor:
    """Y = input ** 2.

    Gradient
    --------
    2 * gy * input. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.square(mc.tensor([1.0, -3.0])).tolist()
    [1.0, 9.0]
    """
    return Square()(input)  # type: ignore[no-any-return]


class Reciprocal(Function):
    precision = "float32"

    def forward(self, x: Array) -> Array:
        self.keep_outputs(0)
        return self.xp.reciprocal(real(x))

    def backward(self, gy: Tensor) -> Tensor:
        (y,) = self.kept_outputs()
        return -gy * (y * y)


def reciprocal(input: Tensor) -> Tensor:
    """Y = 1 / input.

    Gradient
    --------
    -gy * y**2. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.reciprocal(mc.tensor([2.0, -4.0])).tolist()
    [0.5, -0.25]
    """
    return Reciprocal()(input)  # type: ignore[no-any-return]


class Sin(Function):
    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        return self.xp.sin(real(x))

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        return gy * cos(x)


def sin(input: Tensor) -> Tensor:
    """Sine of radians.

    Gradient
    --------
    gy * cos(input). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.sin(mc.tensor([0.0, 1.0]))
    tensor([0.    , 0.8415])
    """
    return Sin()(input)  # type: ignore[no-any-return]


class Cos(Function):
    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        return self.xp.cos(real(x))

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        return -gy * sin(x)


def cos(input: Tensor) -> Tensor:
    """Cosine of radians.

    Gradient
    --------
    -gy * sin(input). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.cos(mc.tensor([0.0, 1.0]))
    tensor([1.    , 0.5403])
    """
    return Cos()(input)  # type: ignore[no-any-return]


class Tan(Function):
    precision = "float32"

    def forward(self, x: Array) -> Array:
        self.keep_outputs(0)
        return self.xp.tan(real(x))

    def backward(self, gy: Tensor) -> Tensor:
        (y,) = self.kept_outputs()
        return gy * (y * y + 1.0)


def tan(input: Tensor) -> Tensor:
    """Tangent of radians.

    Gradient
    --------
    gy * (1 + y**2). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.tan(mc.tensor([0.0, 1.0]))
    tensor([0.    , 1.5574])
    """
    return Tan()(input)  # type: ignore[no-any-return]


class Atan(Function):
    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        return self.xp.arctan(real(x))

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        return gy / (x * x + 1.0)


def atan(input: Tensor) -> Tensor:
    """Inverse tangent, in radians from -pi/2 to pi/2.

    Gradient
    --------
    gy / (1 + input**2). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.atan(mc.tensor([0.0, 1.0]))
    tensor([0.    , 0.7854])
    """
    return Atan()(input)  # type: ignore[no-any-return]


class Erf(Function):
    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        return self.backend.elementwise.erf(real(x))

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        return gy * exp(-(x * x)) * (2.0 / _root(pi))


def erf(input: Tensor) -> Tensor:
    """Error function, the integral of 2/sqrt(pi) * exp(-t**2) from 0 to the input.

    Gradient
    --------
    gy * 2/sqrt(pi) * exp(-input**2). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.erf(mc.tensor([0.0, 1.0]))
    tensor([0.    , 0.8427])
    """
    return Erf()(input)  # type: ignore[no-any-return]
