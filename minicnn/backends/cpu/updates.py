"""Fused optimiser steps: one pass over a parameter, its gradient and its state, all written in place.

An update is memory traffic and nothing else, so each rule reads and writes every array once. Small tensors
(biases, norm scales) run serially: waking the threads would cost more than the step. Each element is
computed by itself, so the thread count cannot change a result.
"""

import math
from typing import Any

import numpy as np

from minicnn.backends.cpu.jit import inline, kernel, prange
from minicnn.core.types import Array

_BLOCK = 1 << 14
_SERIAL = 1 << 15  # below this many elements one core is faster than two


def _apply(step: Any, w: Array, g: Array, state: tuple[Array, ...], *scalars: float | bool) -> None:
    """Run `step` on flat views; a parameter that is not contiguous is updated through a copy."""
    g = np.ascontiguousarray(g, dtype=w.dtype).reshape(-1)
    flat = [s.reshape(-1) for s in state]
    if w.flags.c_contiguous:
        step(w.reshape(-1), g, *flat, *scalars)
    else:
        copy = w.ravel()
        step(copy, g, *flat, *scalars)
        w[...] = copy.reshape(w.shape)


def _or_empty(state: Array | None, w: Array) -> Array:
    """Stand-in for state that a rule does not keep (a kernel argument has one type)."""
    return np.empty(0, dtype=w.dtype) if state is None else state


# SGD: v <- momentum v + (1 - dampening) d,  w <- w - lr (d + momentum v | v),  d = sign g + weight_decay w


@inline
def _sgd_range(w, g, v, lr, momentum, keep, decay, sign, nesterov):  # type: ignore[no-untyped-def]
    if momentum == 0:
        for i in range(w.size):
            w[i] -= lr * (sign * g[i] + decay * w[i])
    elif nesterov:
        for i in range(w.size):
            d = sign * g[i] + decay * w[i]
            v[i] = momentum * v[i] + keep * d
            w[i] -= lr * (d + momentum * v[i])
    else:
        for i in range(w.size):
            v[i] = momentum * v[i] + keep * (sign * g[i] + decay * w[i])
            w[i] -= lr * v[i]


@kernel
def _sgd(w, g, v, lr, momentum, keep, decay, sign, nesterov):  # type: ignore[no-untyped-def]
    real = w.dtype.type
    lr, momentum, keep, decay, sign = real(lr), real(momentum), real(keep), real(decay), real(sign)
    n = w.size
    if n <= _SERIAL:
        _sgd_range(w, g, v, lr, momentum, keep, decay, sign, nesterov)
    else:
        for b in prange((n + _BLOCK - 1) // _BLOCK):
            cut = slice(b * _BLOCK, min(n, (b + 1) * _BLOCK))
            _sgd_range(w[cut], g[cut], v[cut], lr, momentum, keep, decay, sign, nesterov)


def sgd(
    w: Array,
    g: Array,
    velocity: Array | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """Gradient step with (Nesterov) momentum."""
    sign = -1.0 if maximize else 1.0
    keep = 1.0 - dampening
    v = _or_empty(velocity, w)
    _apply(_sgd, w, g, (v,), float(lr), float(momentum), keep, float(weight_decay), sign, bool(nesterov))


# LARS: v <- momentum v + rate (sign g + weight_decay w),  w <- w - v


@inline
def _lars_range(w, g, v, rate, momentum, decay, sign):  # type: ignore[no-untyped-def]
    for i in range(w.size):
        v[i] = momentum * v[i] + rate * (sign * g[i] + decay * w[i])
        w[i] -= v[i]


@kernel
def _lars(w, g, v, rate, momentum, decay, sign):  # type: ignore[no-untyped-def]
    real = w.dtype.type
    rate, momentum, decay, sign = real(rate), real(momentum), real(decay), real(sign)
    n = w.size
    if n <= _SERIAL:
        _lars_range(w, g, v, rate, momentum, decay, sign)
    else:
        for b in prange((n + _BLOCK - 1) // _BLOCK):
            cut = slice(b * _BLOCK, min(n, (b + 1) * _BLOCK))
            _lars_range(w[cut], g[cut], v[cut], rate, momentum, decay, sign)


def lars(
    w: Array, g: Array, velocity: Array, rate: float, momentum: float, weight_decay: float, maximize: bool
) -> None:
    """Momentum step whose rate (already scaled by the tensor's norms) is inside the velocity."""
    sign = -1.0 if maximize else 1.0
    _apply(_lars, w, g, (velocity,), float(rate), float(momentum), float(weight_decay), sign)


# Adagrad: s <- s + d^2,  w <- w - lr d / (sqrt s + eps)


@inline
def _adagrad_range(w, g, s, lr, decay, eps, sign):  # type: ignore[no-untyped-def]
    for i in range(w.size):
        d = sign * g[i] + decay * w[i]
        s[i] += d * d
        w[i] -= lr * d / (math.sqrt(s[i]) + eps)


@kernel
def _adagrad(w, g, s, lr, decay, eps, sign):  # type: ignore[no-untyped-def]
    real = w.dtype.type
    lr, decay, eps, sign = real(lr), real(decay), real(eps), real(sign)
    n = w.size
    if n <= _SERIAL:
        _adagrad_range(w, g, s, lr, decay, eps, sign)
    else:
        for b in prange((n + _BLOCK - 1) // _BLOCK):
            cut = slice(b * _BLOCK, min(n, (b + 1) * _BLOCK))
            _adagrad_range(w[cut], g[cut], s[cut], lr, decay, eps, sign)


def adagrad(w: Array, g: Array, squares: Array, lr: float, weight_decay: float, eps: float, maximize: bool) -> None:
    """Rate divided by the root of the sum of squared gradients."""
    _apply(_adagrad, w, g, (squares,), float(lr), float(weight_decay), float(eps), -1.0 if maximize else 1.0)


# Adadelta: s <- rho s + (1-rho) d^2,  u = sqrt(a+eps)/sqrt(s+eps) d,  a <- rho a + (1-rho) u^2,  w <- w - lr u


@inline
def _adadelta_range(w, g, s, a, lr, rho, rest, decay, eps, sign):  # type: ignore[no-untyped-def]
    for i in range(w.size):
        d = sign * g[i] + decay * w[i]
        s[i] = rho * s[i] + rest * d * d
        u = math.sqrt(a[i] + eps) / math.sqrt(s[i] + eps) * d
        a[i] = rho * a[i] + rest * u * u
        w[i] -= lr * u


@kernel
def _adadelta(w, g, s, a, lr, rho, decay, eps, sign):  # type: ignore[no-untyped-def]
    real = w.dtype.type
    rest = real(1.0 - rho)
    lr, rho, decay, eps, sign = real(lr), real(rho), real(decay), real(eps), real(sign)
    n = w.size
    if n <= _SERIAL:
        _adadelta_range(w, g, s, a, lr, rho, rest, decay, eps, sign)
    else:
        for b in prange((n + _BLOCK - 1) // _BLOCK):
            cut = slice(b * _BLOCK, min(n, (b + 1) * _BLOCK))
            _adadelta_range(w[cut], g[cut], s[cut], a[cut], lr, rho, rest, decay, eps, sign)


def adadelta(
    w: Array,
    g: Array,
    squares: Array,
    deltas: Array,
    lr: float,
    rho: float,
    weight_decay: float,
    eps: float,
    maximize: bool,
) -> None:
    """Steps in the units of the parameter: root mean square of past steps over that of gradients."""
    sign = -1.0 if maximize else 1.0
    _apply(_adadelta, w, g, (squares, deltas), float(lr), float(rho), float(weight_decay), float(eps), sign)


# RMSprop: s <- alpha s + (1-alpha) d^2,  r = sqrt(s - mean^2) + eps | sqrt(s - mean^2 + eps),  b <- momentum b + d/r


@inline
def _rmsprop_range(  # type: ignore[no-untyped-def]
    w, g, s, mean, b, lr, alpha, rest, inner, outer, decay, momentum, sign, centered
):
    for i in range(w.size):
        d = sign * g[i] + decay * w[i]
        s[i] = alpha * s[i] + rest * d * d
        variance = s[i]
        if centered:
            mean[i] = alpha * mean[i] + rest * d
            variance -= mean[i] * mean[i]
        u = d / (math.sqrt(variance + inner) + outer)
        if momentum != 0:
            b[i] = momentum * b[i] + u
            u = b[i]
        w[i] -= lr * u


@kernel
def _rmsprop(  # type: ignore[no-untyped-def]
    w, g, s, mean, b, lr, alpha, inner, outer, decay, momentum, sign, centered
):
    real = w.dtype.type
    rest = real(1.0 - alpha)
    lr, alpha, inner, outer = real(lr), real(alpha), real(inner), real(outer)
    decay, momentum, sign = real(decay), real(momentum), real(sign)
    n = w.size
    if n <= _SERIAL:
        _rmsprop_range(w, g, s, mean, b, lr, alpha, rest, inner, outer, decay, momentum, sign, centered)
    else:
        for k in prange((n + _BLOCK - 1) // _BLOCK):
            cut = slice(k * _BLOCK, min(n, (k + 1) * _BLOCK))
            _rmsprop_range(
                w[cut],
                g[cut],
                s[cut],
                mean[cut],
                b[cut],
                lr,
                alpha,
                rest,
                inner,
                outer,
                decay,
                momentum,
                sign,
                centered,
            )


def rmsprop(
    w: Array,
    g: Array,
    squares: Array,
    mean: Array | None,
    velocity: Array | None,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    eps_inside_root: bool,
    maximize: bool,
) -> None:
    """Gradient over its running root mean square; `mean` centres it, `velocity` adds momentum."""
    inner, outer = (float(eps), 0.0) if eps_inside_root else (0.0, float(eps))
    state = (squares, _or_empty(mean, w), _or_empty(velocity, w))
    sign = -1.0 if maximize else 1.0
    decay, centered = float(weight_decay), mean is not None
    _apply(_rmsprop, w, g, state, float(lr), float(alpha), inner, outer, decay, float(momentum), sign, centered)


# Adam: m <- b1 m + (1-b1) d,  v <- b2 v + (1-b2) d^2,  w <- w - rate m / (sqrt(v) * root + eps)
# with rate = lr/(1-b1^t), root = 1/sqrt(1-b2^t); AdamW shrinks w by (1 - lr weight_decay) before the step


@inline
def _adam_range(  # type: ignore[no-untyped-def]
    w, g, m, v, top, rate, b1, r1, b2, r2, root, eps, decay, shrink, sign, amsgrad
):
    for i in range(w.size):
        d = sign * g[i] + decay * w[i]
        m[i] = b1 * m[i] + r1 * d
        v[i] = b2 * v[i] + r2 * d * d
        second = v[i]
        if amsgrad:
            top[i] = max(top[i], second)
            second = top[i]
        w[i] = shrink * w[i] - rate * m[i] / (math.sqrt(second) * root + eps)


@kernel
def _adam(  # type: ignore[no-untyped-def]
    w, g, m, v, top, rate, b1, b2, root, eps, decay, shrink, sign, amsgrad
):
    real = w.dtype.type
    r1, r2 = real(1.0 - b1), real(1.0 - b2)
    rate, b1, b2, root, eps = real(rate), real(b1), real(b2), real(root), real(eps)
    decay, shrink, sign = real(decay), real(shrink), real(sign)
    n = w.size
    if n <= _SERIAL:
        _adam_range(w, g, m, v, top, rate, b1, r1, b2, r2, root, eps, decay, shrink, sign, amsgrad)
    else:
        for k in prange((n + _BLOCK - 1) // _BLOCK):
            cut = slice(k * _BLOCK, min(n, (k + 1) * _BLOCK))
            _adam_range(
                w[cut], g[cut], m[cut], v[cut], top[cut], rate, b1, r1, b2, r2, root, eps, decay, shrink, sign, amsgrad
            )


def adam(
    w: Array,
    g: Array,
    first: Array,
    second: Array,
    largest: Array | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> None:
    """Bias-corrected first moment over the root of the second; `largest` switches to AMSGrad."""
    rate = lr / (1.0 - beta1**step)
    root = 1.0 / math.sqrt(1.0 - beta2**step)
    decay, shrink = (0.0, 1.0 - lr * weight_decay) if decoupled else (float(weight_decay), 1.0)
    state = (first, second, _or_empty(largest, w))
    sign, amsgrad = -1.0 if maximize else 1.0, largest is not None
    scalars = (rate, float(beta1), float(beta2), root, float(eps), decay, shrink, sign, amsgrad)
    _apply(_adam, w, g, state, *scalars)


@kernel
def _square_sums(x, sums):  # type: ignore[no-untyped-def]
    n = x.size
    for b in prange(sums.size):
        total = 0.0
        for i in range(b * _BLOCK, min(n, (b + 1) * _BLOCK)):
            value = np.float64(x[i])
            total += value * value
        sums[b] = total


def norm(x: Array) -> float:
    """Euclidean norm, summed in float64 over blocks of fixed size (any thread count, same bits)."""
    flat = np.ascontiguousarray(x).reshape(-1)
    if flat.size <= _SERIAL:
        wide = flat.astype(np.float64)
        return math.sqrt(float(np.dot(wide, wide)))
    sums = np.empty((flat.size + _BLOCK - 1) // _BLOCK)
    _square_sums(flat, sums)
    return math.sqrt(float(np.sum(sums)))
