"""The definition: seven loops per pass. Slow, and meant to be checked by eye; every other algorithm must equal it.

``y[n, o, r, c] = bias[o] + sum over i, a, b of w[o, i, a, b] * x[n, i, r*stride + a*dilation - top, ...]``

Sums run in float64 whatever the dtype, so this is also the reference for rounding errors.
"""

import numpy as np

from minicnn.backends.convolution import Problem
from minicnn.backends.cpu.jit import kernel, prange
from minicnn.core.types import Array

ERROR = 1e-7  # max |y - y64| / max |y64| in float32


def cannot(which: str, p: Problem) -> str | None:
    """Why this algorithm cannot do that pass (``forward``, ``input_grad``, ``weight_grad``); it can do all."""
    return None


def workspace(which: str, p: Problem, item: int) -> int:
    """Bytes of scratch memory of that pass: none."""
    return 0


def operations(which: str, p: Problem) -> int:
    """Floating-point operations of that pass, two for a multiply-add."""
    return 2 * p.images * p.out_channels * p.out_h * p.out_w * p.taps


def forward(x: Array, w: Array, bias: Array | None, p: Problem, relu: bool = False) -> Array:
    """``y = conv(x, w) + bias``, or ``max(y, 0)``."""
    y = np.empty(p.y_shape, x.dtype)
    _forward(x, w, np.zeros(p.out_channels, x.dtype) if bias is None else bias, y, p, relu)
    return y


def input_grad(gy: Array, w: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by x."""
    gx = np.empty(p.x_shape, gy.dtype)
    _input_grad(gy, w, gx, p)
    return gx


def weight_grad(gy: Array, x: Array, p: Problem) -> Array:
    """Gradient of ``sum(gy * conv(x, w))`` by w."""
    gw = np.empty(p.w_shape, gy.dtype)
    _weight_grad(gy, x, gw, p)
    return gw


@kernel
def _forward(x, w, bias, y, p, relu):  # type: ignore[no-untyped-def]
    group_in, group_out = p.in_channels // p.groups, p.out_channels // p.groups
    for task in prange(p.images * p.out_channels):
        n, o = task // p.out_channels, task % p.out_channels
        first = o // group_out * group_in  # the first input channel of this output's group
        for r in range(p.out_h):
            for c in range(p.out_w):
                total = np.float64(bias[o])
                for i in range(group_in):
                    for a in range(p.kernel_h):
                        for b in range(p.kernel_w):
                            row = r * p.stride_h + a * p.dilation_h - p.top
                            col = c * p.stride_w + b * p.dilation_w - p.left
                            if 0 <= row < p.in_h and 0 <= col < p.in_w:
                                total += np.float64(w[o, i, a, b]) * np.float64(x[n, first + i, row, col])
                y[n, o, r, c] = 0 if relu and total < 0 else total


@kernel
def _input_grad(gy, w, gx, p):  # type: ignore[no-untyped-def]
    group_in, group_out = p.in_channels // p.groups, p.out_channels // p.groups
    for task in prange(p.images * p.in_channels):
        n, i = task // p.in_channels, task % p.in_channels
        first = i // group_in * group_out  # the first output channel of this input's group
        for row in range(p.in_h):
            for col in range(p.in_w):
                total = 0.0
                for o in range(group_out):
                    for a in range(p.kernel_h):
                        for b in range(p.kernel_w):
                            down = row + p.top - a * p.dilation_h  # the window that meets this pixel at tap (a, b)
                            right = col + p.left - b * p.dilation_w  # starts here, if it starts at a stride
                            r, c = down // p.stride_h, right // p.stride_w
                            starts = down % p.stride_h == 0 and right % p.stride_w == 0
                            if starts and 0 <= r < p.out_h and 0 <= c < p.out_w:
                                weight = w[first + o, i % group_in, a, b]
                                total += np.float64(weight) * np.float64(gy[n, first + o, r, c])
                gx[n, i, row, col] = total


@kernel
def _weight_grad(gy, x, gw, p):  # type: ignore[no-untyped-def]
    group_in, group_out = p.in_channels // p.groups, p.out_channels // p.groups
    for task in prange(p.out_channels * group_in):
        o, i = task // group_in, task % group_in
        first = o // group_out * group_in
        for a in range(p.kernel_h):
            for b in range(p.kernel_w):
                total = 0.0
                for n in range(p.images):
                    for r in range(p.out_h):
                        for c in range(p.out_w):
                            row = r * p.stride_h + a * p.dilation_h - p.top
                            col = c * p.stride_w + b * p.dilation_w - p.left
                            if 0 <= row < p.in_h and 0 <= col < p.in_w:
                                total += np.float64(gy[n, o, r, c]) * np.float64(x[n, first + i, row, col])
                gw[o, i, a, b] = total
