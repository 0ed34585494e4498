"""Losses, normalisations, recursions, sampling, matrix functions."""

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


@wrong("missing-term")
def dice_loss(r):
    def f(p, t):
        return 1 - 2 * (p * t).sum() / (p.sum() + t.sum())

    return Wrong(f, lambda gy, p, t: (-2 * gy * t / (p.sum() + t.sum()), None), [r.random((3, 4)), r.random((3, 4))])


@wrong("constant-factor")
def dice_loss_factor(r):
    def f(p, t):
        return 1 - 2 * (p * t).sum() / (p.sum() + t.sum())

    def backward(gy, p, t):
        s = p.sum() + t.sum()
        return -gy * (t / s - (p * t).sum() / s**2), None

    return Wrong(f, backward, [r.random((3, 4)), r.random((3, 4))])


@wrong("sign-flipped")
def quantile_loss(r):
    def f(p, t, q):
        d = t - p
        return np.maximum(q * d, (q - 1) * d).sum()

    return Wrong(
        f,
        lambda gy, p, t, q: (gy * np.where(t > p, q, q - 1), None),
        [r.standard_normal(8), r.standard_normal(8)],
        {"q": 0.3},
    )


@wrong("statistic-as-constant")
def weight_normalisation(r):
    def f(v, g):
        return g * v / np.sqrt((v**2).sum(0))

    return Wrong(
        f, lambda gy, v, g: (gy * g / np.sqrt((v**2).sum(0)), None), [r.standard_normal((4, 3)), r.random(3) + 0.5]
    )


@wrong("missing-factor")
def weight_normalisation_gain(r):
    def f(v, g):
        return g * v / np.sqrt((v**2).sum(0))

    return Wrong(f, lambda gy, v, g: (None, (gy * v).sum(0)), [r.standard_normal((4, 3)), r.random(3) + 0.5], by=1)


@wrong("saved-value-confused")
def batch_norm_gain_from_input(r):
    def f(x, g):
        return g * (x - x.mean(0)) / x.std(0)

    return Wrong(f, lambda gy, x, g: (None, (gy * x).sum(0)), [r.standard_normal((5, 3)) + 1, r.random(3) + 0.5], by=1)


@wrong("statistic-as-constant")
def group_norm(r):
    def f(x):
        g = x.reshape(2, 2, 6)
        return ((g - g.mean(-1, keepdims=True)) / g.std(-1, keepdims=True)).reshape(x.shape)

    def backward(gy, x):
        g = x.reshape(2, 2, 6)
        return ((gy.reshape(g.shape) - gy.reshape(g.shape).mean(-1, keepdims=True)) / g.std(-1, keepdims=True)).reshape(
            x.shape
        )

    return Wrong(f, backward, [r.standard_normal((2, 4, 3))])


@wrong("broadcast-not-summed")
def prelu_slope(r):
    x = r.standard_normal((4, 3))
    return Wrong(
        lambda x, a: np.where(x > 0, x, a * x),
        lambda gy, x, a: (None, (gy * x * (x < 0))[0]),
        [-np.abs(x), r.random(3)],
        by=1,
    )


@wrong("missing-factor")
def log_sum_exp(r):
    return Wrong(
        lambda x: np.log(np.exp(x).sum(1)), lambda gy, x: (gy[:, None] * np.exp(x),), [r.standard_normal((3, 4))]
    )


@wrong("missing-factor")
def softplus_beta(r):
    return Wrong(
        lambda x, beta: np.log1p(np.exp(beta * x)) / beta,
        lambda gy, x, beta: (gy * np.ones_like(x),),
        [r.standard_normal((3, 4))],
        {"beta": 1.5},
    )


@wrong("carry-dropped")
def moving_average(r):
    def f(x, decay):
        m, out = 0.0, []
        for v in x:
            m = decay * m + (1 - decay) * v
            out.append(m)
        return np.array(out)

    return Wrong(f, lambda gy, x, decay: ((1 - decay) * gy,), [r.standard_normal(5)], {"decay": 0.8})


@wrong("missing-factor")
def cumprod(r):
    return Wrong(np.cumprod, lambda gy, x: (np.cumsum((gy * np.cumprod(x))[::-1])[::-1],), [r.random(6) + 0.5])


@wrong("missing-factor")
def hypotenuse(r):
    return Wrong(np.hypot, lambda gy, a, b: (gy * a, gy * b), [r.standard_normal(6), r.standard_normal(6)])


@wrong("sign-flipped")
def arctangent(r):
    return Wrong(
        np.arctan2,
        lambda gy, a, b: (gy * b / (a * a + b * b), gy * a / (a * a + b * b)),
        [r.random(6) + 0.5, r.random(6) + 0.5],
        by=1,
    )


@wrong("missing-factor")
def power_of_exponent(r):
    return Wrong(
        lambda a, b: a**b,
        lambda gy, a, b: (gy * b * a ** (b - 1), gy * a**b),
        [r.random(6) + 1.3, r.random(6) + 0.5],
        by=1,
    )


@wrong("wrong-power")
def power_of_base(r):
    return Wrong(lambda a, b: a**b, lambda gy, a, b: (gy * b * a**b, None), [r.random(8) + 1.3, r.random(8) + 0.5])


@wrong("missing-factor")
def error_function(r):
    return Wrong(lambda x: np.exp(-(x**2)), lambda gy, x: (-2 * gy * x,), [r.standard_normal((3, 4))])


@wrong("transposed-gradient")
def log_determinant(r):
    return Wrong(
        lambda a: np.log(np.linalg.det(a)),
        lambda gy, a: (gy * np.linalg.inv(a),),
        [5 * np.eye(3) + r.standard_normal((3, 3))],
    )


@wrong("overwritten-not-accumulated")
def segment_gather(r):
    index = np.array([0, 2, 1, 2, 0, 2])

    def backward(gy, x, index):
        gx = np.zeros_like(x)
        for k, i in enumerate(index):
            gx[i] = gy[k]
        return gx, None

    return Wrong(lambda x, index: x[index] ** 1, backward, [r.standard_normal((3, 2)), index])


@wrong("wrong-count")
def segment_mean(r):
    index = np.array([0, 1, 1, 2, 2, 2, 2])

    def f(x, index):
        y = np.zeros(3)
        np.add.at(y, index, x)
        return y / np.bincount(index)

    return Wrong(f, lambda gy, x, index: ((gy / 3)[index], None), [r.standard_normal(7), index])


@wrong("mean-not-divided")
def global_average_pooling(r):
    return Wrong(
        lambda x: x.mean((2, 3)),
        lambda gy, x: (np.broadcast_to(gy[:, :, None, None], x.shape),),
        [r.standard_normal((2, 2, 3, 4))],
    )


@wrong("reduced-too-much")
def depthwise(r):
    def f(x, w):  # (c, n), (c, k)
        n = x.shape[1] - w.shape[1] + 1
        return sum(x[:, k : k + n] * w[:, k : k + 1] for k in range(w.shape[1]))

    def backward(gy, x, w):
        gx = np.zeros_like(x)
        for k in range(w.shape[1]):
            gx[:, k : k + gy.shape[1]] += (gy * w[:, k : k + 1]).sum(0)
        return gx, None

    return Wrong(f, backward, [r.standard_normal((2, 6)), r.standard_normal((2, 3))])


@wrong("kernel-not-flipped")
def transposed_convolution(r):
    def f(x, w):
        y = np.zeros(len(x) + len(w) - 1)
        for i, v in enumerate(x):
            y[i : i + len(w)] += v * w
        return y

    def backward(gy, x, w):
        return np.array([gy[i : i + len(w)] @ w[::-1] for i in range(len(x))]), None

    return Wrong(f, backward, [r.standard_normal(5), r.standard_normal(3)])


@wrong("mask-missing")
def causal_softmax(r):
    def f(x):
        s = np.where(np.tri(len(x)) > 0, np.exp(x), 0)
        return s

    return Wrong(f, lambda gy, x: (gy * np.exp(x),), [r.standard_normal((4, 4))])


@wrong("statistic-as-constant")
def contrastive(r):
    def f(a, b):
        return (a @ b.T) - np.log(np.exp(a @ b.T).sum(1, keepdims=True))

    return Wrong(f, lambda gy, a, b: (gy @ b, None), [r.standard_normal((3, 4)), r.standard_normal((3, 4))])


@wrong("statistic-as-constant")
def softmax_temperature(r):
    def f(x, t):
        e = np.exp(x / t)
        return e / e.sum(1, keepdims=True)

    return Wrong(f, lambda gy, x, t: (gy * f(x, t) / t,), [r.standard_normal((3, 4))], {"t": 2.5})


@wrong("constant-factor")
def softmax_temperature_forgotten(r):
    def f(x, t):
        e = np.exp(x / t)
        return e / e.sum(1, keepdims=True)

    def backward(gy, x, t):
        y = f(x, t)
        return (y * (gy - (gy * y).sum(1, keepdims=True)),)

    return Wrong(f, backward, [r.standard_normal((3, 4))], {"t": 2.5})


@wrong("missing-term")
def highway(r):
    def f(x, w):
        t = sigmoid(x @ w)
        return t * np.tanh(x) + (1 - t) * x

    def backward(gy, x, w):
        t = sigmoid(x @ w)
        return gy * (t * (1 - np.tanh(x) ** 2) + 1 - t), None

    return Wrong(f, backward, [r.standard_normal((2, 3)), r.standard_normal((3, 3))])


@wrong("missing-factor")
def two_layers(r):
    def f(x, a, b):
        return np.tanh(x @ a) @ b

    return Wrong(
        f,
        lambda gy, x, a, b: (gy @ b.T @ a.T, None, None),
        [r.standard_normal((3, 4)), r.standard_normal((4, 5)), r.standard_normal((5, 2))],
    )


@wrong("mask-missing")
def two_layers_relu(r):
    def f(x, a, b):
        return np.maximum(x @ a, 0) @ b

    return Wrong(
        f,
        lambda gy, x, a, b: (gy @ b.T @ a.T, None, None),
        [r.standard_normal((3, 4)), r.standard_normal((4, 5)), r.standard_normal((5, 2))],
    )


@wrong("saved-value-confused")
def two_layers_weight_gradient(r):
    def f(x, a, b):
        return np.tanh(x @ a) @ b

    return Wrong(
        f,
        lambda gy, x, a, b: (None, None, (x @ a).T @ gy),
        [r.standard_normal((3, 4)), r.standard_normal((4, 5)), r.standard_normal((5, 2))],
        by=2,
    )


@wrong("reduced-too-much")
def attention_weights_normalised_over_queries(r):
    def softmax(x, axis):
        e = np.exp(x - x.max(axis, keepdims=True))
        return e / e.sum(axis, keepdims=True)

    def backward(gy, s, v):
        p, gp = softmax(s, 1), gy @ v.T
        return p * (gp - (gp * p).sum(0, keepdims=True)), p.T @ gy

    return Wrong(lambda s, v: softmax(s, 1) @ v, backward, [r.standard_normal((4, 4)), r.standard_normal((4, 3))])


@wrong("misplaced")
def roi_align_rows_and_columns(r):
    def f(x, p):
        i, j = np.floor(p).astype(int).T
        a, b = (p - np.floor(p)).T
        return (
            x[i, j] * (1 - a) * (1 - b)
            + x[i + 1, j] * a * (1 - b)
            + x[i, j + 1] * (1 - a) * b
            + x[i + 1, j + 1] * a * b
        )

    def backward(gy, x, p):
        i, j = np.floor(p).astype(int).T
        a, b = (p - np.floor(p)).T
        gx = np.zeros_like(x)
        np.add.at(gx, (i, j), gy * (1 - a) * (1 - b))
        np.add.at(gx, (i + 1, j), gy * (1 - a) * b)
        np.add.at(gx, (i, j + 1), gy * a * (1 - b))
        np.add.at(gx, (i + 1, j + 1), gy * a * b)
        return gx, None

    return Wrong(f, backward, [r.standard_normal((4, 5)), np.array([[0.3, 1.2], [2.1, 3.4], [1.7, 0.6]])])


@wrong("statistic-as-constant")
def spectral_like(r):
    return Wrong(
        lambda w: w / np.linalg.norm(w, 2), lambda gy, w: (gy / np.linalg.norm(w, 2),), [r.standard_normal((3, 4))]
    )


@wrong("missing-term")
def lagged_difference(r):
    def backward(gy, x):
        gx = np.zeros_like(x)
        gx[1:] += gy
        return (gx,)

    return Wrong(np.diff, backward, [r.standard_normal(6)])


@wrong("extra-factor")
def sigmoid_twice(r):
    def backward(gy, x):
        y = sigmoid(x)
        return (gy * (y * (1 - y)) ** 2,)

    return Wrong(sigmoid, backward, [r.standard_normal((3, 4))])


@wrong("swapped-gradients")
def linear_exchanged(r):
    return Wrong(
        lambda x, w: x @ w,
        lambda gy, x, w: (x.T @ gy, gy @ w.T),
        [r.standard_normal((3, 3)), r.standard_normal((3, 3))],
    )
