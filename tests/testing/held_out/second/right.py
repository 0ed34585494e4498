"""Right rules."""

import numpy as np

from tests.testing.held_out.second.common import add, sigmoid, softmax


# 1. layer norm, rows of very different scale
def ln(x, gamma, beta, eps=1e-12):
    m = x.mean(1, keepdims=True)
    v = ((x - m) ** 2).mean(1, keepdims=True)
    return (x - m) / np.sqrt(v + eps) * gamma + beta


def ln_backward(gy, x, gamma, beta, eps=1e-12):
    m = x.mean(1, keepdims=True)
    inv = 1 / np.sqrt(((x - m) ** 2).mean(1, keepdims=True) + eps)
    xh = (x - m) * inv
    g = gy * gamma
    gx = inv * (g - g.mean(1, keepdims=True) - xh * (g * xh).mean(1, keepdims=True))
    return gx, (gy * xh).sum(0), gy.sum(0)


add("right", ln, ln_backward, name="layer_norm_rows_of_scale_1e-4_1_1e4",
    inputs=lambda r: [r.normal(size=(3, 5)) * np.array([[1e-4], [1.0], [1e4]]), r.normal(size=5), r.normal(size=5)])


# 2. logsumexp over two axes at large offsets
def lse(x):
    m = x.max(axis=(0, 2), keepdims=True)
    return (m + np.log(np.exp(x - m).sum(axis=(0, 2), keepdims=True)))[0, :, 0]


def lse_backward(gy, x):
    return np.exp(x - lse(x)[None, :, None]) * gy[None, :, None]


add("right", lse, lse_backward, name="logsumexp_two_axes_offset_800",
    inputs=lambda r: [800 + 2 * r.normal(size=(2, 3, 4))])


# 3. causal attention, weights returned too
def attention(q, k, v):
    s = q @ k.T / np.sqrt(q.shape[1])
    s = np.where(np.tril(np.ones(s.shape, bool)), s, -np.inf)
    p = softmax(s)
    return p @ v, p


def attention_backward(gy, q, k, v):
    go, gp = gy
    _, p = attention(q, k, v)
    gp = gp + go @ v.T
    gs = p * (gp - (gp * p).sum(1, keepdims=True)) / np.sqrt(q.shape[1])
    return gs @ k, gs.T @ q, p.T @ go


add("right", attention, attention_backward, name="causal_attention_with_weights",
    inputs=lambda r: [r.normal(size=(4, 3)), r.normal(size=(4, 3)), r.normal(size=(4, 2))])


# 4. conv2d, uneven stride, dilation and padding
def conv2d(x, w, b, stride=(1, 1), dilation=(1, 1), pad=(0, 0)):
    n, _, h, wd = x.shape
    o, _, kh, kw = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    oh = (h + 2 * pad[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (wd + 2 * pad[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((n, o, oh, ow)) + b[None, :, None, None]
    for i in range(kh):
        for j in range(kw):
            a, e = i * dilation[0], j * dilation[1]
            part = xp[:, :, a : a + stride[0] * (oh - 1) + 1 : stride[0], e : e + stride[1] * (ow - 1) + 1 : stride[1]]
            y += np.einsum("nchw,oc->nohw", part, w[:, :, i, j])
    return y


def conv2d_backward(gy, x, w, b, stride=(1, 1), dilation=(1, 1), pad=(0, 0)):
    _, _, h, wd = x.shape
    _, _, kh, kw = w.shape
    oh, ow = gy.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    gxp, gw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(kh):
        for j in range(kw):
            a, e = i * dilation[0], j * dilation[1]
            sl = (slice(None), slice(None), slice(a, a + stride[0] * (oh - 1) + 1, stride[0]),
                  slice(e, e + stride[1] * (ow - 1) + 1, stride[1]))
            gw[:, :, i, j] = np.einsum("nohw,nchw->oc", gy, xp[sl])
            gxp[sl] += np.einsum("nohw,oc->nchw", gy, w[:, :, i, j])
    gx = gxp[:, :, pad[0] : pad[0] + h, pad[1] : pad[1] + wd].copy()
    return gx, gw, gy.sum((0, 2, 3))


add("right", conv2d, conv2d_backward, name="conv2d_stride_dilation_padding",
    kwargs={"stride": (2, 1), "dilation": (1, 2), "pad": (1, 2)},
    inputs=lambda r: [r.normal(size=(1, 2, 6, 5)), r.normal(size=(3, 2, 2, 3)), r.normal(size=3)])


# 5. overlapping max pooling, no ties, odd input
def maxpool2d(x, k=3, s=2):
    h, w = x.shape
    return np.array([[x[i : i + k, j : j + k].max() for j in range(0, w - k + 1, s)] for i in range(0, h - k + 1, s)])


def maxpool2d_backward(gy, x, k=3, s=2):
    gx = np.zeros_like(x)
    for i in range(gy.shape[0]):
        for j in range(gy.shape[1]):
            win = x[i * s : i * s + k, j * s : j * s + k]
            a, b = np.unravel_index(np.argmax(win), win.shape)
            gx[i * s + a, j * s + b] += gy[i, j]
    return gx


add("right", maxpool2d, maxpool2d_backward, name="maxpool_overlapping_no_ties",
    inputs=lambda r: [(r.permutation(56).reshape(7, 8) - 28.5) / 7])


# 6. tied embeddings: the table is used at both ends; repeated ids
def tied(table, m, ids):
    return np.tanh(table[ids] @ m) @ table.T


def tied_backward(gy, table, m, ids):
    e = table[ids]
    h = np.tanh(e @ m)
    gz = (gy @ table) * (1 - h * h)
    gt = gy.T @ h
    np.add.at(gt, ids, gz @ m.T)
    return gt, e.T @ gz, None


add("right", tied, tied_backward, name="tied_embedding_repeated_ids",
    inputs=lambda r: [r.normal(size=(5, 3)), r.normal(size=(3, 3)), r.permutation([0, 2, 2, 4, 2, 0])])


# 7. softmax within segments
def seg_softmax(x, seg, n=3):
    m = np.full((n, x.shape[1]), -np.inf)
    np.maximum.at(m, seg, x)
    e = np.exp(x - m[seg])
    z = np.zeros((n, x.shape[1]))
    np.add.at(z, seg, e)
    return e / z[seg]


def seg_softmax_backward(gy, x, seg, n=3):
    y = seg_softmax(x, seg, n)
    t = np.zeros((n, x.shape[1]))
    np.add.at(t, seg, gy * y)
    return y * (gy - t[seg]), None


add("right", seg_softmax, seg_softmax_backward, name="segment_softmax",
    inputs=lambda r: [2 * r.normal(size=(9, 2)), r.permutation([0, 0, 1, 1, 1, 2, 2, 2, 2])])


# 8. Cholesky factor of the symmetric part
def chol(a):
    return np.linalg.cholesky((a + a.T) / 2)


def chol_backward(gy, a):
    low = chol(a)
    p = np.tril(low.T @ gy)
    p[np.diag_indices_from(p)] *= 0.5
    s = np.linalg.solve(low.T, p)
    s = np.linalg.solve(low.T, s.T).T
    return (s + s.T) / 2


def spd(r, n):
    q = r.normal(size=(n, n))
    return q @ q.T / n + 1.5 * np.eye(n) + 0.05 * r.normal(size=(n, n))


add("right", chol, chol_backward, name="cholesky_symmetrised", inputs=lambda r: [spd(r, 4)])


# 9. solve and log|det| of the same matrix
def solve_logdet(a, b):
    return np.linalg.solve(a, b), np.asarray(np.linalg.slogdet(a)[1])


def solve_logdet_backward(gy, a, b):
    gx, gd = gy
    x = np.linalg.solve(a, b)
    gb = np.linalg.solve(a.T, gx)
    return -gb @ x.T + gd * np.linalg.inv(a).T, gb


add("right", solve_logdet, solve_logdet_backward, name="solve_and_logdet",
    inputs=lambda r: [r.normal(size=(4, 4)) + 3 * np.eye(4), r.normal(size=(4, 2))])


# 10. LSTM cell, gates i f g o, two outputs
def lstm(x, h, c, w, u, b):
    i, f, g, o = np.split(x @ w + h @ u + b, 4, axis=1)
    cn = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(cn), cn


def lstm_gates(gy, x, h, c, w, u, b):
    gh, gc = gy
    i, f, g, o = np.split(x @ w + h @ u + b, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    t = np.tanh(f * c + i * g)
    gc = gc + gh * o * (1 - t * t)
    return (gc * g * i * (1 - i), gc * c * f * (1 - f), gc * i * (1 - g * g), gh * t * o * (1 - o)), gc * f


def lstm_backward(gy, x, h, c, w, u, b):
    (gi, gf, gg, go), gcp = lstm_gates(gy, x, h, c, w, u, b)
    z = np.concatenate([gi, gf, gg, go], axis=1)
    return z @ w.T, z @ u.T, gcp, x.T @ z, h.T @ z, z.sum(0)


def lstm_inputs(r):
    return [r.normal(size=s) for s in [(3, 3), (3, 2), (3, 2), (3, 8), (2, 8), (8,)]]


add("right", lstm, lstm_backward, name="lstm_cell_h_and_c", inputs=lstm_inputs)
