"""Held-out pairs: the record, and a few forward helpers shared by several pairs."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Pair:
    name: str
    kind: str                      # right | wrong | edge | vacuous
    f: Callable | None
    backward: Callable | None
    inputs: Callable               # rng -> list
    kwargs: dict = field(default_factory=dict)
    causes: frozenset = frozenset()
    note: str = ""
    fresh: Callable | None = None  # () -> (f, backward): state made anew for each check
    rule: str = ""                 # a broken contract rather than a wrong value: shape, dtype, integer, state …
    special: bool = False          # right exactly at the given point, wrong around it
    kink: bool = False             # wrong rule at a kink

    def functions(self):
        return self.fresh() if self.fresh is not None else (self.f, self.backward)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def pair2(v):
    return v if isinstance(v, tuple) else (v, v)


def _geometry(x, w, stride, pad, dilation):
    s, p, d = pair2(stride), pair2(pad), pair2(dilation)
    kh, kw = w.shape[2:]
    oh = (x.shape[2] + 2 * p[0] - d[0] * (kh - 1) - 1) // s[0] + 1
    ow = (x.shape[3] + 2 * p[1] - d[1] * (kw - 1) - 1) // s[1] + 1
    return s, p, d, kh, kw, oh, ow


def conv2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1):
    s, p, d, kh, kw, oh, ow = _geometry(x, w, stride, pad, dilation)
    n, c = x.shape[:2]
    o = w.shape[0]
    xp = np.pad(x, ((0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])))
    xg = xp.reshape(n, groups, c // groups, *xp.shape[2:])
    wg = w.reshape(groups, o // groups, c // groups, kh, kw)
    y = 0
    for i in range(kh):
        for j in range(kw):
            a, e = i * d[0], j * d[1]
            patch = xg[..., a:a + s[0] * (oh - 1) + 1:s[0], e:e + s[1] * (ow - 1) + 1:s[1]]
            y = y + np.einsum("ngchw,goc->ngohw", patch, wg[..., i, j])
    y = y.reshape(n, o, oh, ow)
    return y if b is None else y + b[:, None, None]


def conv2d_backward(gy, x, w, b=None, stride=1, pad=0, dilation=1, groups=1):
    s, p, d, kh, kw, oh, ow = _geometry(x, w, stride, pad, dilation)
    n, c, h, wd = x.shape
    o = w.shape[0]
    xp = np.pad(x, ((0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])))
    xg = xp.reshape(n, groups, c // groups, *xp.shape[2:])
    wg = w.reshape(groups, o // groups, c // groups, kh, kw)
    g = gy.reshape(n, groups, o // groups, oh, ow)
    gxg, gwg = np.zeros_like(xg), np.zeros_like(wg)
    for i in range(kh):
        for j in range(kw):
            a, e = i * d[0], j * d[1]
            sl = (..., slice(a, a + s[0] * (oh - 1) + 1, s[0]), slice(e, e + s[1] * (ow - 1) + 1, s[1]))
            gxg[sl] += np.einsum("ngohw,goc->ngchw", g, wg[..., i, j])
            gwg[..., i, j] = np.einsum("ngohw,ngchw->goc", g, xg[sl])
    gx = gxg.reshape(xp.shape)[:, :, p[0]:p[0] + h, p[1]:p[1] + wd]
    return gx, gwg.reshape(w.shape), None if b is None else gy.sum(axis=(0, 2, 3))


def windows(x, k, s):
    """(N, C, OH, OW, k, k) windows, by plain slicing."""
    oh, ow = (x.shape[2] - k) // s + 1, (x.shape[3] - k) // s + 1
    out = np.empty((*x.shape[:2], oh, ow, k, k), dtype=x.dtype)
    for i in range(k):
        for j in range(k):
            out[..., i, j] = x[:, :, i:i + s * (oh - 1) + 1:s, j:j + s * (ow - 1) + 1:s]
    return out


def max_pool(x, k=2, s=2, pad=0):
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=-np.inf)
    return windows(xp, k, s).max(axis=(-2, -1))


def max_pool_backward(gy, x, k=2, s=2, pad=0, fill=-np.inf, accumulate=True):
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=fill)
    win = windows(xp, k, s)
    n, c, oh, ow = win.shape[:4]
    at = win.reshape(n, c, oh, ow, k * k).argmax(axis=-1)
    gxp = np.zeros_like(xp)
    for idx in np.ndindex(n, c, oh, ow):
        i, j = divmod(int(at[idx]), k)
        where = (idx[0], idx[1], idx[2] * s + i, idx[3] * s + j)
        if accumulate:
            gxp[where] += gy[idx]
        else:
            gxp[where] = gy[idx]
    return gxp[:, :, pad:pad + x.shape[2], pad:pad + x.shape[3]]


def resize_weights(n_in, n_out, align_corners=False):
    """The (n_out, n_in) matrix of 1-D linear interpolation."""
    m = np.zeros((n_out, n_in))
    for o in range(n_out):
        if align_corners:
            src = o * (n_in - 1) / (n_out - 1) if n_out > 1 else 0.0
        else:
            src = max((o + 0.5) * n_in / n_out - 0.5, 0.0)
        lo = min(int(np.floor(src)), n_in - 1)
        hi = min(lo + 1, n_in - 1)
        t = src - lo
        m[o, lo] += 1 - t
        m[o, hi] += t
    return m


def attention(q, k, v, mask=None):
    s = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    if mask is not None:
        s = np.where(mask, s, -1e30)
    return softmax(s) @ v


def attention_parts(gy, q, k, v, mask=None):
    d = np.sqrt(q.shape[-1])
    s = q @ np.swapaxes(k, -1, -2) / d
    if mask is not None:
        s = np.where(mask, s, -1e30)
    p = softmax(s)
    gv = np.swapaxes(p, -1, -2) @ gy
    gp = gy @ np.swapaxes(v, -1, -2)
    gs = p * (gp - (gp * p).sum(axis=-1, keepdims=True))
    return p, gs, gs @ k / d, np.swapaxes(gs, -1, -2) @ q / d, gv


def spread(rng, shape, gap=0.3):
    """Distinct values at least `gap` apart, shuffled, centred on zero."""
    n = int(np.prod(shape))
    v = (np.arange(n) - (n - 1) / 2) * 2 * gap + rng.uniform(-gap / 2, gap / 2, n)
    return rng.permutation(v).reshape(shape)


def away(rng, shape, lo=0.2, hi=2.0):
    """Values of either sign whose magnitude is in [lo, hi]; both signs always present."""
    v = rng.uniform(lo, hi, shape)
    sign = np.where(np.arange(v.size) % 2 == 0, 1.0, -1.0)
    return v * rng.permutation(sign).reshape(shape)
