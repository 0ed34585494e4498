"""Wrong rules, as people write them."""

import numpy as np

from tests.testing.held_out.second.common import add, softmax
from tests.testing.held_out.second.right import ln, lstm, lstm_gates, lstm_inputs
from tests.testing.held_out.second.right_models import rnn, rnn_inputs


# 1. GELU (tanh): the 3 of the cube is forgotten
def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def w_gelu(gy, x):
    t = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
    return gy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * np.sqrt(2 / np.pi) * (1 + 0.044715 * x**2))


add("wrong", gelu, w_gelu, name="w_gelu_inner_three", causes=["wrong-local-derivative", "constant-factor"],
    inputs=lambda r: [r.uniform(0.4, 2, (3, 4)) * r.choice([-1, 1], (3, 4))])


# 2. layer norm: centred, but the deviation is treated as a constant
def w_ln(gy, x, gamma, beta, eps=1e-5):
    m = x.mean(1, keepdims=True)
    inv = 1 / np.sqrt(((x - m) ** 2).mean(1, keepdims=True) + eps)
    g = gy * gamma
    return inv * (g - g.mean(1, keepdims=True)), (gy * (x - m) * inv).sum(0), gy.sum(0)


add("wrong", ln, w_ln, name="w_layer_norm_std_constant", causes=["statistic-as-constant", "missing-term"],
    kwargs={"eps": 1e-5}, inputs=lambda r: [r.normal(size=(3, 5)), r.uniform(0.5, 2, 5), r.normal(size=5)])


# 3. standardise with the unbiased deviation, rule of the biased one
def std1(x):
    return (x - x.mean(0)) / x.std(0, ddof=1)


def w_std1(gy, x):
    y = std1(x)
    return (gy - gy.mean(0) - y * (gy * y).mean(0)) / x.std(0, ddof=1)


add("wrong", std1, w_std1, name="w_standardise_n_for_n_minus_1", causes=["wrong-count"],
    inputs=lambda r: [1 + 2 * r.normal(size=(5, 3))])


# 4. causal dilated convolution: dilation forgotten in the input gradient
def causal(x, w, dilation=1):
    t, k = x.shape[1], w.shape[2]
    xp = np.pad(x, ((0, 0), ((k - 1) * dilation, 0)))
    return sum(w[:, :, i] @ xp[:, i * dilation : i * dilation + t] for i in range(k))


def w_causal(gy, x, w, dilation=1):
    t, k = x.shape[1], w.shape[2]
    pad = (k - 1) * dilation
    xp = np.pad(x, ((0, 0), (pad, 0)))
    gw = np.stack([gy @ xp[:, i * dilation : i * dilation + t].T for i in range(k)], axis=2)
    gxp = np.zeros((x.shape[0], t + k - 1))
    for i in range(k):
        gxp[:, i : i + t] += w[:, :, i].T @ gy
    return gxp[:, k - 1 :].copy(), gw


add("wrong", causal, w_causal, name="w_causal_conv_dilation_forgotten", causes=["option-ignored"],
    kwargs={"dilation": 2}, inputs=lambda r: [r.normal(size=(2, 9)), r.normal(size=(3, 2, 3))])


# 5. 'same' convolution whose padding is cropped from one side only
def same(x, w):
    xp = np.pad(x, 1)
    return np.array([xp[i : i + 3] @ w for i in range(len(x))])


def w_same(gy, x, w):
    xp = np.pad(x, 1)
    gxp, gw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(len(gy)):
        gxp[i : i + 3] += gy[i] * w
        gw += gy[i] * xp[i : i + 3]
    return gxp[: len(x)].copy(), gw


add("wrong", same, w_same, name="w_same_conv_cropped_at_zero", causes=["off-by-one-shift"],
    inputs=lambda r: [r.normal(size=8), r.normal(size=3)])


# 6. attention: 1/sqrt(d) for the queries only
def attn(q, k, v):
    return softmax(q @ k.T / np.sqrt(q.shape[1])) @ v


def w_attn(gy, q, k, v):
    scale = 1 / np.sqrt(q.shape[1])
    p = softmax(q @ k.T * scale)
    gp = gy @ v.T
    gs = p * (gp - (gp * p).sum(1, keepdims=True))
    return gs @ k * scale, gs.T @ q, p.T @ gy


add("wrong", attn, w_attn, name="w_attention_key_scale", causes=["constant-factor"],
    inputs=lambda r: [r.normal(size=(4, 3)), r.normal(size=(5, 3)), r.normal(size=(5, 2))])


# 7. unscaled attention of equal lengths: keys where the queries belong
def dot_attn(q, k, v):
    return softmax(q @ k.T) @ v


def w_dot_attn(gy, q, k, v):
    p = softmax(q @ k.T)
    gp = gy @ v.T
    gs = p * (gp - (gp * p).sum(1, keepdims=True))
    return gs @ k, gs.T @ k, p.T @ gy


add("wrong", dot_attn, w_dot_attn, name="w_attention_keys_for_queries", causes=["wrong-operand"],
    inputs=lambda r: [r.normal(size=(4, 3)), r.normal(size=(4, 3)), r.normal(size=(4, 3))])


# 8. cross-entropy with ignored labels (-1): ignored rows get a gradient
def ce(logits, labels):
    ok = labels >= 0
    p = softmax(logits[ok])
    return np.asarray(-np.log(p[np.arange(ok.sum()), labels[ok]]).sum() / ok.sum())


def w_ce(gy, logits, labels):
    p = softmax(logits)
    p[np.arange(len(labels)), labels] -= 1
    return gy * p / (labels >= 0).sum(), None


add("wrong", ce, w_ce, name="w_cross_entropy_ignored_rows", causes=["mask-missing"],
    inputs=lambda r: [r.normal(size=(6, 4)), r.permutation([0, 1, 3, 2, -1, -1])])


# 9. embedding bag with repeated ids and fancy +=
def bag(table, ids):
    return table[ids].mean(1)


def w_bag(gy, table, ids):
    g = np.zeros_like(table)
    g[ids] += gy[:, None, :] / ids.shape[1]
    return g, None


add("wrong", bag, w_bag, name="w_embedding_bag_fancy_index", causes=["overwritten-not-accumulated"],
    inputs=lambda r: [r.normal(size=(5, 3)), np.stack([r.permutation(5)[:3] for _ in range(4)])])


# 10. max pooling padded with -inf forward, with 0 backward
def padpool(x):
    xp = np.pad(x, 1, constant_values=-np.inf)
    return np.array([[xp[i : i + 3, j : j + 3].max() for j in range(0, x.shape[1], 2)]
                     for i in range(0, x.shape[0], 2)])


def w_padpool(gy, x):
    xp = np.pad(x, 1)
    gxp = np.zeros_like(xp)
    for i in range(gy.shape[0]):
        for j in range(gy.shape[1]):
            win = xp[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            a, b = divmod(int(win.argmax()), win.shape[1])
            gxp[2 * i + a, 2 * j + b] += gy[i, j]
    return gxp[1:-1, 1:-1].copy()


add("wrong", padpool, w_padpool, name="w_maxpool_zero_padding", causes=["zero-padded-max"],
    inputs=lambda r: [(r.permutation(35).reshape(5, 7) - 36.5) / 6])


# 11. LSTM cell: the gates' gradients in the order i f o g
def w_lstm(gy, x, h, c, w, u, b):
    (gi, gf, gg, go), gcp = lstm_gates(gy, x, h, c, w, u, b)
    z = np.concatenate([gi, gf, go, gg], axis=1)
    return z @ w.T, z @ u.T, gcp, x.T @ z, h.T @ z, z.sum(0)


add("wrong", lstm, w_lstm, name="w_lstm_gate_order", causes=["swapped-gradients"], inputs=lstm_inputs)


# 12. RNN: recurrent matrix not transposed when going back
def rnn_seq(x, h0, w, u, b):
    return rnn(x, h0, w, u, b)[0]


def w_rnn(gy, x, h0, w, u, b):
    hs = rnn_seq(x, h0, w, u, b)
    gx, gw, gu, gb, carry = np.zeros_like(x), np.zeros_like(w), np.zeros_like(u), np.zeros_like(b), 0
    for t in reversed(range(len(x))):
        z = (gy[t] + carry) * (1 - hs[t] ** 2)
        gx[t] = z @ w.T
        gw += x[t].T @ z
        gu += (hs[t - 1] if t else h0).T @ z
        gb += z.sum(0)
        carry = z @ u
    return gx, carry, gw, gu, gb


add("wrong", rnn_seq, w_rnn, name="w_rnn_recurrent_not_transposed", causes=["transposed-weight"], inputs=rnn_inputs)


# 13. gated blend: gradient not carried to earlier steps
def blend(z, c):
    h, out = np.zeros(c.shape[1]), []
    for t in range(len(c)):
        h = z[t] * h + (1 - z[t]) * c[t]
        out.append(h)
    return np.stack(out)


def w_blend(gy, z, c):
    h = blend(z, c)
    prev = np.concatenate([np.zeros((1, c.shape[1])), h[:-1]])
    return gy * (prev - c), gy * (1 - z)


add("wrong", blend, w_blend, name="w_gated_blend_no_carry", causes=["carry-dropped"],
    inputs=lambda r: [r.uniform(0.2, 0.8, (5, 2)), r.normal(size=(5, 2))])
