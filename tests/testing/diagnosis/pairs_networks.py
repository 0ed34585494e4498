"""Attention, recurrent cells, regions, interpolation, distances, einsum, order statistics, losses."""

import numpy as np

from tests.testing.diagnosis.building import Wrong

PAIRS = []


def wrong(cause):
    def register(make):
        PAIRS.append((cause, make))
        return make

    return register


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(q, k, v):
    return softmax(q @ k.T / np.sqrt(q.shape[1])) @ v


def attention_backward(gy, q, k, v, scale=True, inner=True, causal=None):
    s = q @ k.T / np.sqrt(q.shape[1])
    if causal is not None:
        s = s + causal
    p = softmax(s)
    gp = gy @ v.T
    gs = p * (gp - (gp * p).sum(-1, keepdims=True)) if inner else p * gp
    if scale:
        gs = gs / np.sqrt(q.shape[1])
    return gs @ k, gs.T @ q, p.T @ gy


def _heads(r):
    return [r.standard_normal((3, 4)), r.standard_normal((5, 4)), r.standard_normal((5, 2))]


@wrong("constant-factor")
def attention_without_scale(r):
    return Wrong(attention, lambda gy, q, k, v: attention_backward(gy, q, k, v, scale=False), _heads(r))


@wrong("statistic-as-constant")
def attention_softmax_sum(r):
    return Wrong(attention, lambda gy, q, k, v: attention_backward(gy, q, k, v, inner=False), _heads(r))


@wrong("mask-missing")
def attention_values_without_mask(r):
    def f(v, s):
        return (np.tril(s)) @ v

    return Wrong(
        lambda s, v: np.tril(s) @ v,
        lambda gy, s, v: (gy @ v.T, np.tril(s).T @ gy),
        [r.standard_normal((4, 4)), r.standard_normal((4, 2))],
    )


@wrong("transposed-weight")
def attention_probabilities(r):
    return Wrong(
        lambda q, k, v: softmax(q @ k.T) @ v,
        lambda gy, q, k, v: (None, None, softmax(q @ k.T) @ gy),
        [r.standard_normal((4, 3)), r.standard_normal((4, 3)), r.standard_normal((4, 2))],
        by=2,
    )


def gru(x, h, wz, wh):
    z = sigmoid(np.concatenate([x, h], 1) @ wz)
    n = np.tanh(np.concatenate([x, h], 1) @ wh)
    return (1 - z) * h + z * n


def gru_backward(gy, x, h, wz, wh, direct=True, gate=True, tanh=True):
    d = x.shape[1]
    c = np.concatenate([x, h], 1)
    z, n = sigmoid(c @ wz), np.tanh(c @ wh)
    gz, gn = gy * (n - h), gy * z
    az = gz * z * (1 - z) if gate else gz
    an = gn * (1 - n**2) if tanh else gn
    gc = az @ wz.T + an @ wh.T
    gh = gc[:, d:] + (gy * (1 - z) if direct else 0)
    return gc[:, :d], gh, c.T @ az, c.T @ an


def _cell(r):
    return [r.standard_normal((2, 3)), r.standard_normal((2, 3)), r.standard_normal((6, 3)), r.standard_normal((6, 3))]


@wrong("missing-term")
def gru_direct_path(r):
    return Wrong(gru, lambda gy, *i: gru_backward(gy, *i, direct=False), _cell(r), by=1)


@wrong("missing-factor")
def gru_gate_derivative(r):
    return Wrong(gru, lambda gy, *i: gru_backward(gy, *i, gate=False), _cell(r), by=2)


@wrong("missing-factor")
def gru_candidate_derivative(r):
    return Wrong(gru, lambda gy, *i: gru_backward(gy, *i, tanh=False), _cell(r), by=3)


@wrong("missing-factor")
def recurrent_step_weight(r):
    def backward(gy, x, h, w, u):
        y = np.tanh(x @ w + h @ u)
        return gy @ w.T, (gy * (1 - y**2)) @ u.T, x.T @ gy, None

    return Wrong(
        lambda x, h, w, u: np.tanh(x @ w + h @ u),
        backward,
        [r.standard_normal((2, 3)), r.standard_normal((2, 4)), r.standard_normal((3, 4)), r.standard_normal((4, 4))],
    )


@wrong("overwritten-not-accumulated")
def regions_overlap(r):
    boxes = [(0, 3), (1, 5), (2, 6)]

    def backward(gy, x):
        gx = np.zeros_like(x)
        for k, (a, b) in enumerate(boxes):
            gx[a:b] = gy[k] / (b - a)
        return (gx,)

    return Wrong(lambda x: np.array([x[a:b].mean() for a, b in boxes]), backward, [r.standard_normal(6)])


@wrong("wrong-count")
def regions_divided_by_one_more(r):
    boxes = [(0, 3), (1, 5), (2, 8)]

    def backward(gy, x):
        gx = np.zeros_like(x)
        for k, (a, b) in enumerate(boxes):
            gx[a:b] += gy[k] / (b - a + 1)
        return (gx,)

    return Wrong(lambda x: np.array([x[a:b].mean() for a, b in boxes]), backward, [r.standard_normal(8)])


def interpolate(x, at):
    i = np.floor(at).astype(int)
    t = at - i
    return x[i] * (1 - t) + x[i + 1] * t


@wrong("misplaced")
def interpolation_weights(r):
    def backward(gy, x, at):
        i = np.floor(at).astype(int)
        t = at - i
        gx = np.zeros_like(x)
        np.add.at(gx, i, gy * t)
        np.add.at(gx, i + 1, gy * (1 - t))
        return gx, None

    return Wrong(interpolate, backward, [r.standard_normal(6), np.array([0.3, 1.8, 2.4, 3.1])])


@wrong("sign-flipped")
def interpolation_position(r):
    def backward(gy, x, at):
        i = np.floor(at).astype(int)
        return None, gy * (x[i] - x[i + 1])

    return Wrong(interpolate, backward, [r.standard_normal(6), np.array([0.3, 1.8, 2.4, 3.1])], by=1)


@wrong("missing-term")
def interpolation_right_neighbour(r):
    def backward(gy, x, at):
        i = np.floor(at).astype(int)
        gx = np.zeros_like(x)
        np.add.at(gx, i, gy * (1 - (at - i)))
        return gx, None

    return Wrong(interpolate, backward, [r.standard_normal(6), np.array([0.3, 1.8, 2.4, 3.1])])


@wrong("transposed-weight")
def einsum_exchanged(r):
    return Wrong(
        lambda a, b: np.einsum("bij,jk->bik", a, b),
        lambda gy, a, b: (np.einsum("bik,kj->bij", gy, b), None),
        [r.standard_normal((2, 3, 4)), r.standard_normal((4, 4))],
    )


@wrong("transposed-gradient")
def einsum_outer(r):
    return Wrong(
        lambda x, w, z: np.einsum("bi,ij,bj->b", x, w, z),
        lambda gy, x, w, z: (None, np.einsum("b,bi,bj->ji", gy, x, z), None),
        [r.standard_normal((5, 3)), r.standard_normal((3, 3)), r.standard_normal((5, 3))],
        by=1,
    )


@wrong("off-by-one-shift")
def exclusive_cumsum(r):
    def backward(gy, x):
        full = np.cumsum(gy[::-1])[::-1]
        return (np.append(full[1:], 0),)

    return Wrong(np.cumsum, backward, [r.standard_normal(7)])


@wrong("off-by-one-shift")
def quantile_index(r):
    def backward(gy, x):
        gx = np.zeros_like(x)
        gx[np.argsort(x)[len(x) // 2 - 1]] = gy
        return (gx,)

    return Wrong(np.median, backward, [r.standard_normal(7)])


@wrong("misplaced")
def top_k_positions(r):
    def backward(gy, x):
        gx = np.zeros_like(x)
        gx[:2] = gy
        return (gx,)

    x = np.array([0.1, -1.0, 2.0, 0.5, 3.0]) + 0.01 * r.random(5)
    return Wrong(lambda x: np.sort(x)[-2:], backward, [x])


@wrong("constant-factor")
def focal_gamma(r):
    def f(p, gamma):
        return (1 - p) ** gamma

    return Wrong(
        f, lambda gy, p, gamma: (-gy * (1 - p) ** (gamma - 1),), [r.random((3, 4)) * 0.8 + 0.1], {"gamma": 2.5}
    )


@wrong("wrong-power")
def focal_exponent(r):
    def f(p, gamma):
        return (1 - p) ** gamma

    return Wrong(
        f, lambda gy, p, gamma: (-gamma * gy * (1 - p) ** gamma,), [r.random((3, 4)) * 0.8 + 0.1], {"gamma": 2.5}
    )


@wrong("missing-term")
def kl_divergence(r):
    return Wrong(
        lambda p, q: (p * np.log(p / q)).sum(1),
        lambda gy, p, q: (gy[:, None] * np.log(p / q), None),
        [r.random((3, 4)) + 0.2, r.random((3, 4)) + 0.2],
    )


@wrong("missing-term")
def binary_cross_entropy(r):
    return Wrong(
        lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(),
        lambda gy, p, t: (-gy * t / p / p.size, None),
        [r.random((3, 4)) * 0.8 + 0.1, r.random((3, 4))],
    )


@wrong("extra-factor")
def sigmoid_cross_entropy(r):
    def f(x, t):
        return (np.log1p(np.exp(x)) - t * x).sum()

    return Wrong(
        f,
        lambda gy, x, t: (gy * (sigmoid(x) - t) * sigmoid(x) * (1 - sigmoid(x)), None),
        [r.standard_normal((3, 4)), r.random((3, 4))],
    )


@wrong("missing-term")
def label_smoothing(r):
    t = np.array([0, 2, 1])

    def f(x, t):
        soft = 0.9 * np.eye(4)[t] + 0.025
        return -(soft * np.log(softmax(x))).sum()

    return Wrong(f, lambda gy, x, t: (gy * (softmax(x)), None), [r.standard_normal((3, 4)), t])


@wrong("statistic-as-constant")
def cosine_similarity(r):
    def f(a, b):
        return (a * b).sum(1) / np.sqrt((a * a).sum(1)) / np.sqrt((b * b).sum(1))

    return Wrong(
        f,
        lambda gy, a, b: ((gy / np.sqrt((a * a).sum(1)) / np.sqrt((b * b).sum(1)))[:, None] * b, None),
        [r.standard_normal((3, 4)), r.standard_normal((3, 4))],
    )


@wrong("mask-too-strict")
def hinge(r):
    return Wrong(
        lambda s, t: np.maximum(0, 1 - t * s).sum(),
        lambda gy, s, t: (-gy * t * (t * s < 1) * (s > 0), None),
        [np.array([0.3, -0.4, 0.8, -2.0, 1.6, 0.2]), np.array([1.0, 1, -1, -1, 1, 1])],
    )


@wrong("missing-factor")
def layer_scale(r):
    return Wrong(
        lambda x, s: s * np.tanh(x),
        lambda gy, x, s: (gy * (1 - np.tanh(x) ** 2), None),
        [r.standard_normal((3, 4)), r.random(4) + 0.5],
    )


@wrong("divided-too-often")
def group_sum(r):
    return Wrong(
        lambda x: x.reshape(2, 3, 4).sum(1),
        lambda gy, x: (np.repeat(gy[:, None] / 3, 3, 1).reshape(x.shape),),
        [r.standard_normal((2, 12))],
    )


@wrong("wrong-reshape")
def pixel_shuffle(r):
    def f(x):
        return x.reshape(2, 2, 2, 3, 3).transpose(0, 3, 1, 4, 2).reshape(2, 6, 6)

    return Wrong(f, lambda gy, x: (gy.reshape(x.shape),), [r.standard_normal((8, 3, 3))])


@wrong("swapped-gradients")
def concatenated_gates(r):
    def backward(gy, x, w):
        g = x.T @ gy
        return None, np.concatenate([g[:, 2:], g[:, :2]], 1)

    return Wrong(lambda x, w: x @ w, backward, [r.standard_normal((3, 2)), r.standard_normal((2, 4))], by=1)


@wrong("off-by-one-shift")
def time_shift(r):
    def backward(gy, x):
        gx = np.zeros_like(x)
        gx[:-1] = gy[:-1]
        return (gx,)

    return Wrong(lambda x: np.concatenate([np.zeros((1, x.shape[1])), x[:-1]]), backward, [r.standard_normal((5, 2))])


@wrong("missing-term")
def variance_of_product(r):
    return Wrong(
        lambda a, b: (a * b) / (a + b),
        lambda gy, a, b: (gy * b / (a + b), None),
        [r.random(6) + 0.5, r.random(6) + 0.5],
    )


@wrong("sign-flipped")
def inverse(r):
    def backward(gy, a):
        i = np.linalg.inv(a)
        return (i.T @ gy @ i.T,)

    return Wrong(np.linalg.inv, backward, [4 * np.eye(3) + r.standard_normal((3, 3))])


@wrong("transposed-weight")
def inverse_not_transposed(r):
    def backward(gy, a):
        i = np.linalg.inv(a)
        return (-i @ gy @ i,)

    return Wrong(np.linalg.inv, backward, [4 * np.eye(3) + r.standard_normal((3, 3))])


@wrong("counted-twice")
def gradient_of_trace_like(r):
    def backward(gy, x):
        gx = gy + gy.T
        return (gx,)

    return Wrong(
        lambda x: (x + np.diag(np.diag(x))) / 2 + np.tril(x, -1) / 2 + np.triu(x, 1) / 2,
        lambda gy, x: (gy + np.diag(np.diag(gy)),),
        [r.standard_normal((4, 4))],
    )


@wrong("border-dropped")
def moving_average(r):
    def backward(gy, x):
        gx = np.zeros_like(x)
        for i in range(len(gy) - 1):
            gx[i : i + 3] += gy[i] / 3
        return (gx,)

    return Wrong(lambda x: np.array([x[i : i + 3].mean() for i in range(len(x) - 2)]), backward, [r.standard_normal(8)])


@wrong("option-ignored")
def dilated(r):
    def f(x, w, dilation):
        n = len(x) - dilation * (len(w) - 1)
        return sum(w[k] * x[k * dilation : k * dilation + n] for k in range(len(w)))

    def backward(gy, x, w, dilation):
        gx = np.zeros_like(x)
        for k in range(len(w)):
            gx[k : k + len(gy)] += w[k] * gy
        return gx, None

    return Wrong(f, backward, [r.standard_normal(9), r.standard_normal(3)], {"dilation": 2})


@wrong("wrong-operand")
def bilinear_wrong_argument(r):
    return Wrong(
        lambda a, w, b: np.einsum("ni,ij,nj->n", a, w, b),
        lambda gy, a, w, b: (gy[:, None] * (a @ w.T), None, None),
        [r.standard_normal((3, 4)), r.standard_normal((4, 4)), r.standard_normal((3, 4))],
    )


@wrong("saved-value-confused")
def elu_at_output(r):
    def f(x):
        return np.where(x > 0, x, np.exp(x) - 1)

    x = r.standard_normal((4, 5))
    x += 0.15 * np.sign(x)
    return Wrong(f, lambda gy, x: (gy * np.where(x > 0, 1, np.exp(f(x))),), [x])


@wrong("missing-term")
def gelu_tanh(r):
    c = np.sqrt(2 / np.pi)

    def f(x):
        return 0.5 * x * (1 + np.tanh(c * (x + 0.044715 * x**3)))

    return Wrong(f, lambda gy, x: (gy * 0.5 * (1 + np.tanh(c * (x + 0.044715 * x**3))),), [r.standard_normal((3, 4))])


@wrong("missing-term")
def mish(r):
    def f(x):
        return x * np.tanh(np.log1p(np.exp(x)))

    return Wrong(f, lambda gy, x: (gy * np.tanh(np.log1p(np.exp(x))),), [r.standard_normal((3, 4))])


@wrong("statistic-as-constant")
def max_norm(r):
    return Wrong(lambda x: x / np.abs(x).max(), lambda gy, x: (gy / np.abs(x).max(),), [r.standard_normal((2, 4))])


@wrong("statistic-as-constant")
def min_max_scaling(r):
    def f(x):
        return (x - x.min()) / (x.max() - x.min())

    return Wrong(f, lambda gy, x: (gy / (x.max() - x.min()),), [r.standard_normal(6)])


@wrong("missing-term")
def pairwise_self_distance(r):
    def f(x):
        return ((x[:, None] - x[None]) ** 2).sum(-1)

    return Wrong(f, lambda gy, x: ((2 * gy[:, :, None] * (x[:, None] - x[None])).sum(1),), [r.standard_normal((4, 2))])


@wrong("missing-term")
def gram(r):
    return Wrong(lambda x: x @ x.T, lambda gy, x: (gy @ x,), [r.standard_normal((4, 3))])
