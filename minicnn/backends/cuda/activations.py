"""Activations on the GPU: their values and gradients in one pass over memory (``kernels/activations.cu``)."""

from math import prod

from minicnn.backends.cuda import seam
from minicnn.core.dtypes import is_float
from minicnn.core.types import Array


def relu(x: Array) -> Array:
    """max(x, 0); NaN stays."""
    return _map("relu", x) if is_float(x.dtype) else seam.xp().maximum(x, 0)


def relu_grad(gy: Array, y: Array) -> Array:
    """Gy where y > 0 (or NaN), else 0."""
    return _map("relu_grad", gy, y)


def leaky_relu_grad(gy: Array, x: Array, slope: float) -> Array:
    """Gy where x > 0 (or NaN), else slope * gy."""
    return _map("leaky_relu_grad", gy, x, scalars=(slope,))


def tanh_grad(gy: Array, y: Array, p: float, q: float) -> Array:
    """Gy * (p - q * y * y): the gradient of tanh, and of its scaled form."""
    return _map("tanh_grad", gy, y, scalars=(p, q))


def sigmoid_grad(gy: Array, y: Array) -> Array:
    """Gy * (y - y * y)."""
    return _map("sigmoid_grad", gy, y)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), exact in both tails."""
    return _map("sigmoid", x)


def softplus(x: Array, beta: float, threshold: float) -> Array:
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x > threshold."""
    return _map("softplus", x, scalars=(beta, threshold))


def add_bias(x: Array, bias: Array, relu: bool = False, out: Array | None = None) -> Array:
    """``x[n, c, ...] + bias[c]``, and its relu if wanted, in one pass; into ``out``, which may be ``x``."""
    y = seam.empty(x.shape, x.dtype) if out is None else out
    sizes = x.shape[1], prod(x.shape[2:]), x.size
    name = "activations.bias_relu" if relu else "activations.bias_add"
    seam.packs(name, x, seam.contiguous(x), seam.contiguous(bias), y, *sizes)
    return y


def _map(kernel: str, *inputs: Array, scalars: tuple[float, ...] = ()) -> Array:
    """A kernel over all elements; inputs of one shape and dtype."""
    x = inputs[0]
    y = seam.empty(x.shape, x.dtype)
    seam.packs(f"activations.{kernel}", x, *[seam.contiguous(a) for a in inputs], y, *scalars, x.size)
    return y
