"""The loops of ``activations.py``, compiled when the first large array arrives."""

import numpy as np

from minicnn.backends.cpu import simd_rows
from minicnn.backends.cpu.jit import kernel, prange

BLOCK = 1 << 14  # elements that one vector loop works through


@kernel
def relu_grad(gy, y, out):  # type: ignore[no-untyped-def]
    """Gy where y > 0 (or NaN), else 0; with gy = y it is ReLU itself. Vectors as wide as they come: it only moves."""
    for block in prange((gy.size + BLOCK - 1) // BLOCK):
        first = np.int64(block) * BLOCK
        simd_rows.keep_positive(out, gy, y, first, min(BLOCK, gy.size - first))


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
