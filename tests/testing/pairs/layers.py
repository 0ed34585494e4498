"""Layers with their right rules, shared by the right pairs and by the wrong ones that differ in one line."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


def windows(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def spread(start: int, count: int, stride: int) -> slice:
    return slice(start, start + stride * (count - 1) + 1, stride)


def pad(x: Array, p: int, value: float = 0.0) -> Array:
    return np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=value)


def conv2d(x: Array, w: Array, b: Array = None, *, stride: int = 1, padding: int = 0, dilation: int = 1,
           groups: int = 1) -> Array:
    O, C, KH, KW = w.shape
    h, v = windows(x.shape[2], KH, stride, padding, dilation), windows(x.shape[3], KW, stride, padding, dilation)
    xp = pad(x, padding)
    y = np.zeros((x.shape[0], O, h, v), dtype=np.result_type(x, w))
    for g in range(groups):
        o, c = slice(g * O // groups, (g + 1) * O // groups), slice(g * C, (g + 1) * C)
        for i in range(KH):
            for j in range(KW):
                patch = xp[:, c, spread(i * dilation, h, stride), spread(j * dilation, v, stride)]
                y[:, o] += np.einsum("nchw,oc->nohw", patch, w[o, :, i, j])
    return y if b is None else y + b[:, None, None]


def conv2d_backward(gy: Array, x: Array, w: Array, b: Array = None, *, stride: int = 1, padding: int = 0,
                    dilation: int = 1, groups: int = 1) -> list[Array]:
    O, C, KH, KW = w.shape
    h, v = gy.shape[2:]
    xp = pad(x, padding)
    gxp, gw = np.zeros_like(xp), np.zeros_like(w)
    for g in range(groups):
        o, c = slice(g * O // groups, (g + 1) * O // groups), slice(g * C, (g + 1) * C)
        for i in range(KH):
            for j in range(KW):
                at = (slice(None), c, spread(i * dilation, h, stride), spread(j * dilation, v, stride))
                gw[o, :, i, j] = np.einsum("nohw,nchw->oc", gy[:, o], xp[at])
                gxp[at] += np.einsum("nohw,oc->nchw", gy[:, o], w[o, :, i, j])
    H, V = x.shape[2:]
    gx = gxp[:, :, padding : padding + H, padding : padding + V]
    return [gx, gw, None if b is None else gy.sum((0, 2, 3))]


def max_pool(x: Array, *, kernel: int, stride: int, padding: int = 0) -> Array:
    h, v = windows(x.shape[2], kernel, stride, padding), windows(x.shape[3], kernel, stride, padding)
    xp = pad(x, padding, -np.inf)
    tiles = [xp[:, :, spread(i, h, stride), spread(j, v, stride)] for i in range(kernel) for j in range(kernel)]
    return np.max(tiles, axis=0)


def pool_argmax(xp: Array, n: int, c: int, row: int, column: int, kernel: int) -> tuple[int, int]:
    tile = xp[n, c, row : row + kernel, column : column + kernel]
    i, j = divmod(int(tile.argmax()), tile.shape[1])
    return row + i, column + j


def max_pool_backward(gy: Array, x: Array, *, kernel: int, stride: int, padding: int = 0) -> Array:
    xp = pad(x, padding, -np.inf)
    g = np.zeros_like(xp)
    for n, c, i, j in np.ndindex(*gy.shape):
        r, k = pool_argmax(xp, n, c, i * stride, j * stride, kernel)
        g[n, c, r, k] += gy[n, c, i, j]
    return g[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]


def batch_norm(x: Array, gamma: Array, beta: Array, *, eps: float) -> Array:
    return gamma * (x - x.mean(0)) / np.sqrt(x.var(0) + eps) + beta


def batch_norm_backward(gy: Array, x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, ...]:
    s = np.sqrt(x.var(0) + eps)
    z = (x - x.mean(0)) / s
    g = gy * gamma
    return (g - g.mean(0) - z * (g * z).mean(0)) / s, (gy * z).sum(0), gy.sum(0)


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def softmax_backward(gy: Array, y: Array, axis: int = -1) -> Array:
    return y * (gy - (gy * y).sum(axis, keepdims=True))


def attention(q: Array, k: Array, v: Array, *, causal: bool = False) -> Array:
    return np.einsum("bij,bjd->bid", attention_weights(q, k, causal), v)


def attention_weights(q: Array, k: Array, causal: bool) -> Array:
    s = np.einsum("bid,bjd->bij", q, k) / np.sqrt(q.shape[-1])
    return softmax(np.where(np.tri(*s.shape[1:], dtype=bool), s, -1e30) if causal else s)


def attention_backward(gy: Array, q: Array, k: Array, v: Array, *, causal: bool = False) -> tuple[Array, ...]:
    a = attention_weights(q, k, causal)
    gs = softmax_backward(np.einsum("bid,bjd->bij", gy, v), a) / np.sqrt(q.shape[-1])
    return np.einsum("bij,bjd->bid", gs, k), np.einsum("bij,bid->bjd", gs, q), np.einsum("bij,bid->bjd", a, gy)


def cross_entropy(x: Array, labels: Array) -> Array:
    m = x.max(1, keepdims=True)
    z = m[:, 0] + np.log(np.exp(x - m).sum(1))
    return (z - x[np.arange(len(x)), labels]).mean()


def cross_entropy_backward(gy: Array, x: Array, labels: Array) -> tuple[Array, None]:
    g = softmax(x)
    g[np.arange(len(x)), labels] -= 1
    return gy * g / len(x), None


def sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


def lstm_cell(x: Array, h: Array, c: Array, w: Array, u: Array) -> tuple[Array, Array]:
    i, f, o, g = np.split(x @ w + h @ u, 4, axis=1)
    new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(new), new


def lstm_cell_backward(gy: tuple[Array, Array], x: Array, h: Array, c: Array, w: Array, u: Array) -> list[Array]:
    i, f, o, g = np.split(x @ w + h @ u, 4, axis=1)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    t = np.tanh(f * c + i * g)
    gc = gy[1] + gy[0] * o * (1 - t**2)
    parts = [gc * g * i * (1 - i), gc * c * f * (1 - f), gy[0] * t * o * (1 - o), gc * i * (1 - g**2)]
    ga = np.concatenate(parts, axis=1)
    return [ga @ w.T, ga @ u.T, gc * f, x.T @ ga, h.T @ ga]


def corners(position: Array, size: int) -> tuple[Array, Array, Array]:
    """Both neighbours of each position and the weight of the second."""
    p = np.clip(position, 0, size - 1)
    low = np.minimum(p.astype(int), max(size - 2, 0))
    return low, np.minimum(low + 1, size - 1), p - low


def resize_positions(size: int, out: int, align_corners: bool) -> Array:
    if align_corners:
        return np.arange(out) * (size - 1) / max(out - 1, 1)
    return (np.arange(out) + 0.5) * size / out - 0.5


def interpolation(position: Array, size: int) -> Array:
    """The matrix ``(positions, size)`` that interpolates linearly."""
    low, high, t = corners(position, size)
    m = np.zeros((len(position), size))
    np.add.at(m, (np.arange(len(position)), low), 1 - t)
    np.add.at(m, (np.arange(len(position)), high), t)
    return m


def resize(x: Array, *, out: tuple[int, int], align_corners: bool = False) -> Array:
    a, b = (interpolation(resize_positions(n, m, align_corners), n) for n, m in zip(x.shape[-2:], out, strict=True))
    return a @ x @ b.T


def resize_backward(gy: Array, x: Array, *, out: tuple[int, int], align_corners: bool = False) -> Array:
    a, b = (interpolation(resize_positions(n, m, align_corners), n) for n, m in zip(x.shape[-2:], out, strict=True))
    return a.T @ gy @ b


def roi_weights(box: tuple[float, ...], size: tuple[int, int], bins: int, samples: int) -> tuple[Array, Array]:
    top, left, bottom, right = box
    at = (np.arange(bins * samples) + 0.5) / (bins * samples)
    rows, columns = top + at * (bottom - top), left + at * (right - left)
    fold = np.kron(np.eye(bins), np.full((1, samples), 1 / samples))
    return fold @ interpolation(rows, size[0]), fold @ interpolation(columns, size[1])


def roi_align(x: Array, *, boxes: list[tuple[float, ...]], bins: int, samples: int) -> Array:
    pairs = [roi_weights(b, x.shape[-2:], bins, samples) for b in boxes]
    return np.stack([a @ x @ b.T for a, b in pairs])


def roi_align_backward(gy: Array, x: Array, *, boxes: list[tuple[float, ...]], bins: int, samples: int) -> Array:
    g = np.zeros_like(x)
    for gi, box in zip(gy, boxes, strict=True):
        a, b = roi_weights(box, x.shape[-2:], bins, samples)
        g += a.T @ gi @ b
    return g


def roi_max(x: Array, *, boxes: list[tuple[int, ...]], bins: int) -> Array:
    y = np.empty((len(boxes), x.shape[0], bins, bins), dtype=x.dtype)
    for n, c, i, j in np.ndindex(*y.shape):
        y[n, c, i, j] = x[(c, *roi_bin(boxes[n], bins, i, j))].max()
    return y


def roi_bin(box: tuple[int, ...], bins: int, i: int, j: int) -> tuple[slice, slice]:
    top, left, bottom, right = box
    h, w = bottom - top, right - left
    return (slice(top + i * h // bins, top + -(-(i + 1) * h // bins)),
            slice(left + j * w // bins, left + -(-(j + 1) * w // bins)))


def roi_max_backward(gy: Array, x: Array, *, boxes: list[tuple[int, ...]], bins: int) -> Array:
    g = np.zeros_like(x)
    for n, c, i, j in np.ndindex(*gy.shape):
        rows, columns = roi_bin(boxes[n], bins, i, j)
        tile = x[c, rows, columns]
        r, k = divmod(int(tile.argmax()), tile.shape[1])
        g[c, rows.start + r, columns.start + k] += gy[n, c, i, j]
    return g
