"""Rectifiers: activations that pass positive inputs unchanged.

The gradients of relu and leaky relu are fused into Functions of their own, one pass over memory each.
"""

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.promotion import match, real
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.ops.arithmetic import where
from minicnn.ops.cast import fit


class Relu(Function):
    def forward(self, x: Array) -> Array:
        self.keep_outputs(0)
        return self.backend.activations.relu(x)

    def backward(self, gy: Tensor) -> Tensor:
        (y,) = self.kept_outputs()
        return ReluGrad()(gy, y)  # type: ignore[no-any-return]


class ReluGrad(Function):
    """gy where y > 0: linear in gy, and constant between kinks in y."""

    def forward(self, gy: Array, y: Array) -> Array:
        self.keep_inputs(1)
        return self.backend.activations.relu_grad(gy, y)

    def backward(self, ggx: Tensor) -> tuple[Tensor | None, None]:
        (y,) = self.kept_inputs()
        return ReluGrad()(ggx, y) if self.needs(0) else None, None


def relu(input: Tensor) -> Tensor:
    """Rectifier, y = max(input, 0); NaN stays.

    Parameters
    ----------
    input : Tensor

    Gradient
    --------
    gy where input > 0, 0 elsewhere (0 at 0). Any order.

    Notes
    -----
    One pass over memory each way; only the output is kept.

    References
    ----------
    Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.relu(mc.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return Relu()(input)  # type: ignore[no-any-return]


class LeakyRelu(Function):
    def __init__(self, slope: float) -> None:
        self.slope = slope

    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        xp, slope = self.xp, self.slope
        scaled = xp.multiply(real(x) if slope else xp.minimum(real(x), 0), slope)  # inf * 0 would be NaN
        return xp.maximum(x, scaled) if slope <= 1 else xp.minimum(x, scaled)

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        return LeakyReluGrad(self.slope)(gy, x)  # type: ignore[no-any-return]


class LeakyReluGrad(Function):
    def __init__(self, slope: float) -> None:
        self.slope = slope

    def forward(self, gy: Array, x: Array) -> Array:
        self.keep_inputs(1)
        return self.backend.activations.leaky_relu_grad(gy, x, self.slope)

    def backward(self, ggx: Tensor) -> tuple[Tensor | None, None]:
        (x,) = self.kept_inputs()
        return LeakyReluGrad(self.slope)(ggx, x) if self.needs(0) else None, None


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Y = input where it is positive, negative_slope * input elsewhere.

    Parameters
    ----------
    input : Tensor
    negative_slope : float

    Gradient
    --------
    gy where input > 0, negative_slope * gy elsewhere. Any order.

    References
    ----------
    Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.leaky_relu(mc.tensor([-10.0, 2.0]), 0.5).tolist()
    [-5.0, 2.0]
    """
    return LeakyRelu(negative_slope)(input)  # type: ignore[no-any-return]


class Prelu(Function):
    def forward(self, x: Array, w: Array) -> Array:
        self.keep_inputs(0, 1)
        x, w = match(x, w)
        return self.xp.where(x > 0, x, self.xp.multiply(x, w))

    def backward(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, w = self.kept_inputs()
        positive = x > 0
        return (
            fit(where(positive, gy, gy * w), x.shape, x.dtype) if self.needs(0) else None,
            fit(where(positive, 0.0, gy * x), w.shape, w.dtype) if self.needs(1) else None,
        )


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Y = input where it is positive, weight * input elsewhere; the weight is learnt.

    Parameters
    ----------
    input : Tensor (N, C, ...)
    weight : Tensor (1,) or (C,)
        One slope for all channels, or one for each.

    Gradient
    --------
    gy or weight * gy to the input; the sum of gy * input over the negative inputs to the weight. Any order.

    References
    ----------
    He et al., "Delving deep into rectifiers", ICCV 2015, equation 1.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.prelu(mc.tensor([[-4.0, -4.0]]), mc.tensor([0.5, 0.25])).tolist()
    [[-2.0, -1.0]]
    """
    n = weight.numel()
    channels = input.shape[1] if input.ndim > 1 else 1
    if n not in (1, channels):
        raise checks.value_error("prelu", f"weight must hold 1 or {channels} slopes", input=input, weight=weight)
    shape = (n,) + (1,) * (input.ndim - 2) if input.ndim > 1 else ()
    return Prelu()(input, weight.reshape(shape))  # type: ignore[no-any-return]


class Elu(Function):
    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        self.keep_outputs(0)
        xp, x = self.xp, real(x)
        return xp.where(x > 0, x, xp.multiply(xp.expm1(xp.minimum(x, 0)), self.alpha))

    def backward(self, gy: Tensor) -> Tensor:
        (x,), (y,) = self.kept_inputs(), self.kept_outputs()
        return where(x > 0, gy, gy * (y + self.alpha))


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Y = input where it is positive, alpha * (exp(input) - 1) elsewhere.

    Gradient
    --------
    gy where input > 0, gy * (y + alpha) elsewhere. Any order.

    References
    ----------
    Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by ELUs", ICLR 2016.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.elu(mc.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """
    return Elu(alpha)(input)  # type: ignore[no-any-return]


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def selu(input: Tensor) -> Tensor:
    """Self-normalising ELU, y = 1.0507 * elu(input, 1.6733).

    Gradient
    --------
    1.0507 times that of :func:`elu`. Any order.

    References
    ----------
    Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.selu(mc.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    return elu(input, SELU_ALPHA) * SELU_SCALE


class Hardtanh(Function):
    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def forward(self, x: Array) -> Array:
        self.keep_outputs(0)
        return self.xp.minimum(self.xp.maximum(x, self.low), self.high)

    def backward(self, gy: Tensor) -> Tensor:
        (y,) = self.kept_outputs()
        return where((y <= self.low) | (y >= self.high), 0.0, gy)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """Y = input limited to the range from ``min_val`` to ``max_val``.

    Raises
    ------
    ValueError
        Unless min_val < max_val.

    Gradient
    --------
    gy where min_val < input < max_val (ends excluded, unlike :func:`clamp`), 0 elsewhere. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.hardtanh(mc.tensor([-2.0, 0.5])).tolist()
    [-1.0, 0.5]
    """
    if not min_val < max_val:
        raise checks.value_error("hardtanh", f"min_val {min_val} must be smaller than max_val {max_val}", input=input)
    return Hardtanh(min_val, max_val)(input)  # type: ignore[no-any-return]


def relu6(input: Tensor) -> Tensor:
    """Y = min(max(input, 0), 6).

    Gradient
    --------
    gy where 0 < input < 6, 0 elsewhere. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.relu6(mc.tensor([-1.0, 3.0, 9.0])).tolist()
    [0.0, 3.0, 6.0]
    """
    return Hardtanh(0.0, 6.0)(input)  # type: ignore[no-any-return]
