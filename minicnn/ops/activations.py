"""Smooth activations: sigmoid, tanh and what is built on them.

The gradients of sigmoid and tanh are fused into Functions of their own, one pass over memory each.
"""

from math import pi, sqrt

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.promotion import real
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.ops.arithmetic import where
from minicnn.ops.elementwise import erf, exp


class Sigmoid(Function):
    def forward(self, x: Array) -> Array:
        self.keep_outputs(0)
        return self.backend.activations.sigmoid(real(x))

    def backward(self, gy: Tensor) -> Tensor:
        (y,) = self.kept_outputs()
        return SigmoidGrad()(gy, y)  # type: ignore[no-any-return]


class SigmoidGrad(Function):
    """gy * y * (1 - y)."""

    def forward(self, gy: Array, y: Array) -> Array:
        self.keep_inputs(0, 1)
        return self.backend.activations.sigmoid_grad(gy, y)

    def backward(self, ggx: Tensor) -> tuple[Tensor | None, Tensor | None]:
        gy, y = self.kept_inputs()
        return (
            SigmoidGrad()(ggx, y) if self.needs(0) else None,
            ggx * gy * (1.0 - y * 2.0) if self.needs(1) else None,
        )


def sigmoid(input: Tensor) -> Tensor:
    """Logistic function, y = 1 / (1 + exp(-input)); exact in both tails.

    Gradient
    --------
    gy * y * (1 - y). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.sigmoid(mc.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return Sigmoid()(input)  # type: ignore[no-any-return]


class Logsigmoid(Function):
    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        xp, x = self.xp, real(x)
        return xp.subtract(xp.minimum(x, 0), xp.log1p(xp.exp(xp.negative(xp.abs(x)))))

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        return gy * sigmoid(-x)


def logsigmoid(input: Tensor) -> Tensor:
    """Y = log(sigmoid(input)), stable for all inputs.

    Gradient
    --------
    gy * sigmoid(-input). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.logsigmoid(mc.tensor([-1000.0, 0.0]))
    tensor([-1.0000e+03, -6.9315e-01])
    """
    return Logsigmoid()(input)  # type: ignore[no-any-return]


class Tanh(Function):
    """amplitude * tanh(slope * x)."""

    def __init__(self, amplitude: float, slope: float) -> None:
        self.amplitude, self.slope = amplitude, slope

    def forward(self, x: Array) -> Array:
        self.keep_outputs(0)
        xp, x = self.xp, real(x)
        y = xp.tanh(x if self.slope == 1 else xp.multiply(x, self.slope))
        return y if self.amplitude == 1 else xp.multiply(y, self.amplitude)

    def backward(self, gy: Tensor) -> Tensor:
        (y,) = self.kept_outputs()
        return TanhGrad(self.amplitude * self.slope, self.slope / self.amplitude)(gy, y)  # type: ignore[no-any-return]


class TanhGrad(Function):
    """gy * (p - q * y**2)."""

    def __init__(self, p: float, q: float) -> None:
        self.p, self.q = p, q

    def forward(self, gy: Array, y: Array) -> Array:
        self.keep_inputs(0, 1)
        return self.backend.activations.tanh_grad(gy, y, self.p, self.q)

    def backward(self, ggx: Tensor) -> tuple[Tensor | None, Tensor | None]:
        gy, y = self.kept_inputs()
        return (
            TanhGrad(self.p, self.q)(ggx, y) if self.needs(0) else None,
            ggx * gy * (y * (-2.0 * self.q)) if self.needs(1) else None,
        )


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent.

    Gradient
    --------
    gy * (1 - y**2). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.tanh(mc.tensor([0.0, 1.0]))
    tensor([0.    , 0.7616])
    """
    return Tanh(1.0, 1.0)(input)  # type: ignore[no-any-return]


def scaled_tanh(input: Tensor, amplitude: float = 1.7159, slope: float = 2.0 / 3.0) -> Tensor:
    """LeNet's squashing function, y = amplitude * tanh(slope * input); maps 1 to 1 and -1 to -1.

    Gradient
    --------
    gy * (amplitude * slope - slope / amplitude * y**2). Any order.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998, appendix A.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.scaled_tanh(mc.tensor([-1.0, 0.0, 1.0]))
    tensor([-1.,  0.,  1.])
    """
    return Tanh(amplitude, slope)(input)  # type: ignore[no-any-return]


class Softplus(Function):
    precision = "float32"

    def __init__(self, beta: float, threshold: float) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        return self.backend.activations.softplus(real(x), self.beta, self.threshold)

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        z = x * self.beta
        return where(z > self.threshold, gy, gy * sigmoid(z))


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Smooth rectifier, y = log(1 + exp(beta * input)) / beta.

    Parameters
    ----------
    input : Tensor
    beta : float > 0
    threshold : float
        Where beta * input is above it, y = input.

    Gradient
    --------
    gy * sigmoid(beta * input), and gy above the threshold. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.softplus(mc.tensor([0.0, 50.0]))
    tensor([ 0.6931, 50.    ])
    """
    return Softplus(beta, threshold)(input)  # type: ignore[no-any-return]


class Silu(Function):
    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        x = real(x)
        return self.xp.multiply(x, self.backend.activations.sigmoid(x))

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        s = sigmoid(x)
        return gy * (s * (1.0 + x * (1.0 - s)))


def silu(input: Tensor) -> Tensor:
    """Swish, y = input * sigmoid(input).

    Gradient
    --------
    gy * s * (1 + input * (1 - s)) with s = sigmoid(input). Any order.

    References
    ----------
    Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units", 2017; Ramachandran, Zoph, Le, "Swish", 2017.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.silu(mc.tensor([0.0, 1.0]))
    tensor([0.    , 0.7311])
    """
    return Silu()(input)  # type: ignore[no-any-return]


class Gelu(Function):
    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        x = real(x)
        cdf = self.backend.elementwise.erf(self.xp.multiply(x, sqrt(0.5)))
        return self.xp.multiply(self.xp.multiply(x, 0.5), self.xp.add(cdf, 1))

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        cdf = (erf(x * sqrt(0.5)) + 1.0) * 0.5
        return gy * (cdf + x * exp(x * x * -0.5) * (1.0 / sqrt(2.0 * pi)))


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Y = input * Phi(input), Phi the normal distribution function.

    Parameters
    ----------
    input : Tensor
    approximate : "none" or "tanh"
        "tanh": y = input/2 * (1 + tanh(sqrt(2/pi) * (input + 0.044715 * input**3))).

    Gradient
    --------
    gy * (Phi(input) + input * phi(input)). Any order.

    References
    ----------
    Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.gelu(mc.tensor([-1.0, 1.0]))
    tensor([-0.1587,  0.8413])
    """
    if approximate == "none":
        return Gelu()(input)  # type: ignore[no-any-return]
    if approximate != "tanh":
        raise checks.value_error("gelu", f"approximate must be 'none' or 'tanh', got {approximate!r}")
    inner = (input + input * input * input * 0.044715) * sqrt(2.0 / pi)
    return input * 0.5 * (tanh(inner) + 1.0)
