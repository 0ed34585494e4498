"""Activations in one pass over memory: their gradients as numba loops, the sigmoid in cache-sized blocks.

NumPy needs a pass for each operation of a formula; at sizes beyond the cache each pass costs as much as the whole
loop here. Small arrays go through NumPy, whose call is cheapest; the two agree, up to the sign of a zero.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.backends.cpu import arrays, threads
from minicnn.backends.cpu.memory import empty
from minicnn.core.types import Array

COMPILED = "fd"  # dtypes that numba computes with
SMALL = 1 << 12  # elements below which a NumPy expression is faster than a kernel


def relu(x: Array) -> Array:
    """max(x, 0); NaN stays."""
    if x.size < SMALL or x.dtype.char not in COMPILED:
        return np.maximum(x, 0)
    from minicnn.backends.cpu.activation_kernels import relu_grad as run

    out, flat = empty(x.shape, x.dtype), np.ascontiguousarray(x).reshape(-1)
    run.sized(x.size, flat, flat, out.reshape(-1))
    return out


def _contiguous(x: Array, y: Array) -> tuple[Array, Array]:
    return np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(y).reshape(-1)


def relu_grad(gy: Array, y: Array) -> Array:
    """Gy where y > 0 (or NaN), else 0."""
    if gy.size < SMALL or gy.dtype.char not in COMPILED or (y.shape, y.dtype) != (gy.shape, gy.dtype):
        return np.where(y <= 0, gy.dtype.type(0), gy)
    from minicnn.backends.cpu.activation_kernels import relu_grad as run

    out = empty(gy.shape, gy.dtype)
    if not gy.flags.c_contiguous and y.flags.c_contiguous and gy[0].size >= SMALL and gy[0].flags.c_contiguous:
        for part, source, target in zip(gy, y, out, strict=True):  # a slice of channels, as concatenation sends back
            run.sized(part.size, part.reshape(-1), source.reshape(-1), target.reshape(-1))
        return out
    run.sized(gy.size, *_contiguous(gy, y), out.reshape(-1))
    return out


def leaky_relu_grad(gy: Array, x: Array, slope: float) -> Array:
    """Gy where x > 0 (or NaN), else slope * gy."""
    if gy.size < SMALL or gy.dtype.char not in COMPILED:
        return np.where(x <= 0, gy * slope, gy)
    from minicnn.backends.cpu.activation_kernels import leaky_relu_grad as run

    out = empty(gy.shape, gy.dtype)
    run.sized(gy.size, *_contiguous(gy, x), out.reshape(-1), gy.dtype.type(slope))
    return out


def tanh_grad(gy: Array, y: Array, p: float, q: float) -> Array:
    """Gy * (p - q * y * y): the gradient of tanh, and of its scaled form."""
    if gy.size < SMALL or gy.dtype.char not in COMPILED:
        return gy * (p - y * y * q)
    from minicnn.backends.cpu.activation_kernels import tanh_grad as run

    out = empty(gy.shape, gy.dtype)
    run.sized(gy.size, *_contiguous(gy, y), out.reshape(-1), gy.dtype.type(p), gy.dtype.type(q))
    return out


def sigmoid_grad(gy: Array, y: Array) -> Array:
    """Gy * (y - y * y)."""
    if gy.size < SMALL or gy.dtype.char not in COMPILED:
        return gy * (y - y * y)
    from minicnn.backends.cpu.activation_kernels import sigmoid_grad as run

    out = empty(gy.shape, gy.dtype)
    run.sized(gy.size, *_contiguous(gy, y), out.reshape(-1))
    return out


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), exact in both tails."""
    return _blocks(_sigmoid, x)


def softplus(x: Array, beta: float, threshold: float) -> Array:
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x > threshold."""

    def block(x: Array, out: Array) -> None:
        z = x * beta
        np.log1p(np.exp(-np.abs(z)), out=out)
        out += np.maximum(z, 0)
        out /= beta
        np.copyto(out, x, where=z > threshold)

    return _blocks(block, x)


def _sigmoid(x: Array, out: Array) -> None:
    with np.errstate(over="ignore"):  # exp(-x) = inf gives the right limit, 0
        np.exp(np.negative(x, out=out), out=out)
    np.add(out, 1, out=out)
    np.reciprocal(out, out=out)


def _blocks(function: Callable[[Any, Any], None], x: Array) -> Array:
    """``function(part, part_of_output)`` for all cache-sized parts of ``x``, on all cores."""
    out = empty(x.shape, x.dtype)
    source, target = np.ascontiguousarray(x).reshape(-1), out.reshape(-1)
    if x.size < arrays.PARALLEL:
        function(source, target)
        return out
    step = arrays.BLOCK >> 2  # a formula of several steps: its temporaries stay in the cache too

    def block(i: int) -> None:
        part = slice(i * step, (i + 1) * step)
        function(source[part], target[part])

    threads.run(block, -(-source.size // step))
    return out
