"""Fused optimiser steps on the GPU: a parameter, its gradient and its state in one pass (``kernels/updates.cu``)."""

import math

import numpy as np

from minicnn.backends.cuda import seam
from minicnn.core.types import Array

_BLOCK = 64 * 256 * 16  # bytes of one block's part of a norm: EACH * THREADS packs of the kernel


def _apply(rule: str, w: Array, g: Array, state: tuple[Array | None, ...], *scalars: float | bool) -> None:
    """Run a rule in place; a parameter that is not contiguous is updated through a copy."""
    g = seam.contiguous(g).astype(w.dtype, copy=False)
    target = w if w.flags.c_contiguous else seam.contiguous(w)
    seam.packs(f"updates.{rule}", w, target, g, *state, *scalars, w.size)
    if target is not w:
        w[...] = target


def _sign(maximize: bool) -> float:
    return -1.0 if maximize else 1.0


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
    v = velocity if momentum else None
    _apply("sgd", w, g, (v,), lr, momentum, 1.0 - dampening, weight_decay, _sign(maximize), bool(nesterov))


def lars(
    w: Array, g: Array, velocity: Array, rate: float, momentum: float, weight_decay: float, maximize: bool
) -> None:
    """Momentum step whose rate (already scaled by the tensor's norms) is inside the velocity."""
    _apply("lars", w, g, (velocity,), rate, momentum, weight_decay, _sign(maximize))


def adagrad(w: Array, g: Array, squares: Array, lr: float, weight_decay: float, eps: float, maximize: bool) -> None:
    """Rate divided by the root of the sum of squared gradients."""
    _apply("adagrad", w, g, (squares,), lr, weight_decay, eps, _sign(maximize))


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
    _apply("adadelta", w, g, (squares, deltas), lr, rho, 1.0 - rho, weight_decay, eps, _sign(maximize))


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
    inner, outer = (eps, 0.0) if eps_inside_root else (0.0, eps)
    state = squares, mean, velocity if momentum else None
    _apply("rmsprop", w, g, state, lr, alpha, 1.0 - alpha, inner, outer, weight_decay, momentum, _sign(maximize))


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
    rate, root = lr / (1.0 - beta1**step), 1.0 / math.sqrt(1.0 - beta2**step)
    decay, shrink = (0.0, 1.0 - lr * weight_decay) if decoupled else (weight_decay, 1.0)
    scalars = rate, beta1, 1.0 - beta1, beta2, 1.0 - beta2, root, eps, decay, shrink, _sign(maximize)
    _apply("adam", w, g, (first, second, largest), *scalars)


def norm(x: Array) -> Array:
    """Euclidean norm, summed in float64 over blocks of fixed size; a number that stays on the device."""
    blocks = -(-x.size * x.dtype.itemsize // _BLOCK)
    sums, out = seam.empty(blocks, np.float64), seam.empty(1, np.float64)
    seam.launch("updates.square_sums", blocks, 256, seam.contiguous(x), sums, x.size)
    seam.launch("updates.add_squares", 1, 256, sums, out, blocks, real=x.dtype)
    return out.reshape(())
