"""The loops of ``activations.py``, compiled when the first large array arrives."""

from minicnn.backends.cpu.jit import kernel, prange


@kernel
def relu(x, out):  # type: ignore[no-untyped-def]
    """Max(x, 0); NaN stays."""
    zero = x.dtype.type(0)
    for i in prange(x.size):
        out[i] = zero if x[i] <= zero else x[i]  # noqa: FURB136 - NaN stays


@kernel
def relu_grad(gy, y, out):  # type: ignore[no-untyped-def]
    """Gy where y > 0 (or NaN), else 0."""
    for i in prange(gy.size):
        out[i] = 0 if y[i] <= 0 else gy[i]


@kernel
def leaky_relu_grad(gy, x, out, slope):  # type: ignore[no-untyped-def]
    """Gy where x > 0 (or NaN), else slope * gy."""
    for i in prange(gy.size):
        out[i] = slope * gy[i] if x[i] <= 0 else gy[i]


@kernel
def tanh_grad(gy, y, out, p, q):  # type: ignore[no-untyped-def]
    """Gy * (p - q * y * y)."""
    for i in prange(gy.size):
        out[i] = gy[i] * (p - y[i] * y[i] * q)


@kernel
def sigmoid_grad(gy, y, out):  # type: ignore[no-untyped-def]
    """Gy * (y - y * y)."""
    for i in prange(gy.size):
        out[i] = gy[i] * (y[i] - y[i] * y[i])
