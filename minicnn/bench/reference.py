"""Convolution by its definition in float64, in NumPy alone: what every contender is checked against.

``whole`` computes every number of a small layer, image by image as a matrix product; ``sample`` a grid of numbers of a
layer of any size, by gathering what each of them sums. They share no code with any contender.
"""

from collections.abc import Sequence

import numpy as np

from minicnn.backends.convolution import Problem
from minicnn.core.types import Array

Index = tuple[Array, ...]


def whole(which: str, a: Array, b: Array, p: Problem) -> Array:
    """All of a pass: ``forward(x, w)``, ``input_grad(gy, w)``, ``weight_grad(gy, x)``, in float64."""
    g, area = p.groups, p.out_h * p.out_w
    if which == "forward":
        x, w = _padded(a.astype(np.float64), p), b.astype(np.float64).reshape(g, p.out_channels // g, -1)
        return np.stack([w @ _columns(image, p) for image in x]).reshape(p.y_shape)
    gradients = a.astype(np.float64).reshape(p.images, g, p.out_channels // g, area)
    if which == "weight_grad":
        pairs = zip(gradients, _padded(b.astype(np.float64), p), strict=True)
        found = [gy @ _columns(image, p).transpose(0, 2, 1) for gy, image in pairs]
        return np.sum(found, axis=0).reshape(p.w_shape)
    w = b.astype(np.float64).reshape(g, p.out_channels // g, -1).transpose(0, 2, 1)
    padded = _padded(np.zeros(p.x_shape), p)
    for gy, image in zip(gradients, padded, strict=True):
        columns = (w @ gy).reshape(p.in_channels, p.kernel_h, p.kernel_w, p.out_h, p.out_w)
        for i, j, tap in _taps(p):
            image[tap] += columns[:, i, j]
    return padded[:, :, p.top : p.top + p.in_h, p.left : p.left + p.in_w]


def sample(which: str, a: Array, b: Array, p: Problem, count: int, seed: int = 0) -> tuple[Index, Array]:
    """About ``count`` numbers of a pass: where they stand in the result, and what they are in float64.

    They are drawn with replacement; the first and last rows, columns, channels and images are always among them.
    """
    draw = np.random.default_rng(seed)
    if which == "weight_grad":
        return _sample_weight_grad(a, b, p, count, draw)
    n, channel, row, col = _places(p.y_shape if which == "forward" else p.x_shape, count, draw)
    other = p.in_channels // p.groups if which == "forward" else p.out_channels // p.groups
    own = p.out_channels // p.groups if which == "forward" else p.in_channels // p.groups
    inner = np.arange(other)[:, None, None]
    ki, kj = np.arange(p.kernel_h)[:, None], np.arange(p.kernel_w)
    values = np.empty(len(n))
    for k in range(len(n)):
        first = channel[k] // own * other  # the first channel of this one's group on the other side
        if which == "forward":
            down = row[k] * p.stride_h + ki * p.dilation_h - p.top
            right = col[k] * p.stride_w + kj * p.dilation_w - p.left
            meets = (down >= 0) & (down < p.in_h) & (right >= 0) & (right < p.in_w)
            weights = b[channel[k]]
        else:
            down, right = row[k] + p.top - ki * p.dilation_h, col[k] + p.left - kj * p.dilation_w
            meets = (down % p.stride_h == 0) & (right % p.stride_w == 0)
            down, right = down // p.stride_h, right // p.stride_w
            meets &= (down >= 0) & (down < p.out_h) & (right >= 0) & (right < p.out_w)
            weights = b[first : first + other, channel[k] % own]
        met = a[n[k], first + inner, np.where(meets, down, 0), np.where(meets, right, 0)]
        values[k] = np.sum(met.astype(np.float64) * weights * meets)
    return (n, channel, row, col), values


def _sample_weight_grad(gy: Array, x: Array, p: Problem, count: int, draw: np.random.Generator) -> tuple[Index, Array]:
    """A grid of output channels and taps for each of some groups: as many sums, fewer passes over memory."""
    outs, ins = p.out_channels // p.groups, p.in_channels // p.groups
    groups = _some(p.groups, max(32, count // (ins * p.kernel_h * p.kernel_w)), draw)
    side = max(1, round((count / len(groups)) ** 0.5))
    found: list[Index] = []
    values = []
    for g in groups:
        o = g * outs + _some(outs, side, draw)
        flat = _some(ins * p.kernel_h * p.kernel_w, max(1, count // len(groups) // len(o)), draw)
        i, ki, kj = flat // (p.kernel_h * p.kernel_w), flat // p.kernel_w % p.kernel_h, flat % p.kernel_w
        rows = gy[:, o].transpose(1, 0, 2, 3).reshape(len(o), -1).astype(np.float64)
        columns = np.stack([_met(x, g * ins + c, a, b, p).reshape(-1) for c, a, b in zip(i, ki, kj, strict=True)])
        values.append((rows @ columns.T).reshape(-1))
        found.append((np.repeat(o, len(i)), np.tile(i, len(o)), np.tile(ki, len(o)), np.tile(kj, len(o))))
    return tuple(np.concatenate(axis) for axis in zip(*found, strict=True)), np.concatenate(values)


def _met(x: Array, channel: int, ki: int, kj: int, p: Problem) -> Array:
    """What a tap meets in one channel, (N, OH, OW), zeros outside."""
    met = np.zeros((p.images, p.out_h, p.out_w))
    rows, down = _inside(p.out_h, p.in_h, p.stride_h, ki * p.dilation_h - p.top)
    cols, right = _inside(p.out_w, p.in_w, p.stride_w, kj * p.dilation_w - p.left)
    met[:, rows, cols] = x[:, channel, down, right]
    return met


def _inside(windows: int, size: int, stride: int, shift: int) -> tuple[slice, slice]:
    """The windows w whose place w * stride + shift lies in 0..size-1, and these places."""
    first, last = max(0, -(shift // stride)), min(windows - 1, (size - 1 - shift) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    return slice(first, last + 1), slice(first * stride + shift, last * stride + shift + 1, stride)


def _places(shape: Sequence[int], count: int, draw: np.random.Generator) -> Index:
    """Random places, the first 16 of them the corners of the array."""
    places = [draw.integers(0, n, count) for n in shape]
    for corner in range(min(16, count)):
        for axis, n in enumerate(shape):
            places[axis][corner] = n - 1 if corner >> axis & 1 else 0
    return tuple(places)


def _some(n: int, count: int, draw: np.random.Generator) -> Array:
    """``count`` of the first n numbers (all where they are fewer), the first and the last among them."""
    if n <= count:
        return np.arange(n)
    return np.union1d([0, n - 1][: max(1, count)], draw.choice(np.arange(1, n - 1), max(0, count - 2), replace=False))


def _padded(x: Array, p: Problem) -> Array:
    height = max((p.out_h - 1) * p.stride_h + (p.kernel_h - 1) * p.dilation_h + 1, p.top + p.in_h)
    width = max((p.out_w - 1) * p.stride_w + (p.kernel_w - 1) * p.dilation_w + 1, p.left + p.in_w)
    padded = np.zeros((*x.shape[:2], height, width))
    padded[:, :, p.top : p.top + p.in_h, p.left : p.left + p.in_w] = x
    return padded


def _taps(p: Problem) -> list[tuple[int, int, tuple[slice, ...]]]:
    """Each tap, and where it meets a padded image over all windows."""
    every = slice(None)
    taps: list[tuple[int, int, tuple[slice, ...]]] = []
    for i in range(p.kernel_h):
        for j in range(p.kernel_w):
            top, left = i * p.dilation_h, j * p.dilation_w
            rows = slice(top, top + (p.out_h - 1) * p.stride_h + 1, p.stride_h)
            cols = slice(left, left + (p.out_w - 1) * p.stride_w + 1, p.stride_w)
            taps.append((i, j, (every, rows, cols)))
    return taps


def _columns(image: Array, p: Problem) -> Array:
    """What each window of a padded image holds, a column a window, by group."""
    met = np.empty((p.in_channels, p.kernel_h, p.kernel_w, p.out_h, p.out_w))
    for i, j, tap in _taps(p):
        met[:, i, j] = image[tap]
    return met.reshape(p.groups, -1, p.out_h * p.out_w)
