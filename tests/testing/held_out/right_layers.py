"""Right rules of layers, losses and sequences that are hard to check numerically."""
import numpy as np

from tests.testing.held_out.common import (
    Pair,
    attention,
    attention_parts,
    conv2d,
    conv2d_backward,
    resize_weights,
    sigmoid,
)

PAIRS = []


def add(name, f, backward, inputs, note, kwargs=None, fresh=None):
    PAIRS.append(Pair(name, "right", f, backward, inputs, kwargs or {}, note=note, fresh=fresh))


# 15 convolution, everything at once, no bias
add("conv_groups_dilated_no_bias", conv2d, conv2d_backward,
    lambda r: [r.standard_normal((2, 4, 7, 6)), r.standard_normal((6, 2, 3, 2)), None],
    "None where a bias may be", {"stride": (2, 1), "pad": (1, 2), "dilation": (1, 2), "groups": 2})


# 16 attention with a boolean mask input
def att_b(gy, q, k, v, mask):
    _, _, gq, gk, gv = attention_parts(gy, q, k, v, mask)
    return gq, gk, gv, None


add("causal_attention", attention, att_b,
    lambda r: [2 * r.standard_normal((2, 2, 4, 3)), 2 * r.standard_normal((2, 2, 4, 3)),
               r.standard_normal((2, 2, 4, 5)), np.tril(np.ones((4, 4), bool))],
    "four inputs, the last not a float")


# 17 LSTM over time
def lstm(x, h, c, wx, wh, b):
    n = h.shape[1]
    out = []
    for xt in x:
        z = xt @ wx + h @ wh + b
        i, f, o = (sigmoid(z[:, k * n:(k + 1) * n]) for k in range(3))
        c = f * c + i * np.tanh(z[:, 3 * n:])
        h = o * np.tanh(c)
        out.append(h)
    return np.stack(out), c


def lstm_b(gy, x, h, c, wx, wh, b):
    n = h.shape[1]
    saved = []
    for xt in x:
        z = xt @ wx + h @ wh + b
        i, f, o = (sigmoid(z[:, k * n:(k + 1) * n]) for k in range(3))
        g = np.tanh(z[:, 3 * n:])
        c1 = f * c + i * g
        saved.append((xt, h, c, i, f, o, g, np.tanh(c1)))
        h, c = o * np.tanh(c1), c1
    ghs, gc = gy
    gh = np.zeros_like(h)
    gx, gwx, gwh, gb = np.zeros_like(x), np.zeros_like(wx), np.zeros_like(wh), np.zeros_like(b)
    for t in reversed(range(len(x))):
        xt, h0, c0, i, f, o, g, tc = saved[t]
        gh = gh + ghs[t]
        gc = gc + gh * o * (1 - tc ** 2)
        gz = np.concatenate([gc * g * i * (1 - i), gc * c0 * f * (1 - f), gh * tc * o * (1 - o),
                             gc * i * (1 - g ** 2)], axis=1)
        gx[t] = gz @ wx.T
        gwx += xt.T @ gz
        gwh += h0.T @ gz
        gb += gz.sum(0)
        gh, gc = gz @ wh.T, gc * f
    return gx, gh, gc, gwx, gwh, gb


add("lstm_sequence", lstm, lstm_b,
    lambda r: [r.standard_normal((4, 2, 3)), r.standard_normal((2, 3)), r.standard_normal((2, 3)),
               r.standard_normal((3, 12)), 0.6 * r.standard_normal((3, 12)), r.standard_normal(12)],
    "six inputs, tuple of outputs")


# 18 RoI align: integer boxes are an input
def roi_matrix(box, h, w, out, scale, samples):
    x1, y1, x2, y2 = (float(v) * scale for v in box)

    def axis(lo, hi, n, size):
        m = np.zeros((n, size))
        step = max(hi - lo, 1.0) / n
        for b in range(n):
            for s in range(samples):
                p = min(max(lo + (b + (s + 0.5) / samples) * step, 0.0), size - 1.0)
                a = min(int(p), size - 1)
                m[b, a] += (1 - (p - a)) / samples
                m[b, min(a + 1, size - 1)] += (p - a) / samples
        return m
    return axis(y1, y2, out[0], h), axis(x1, x2, out[1], w)


def roi_align(x, rois, out=(2, 2), scale=1.0, samples=2):
    res = []
    for n, *box in rois:
        my, mx = roi_matrix(box, *x.shape[2:], out, scale, samples)
        res.append(my @ x[n] @ mx.T)
    return np.stack(res)


def roi_align_b(gy, x, rois, out=(2, 2), scale=1.0, samples=2):
    gx = np.zeros_like(x)
    for g, (n, *box) in zip(gy, rois, strict=True):
        my, mx = roi_matrix(box, *x.shape[2:], out, scale, samples)
        gx[n] += my.T @ g @ mx
    return gx, None


add("roi_align", roi_align, roi_align_b,
    lambda r: [r.standard_normal((2, 2, 6, 7)),
               np.array([[0, 1, 0, 9, 7], [1, 4, 3, 13, 11], [0, 0, 2, 6, 12]])],
    "overlapping regions, integer boxes", {"out": (2, 3), "scale": 0.5})


# 19 resize
def resize(x, size):
    my, mx = resize_weights(x.shape[-2], size[0]), resize_weights(x.shape[-1], size[1])
    return my @ x @ mx.T


def resize_b(gy, x, size):
    my, mx = resize_weights(x.shape[-2], size[0]), resize_weights(x.shape[-1], size[1])
    return (my.T @ gy @ mx,)


add("bilinear_resize", resize, resize_b, lambda r: [1e3 + r.standard_normal((1, 2, 3, 5))],
    "up in one direction, down in the other; a size-1 batch", {"size": (7, 3)})


# 20 a layer that keeps what its last forward computed
def cached_batch_norm():
    keep = {}

    def f(x, gamma, beta):
        m = x.mean(0)
        inv = 1 / np.sqrt(x.var(0) + 1e-5)
        keep["v"] = ((x - m) * inv, inv)
        return keep["v"][0] * gamma + beta

    def backward(gy, x, gamma, beta):
        h, inv = keep["v"]
        g = gy * gamma
        gx = inv * (g - g.mean(0) - h * (g * h).mean(0))
        return gx, (gy * h).sum(0), gy.sum(0)
    return f, backward


add("layer_with_cache", None, None,
    lambda r: [0.01 * r.standard_normal((6, 4)) + 1, r.uniform(0.5, 2, 4), r.standard_normal(4)],
    "backward uses the cache of the last forward, the layer idiom; small variance", fresh=cached_batch_norm)


# 21 an integer among the outputs
def topk(x, k=2):
    at = np.argsort(-x, axis=-1)[..., :k]
    return np.take_along_axis(x, at, -1), at


def topk_b(gy, x, k=2):
    at = np.argsort(-x, axis=-1)[..., :k]
    gx = np.zeros_like(x)
    np.put_along_axis(gx, at, gy[0], -1)
    return (gx,)


add("top_k_with_indices", topk, topk_b,
    lambda r: [np.stack([r.permutation(np.linspace(-2, 2, 7)) + 0.02 * r.standard_normal(7) for _ in range(3)])],
    "tuple (values, integer indices)", {"k": 3})


# 22 cross-entropy with everything
def ce(x, t, weight, smooth=0.0, ignore=-100):
    z = x - x.max(1, keepdims=True)
    lp = z - np.log(np.exp(z).sum(1, keepdims=True))
    ok = t != ignore
    tt = np.where(ok, t, 0)
    w = weight[tt] * ok
    nll = -lp[np.arange(len(t)), tt]
    return ((1 - smooth) * w * nll).sum() / w.sum() + smooth * (-(lp * weight).sum(1) * ok).sum() / x.shape[1] / w.sum()


def ce_b(gy, x, t, weight, smooth=0.0, ignore=-100):
    z = x - x.max(1, keepdims=True)
    lp = z - np.log(np.exp(z).sum(1, keepdims=True))
    p = np.exp(lp)
    n, k = x.shape
    ok = t != ignore
    tt = np.where(ok, t, 0)
    w = weight[tt] * ok
    one = np.eye(k)[tt]
    W = w.sum()
    hard = w[:, None] * (p - one)
    soft = ok[:, None] * (weight.sum() * p - weight) / k
    gx = gy * ((1 - smooth) * hard + smooth * soft) / W
    num = ((1 - smooth) * w * -lp[np.arange(n), tt]).sum() + smooth * (-(lp * weight).sum(1) * ok).sum() / k
    dnum = (1 - smooth) * ((one * ok[:, None]) * -(lp * one).sum(1, keepdims=True)).sum(0) + smooth * (-lp * ok[:,
    None]).sum(0) / k
    gw = gy * (dnum / W - num / W ** 2 * (one * ok[:, None]).sum(0))
    return gx, None, gw


add("weighted_smoothed_cross_entropy", ce, ce_b,
    lambda r: [4 * r.standard_normal((6, 4)), np.array([0, 3, -100, 1, 3, 2]), r.uniform(0.5, 2, 4)],
    "class weights are differentiated too; -100 ignored", {"smooth": 0.2})


# 23 broadcasting with 0-d
def mix(a, b, c):
    return a * b / (1 + a * a) + np.exp(-c * c) * b


def mix_b(gy, a, b, c):
    q = 1 + a * a
    ga = (gy * b * (1 - a * a) / q ** 2).sum(axis=1, keepdims=True)
    gb = (gy * (a / q + np.exp(-c * c))).sum(axis=(0, 2)).reshape(5, 1)
    return ga, gb, (gy * b * -2 * c * np.exp(-c * c)).sum()


add("broadcast_with_scalar", mix, mix_b,
    lambda r: [r.standard_normal((4, 1, 3)), r.standard_normal((5, 1)), np.array(0.7 + 0.1 * r.uniform())],
    "(4,1,3), (5,1) and a 0-d; the 0-d gradient is a NumPy scalar")

# 24 an empty inner axis
add("affine_empty_features", lambda x, w, b: x @ w + b,
    lambda gy, x, w, b: (gy @ w.T, x.T @ gy, gy.sum(axis=0)),
    lambda r: [np.zeros((3, 0)), np.zeros((0, 2)), r.standard_normal(2)],
    "two inputs are empty, the bias is not")


# 25 large
def wide(x, w):
    return np.tanh(x * w).mean(axis=1)


def wide_b(gy, x, w):
    g = gy[:, None] * (1 - np.tanh(x * w) ** 2) / x.shape[1]
    return g * w, (g * x).sum(0)


add("wide_rows", wide, wide_b, lambda r: [r.standard_normal((300, 500)), r.standard_normal(500)],
    "150 000 elements")


# 26 through complex numbers
def spectrum(x):
    return np.abs(np.fft.rfft(x, axis=-1))


def spectrum_b(gy, x):
    z = np.fft.rfft(x, axis=-1)
    h = gy * np.conj(z) / np.abs(z)
    return (np.fft.fft(h, n=x.shape[-1], axis=-1).real,)


add("magnitude_spectrum", spectrum, spectrum_b, lambda r: [r.standard_normal((2, 9))], "complex inside, real outside")


# 27 float32 inputs
def layer_norm(x, g, b):
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5) * g + b


def layer_norm_b(gy, x, g, b):
    d = x - x.mean(-1, keepdims=True)
    inv = 1 / np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5)
    h = d * inv
    u = gy * g
    return (inv * (u - u.mean(-1, keepdims=True) - h * (u * h).mean(-1, keepdims=True)),
            (gy * h).sum((0, 1)), gy.sum((0, 1)))


add("layer_norm_float32", layer_norm, layer_norm_b,
    lambda r: [(10 + r.standard_normal((2, 3, 8))).astype(np.float32), r.uniform(0.5, 2, 8).astype(np.float32),
               r.standard_normal(8).astype(np.float32)],
    "float32 in; right in whatever dtype it is given")


# 28 running logsumexp
def logcumsumexp(x):
    return np.logaddexp.accumulate(x, axis=-1)


def logcumsumexp_b(gy, x):
    y = np.logaddexp.accumulate(x, axis=-1)
    n = x.shape[-1]
    e = np.exp(np.minimum(x[..., :, None] - y[..., None, :], 0)) * np.triu(np.ones((n, n)))
    return ((e * gy[..., None, :]).sum(-1),)


add("log_cumsum_exp", logcumsumexp, logcumsumexp_b, lambda r: [20 * r.standard_normal((2, 6))],
    "terms of very different size")
