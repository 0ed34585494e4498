"""Softmax, normalisations, losses, order statistics, indexing."""

import numpy as np

from tests.testing.diagnosis.building import Wrong

PAIRS = []


def wrong(cause):
    def register(make):
        PAIRS.append((cause, make))
        return make

    return register


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@wrong("coupling-dropped")
def softmax_diagonal(r):
    return Wrong(softmax, lambda gy, x: (gy * softmax(x) * (1 - softmax(x)),), [r.standard_normal((2, 4))])


@wrong("statistic-as-constant")
def softmax_sum_constant(r):
    return Wrong(softmax, lambda gy, x: (gy * softmax(x),), [r.standard_normal((2, 4))])


@wrong("wrong-axis")
def softmax_wrong_axis(r):
    def backward(gy, x):
        y = softmax(x)
        return (y * (gy - (gy * y).sum(0, keepdims=True)),)

    return Wrong(softmax, backward, [r.standard_normal((3, 4))])


@wrong("reduced-too-much")
def softmax_over_everything(r):
    def backward(gy, x):
        y = softmax(x)
        return (y * (gy - (gy * y).sum()),)

    return Wrong(softmax, backward, [r.standard_normal((3, 4))])


@wrong("sign-flipped")
def softmax_plus(r):
    def backward(gy, x):
        y = softmax(x)
        return (y * (gy + (gy * y).sum(-1, keepdims=True)),)

    return Wrong(softmax, backward, [r.standard_normal((2, 5))])


@wrong("statistic-as-constant")
def log_softmax_identity(r):
    return Wrong(lambda x: np.log(softmax(x)), lambda gy, x: (gy,), [r.standard_normal((3, 4))])


@wrong("saved-value-confused")
def softmax_of_input(r):
    return Wrong(softmax, lambda gy, x: (x * (gy - (gy * x).sum(-1, keepdims=True)),), [r.standard_normal((2, 4))])


def layer_norm(x, g, b, eps=1e-5):
    return g * (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) + b


def norm_backward(gy, x, g, axis=-1, eps=1e-5, mean=1.0, var=1.0, gamma=True, std=True, hat=True):
    sd = np.sqrt(x.var(axis, keepdims=True) + eps)
    h = (x - x.mean(axis, keepdims=True)) / sd
    d = gy * g if gamma else gy
    u = h if hat else x
    gx = d - mean * d.mean(axis, keepdims=True) - var * u * (d * u).mean(axis, keepdims=True)
    return gx / sd if std else gx


def _norm(r, n, c):
    return [r.standard_normal((n, c)), r.standard_normal(c) + 2, r.standard_normal(c)]


@wrong("statistic-as-constant")
def layer_norm_mean_constant(r):
    return Wrong(layer_norm, lambda gy, x, g, b: (norm_backward(gy, x, g, mean=0), None, None), _norm(r, 2, 5))


@wrong("statistic-as-constant")
def layer_norm_variance_constant(r):
    return Wrong(layer_norm, lambda gy, x, g, b: (norm_backward(gy, x, g, var=0), None, None), _norm(r, 3, 4))


@wrong("statistic-as-constant")
def layer_norm_both_constant(r):
    return Wrong(layer_norm, lambda gy, x, g, b: (norm_backward(gy, x, g, var=0, mean=0), None, None), _norm(r, 3, 5))


@wrong("sign-flipped")
def layer_norm_sign(r):
    return Wrong(layer_norm, lambda gy, x, g, b: (norm_backward(gy, x, g, mean=-1), None, None), _norm(r, 3, 5))


@wrong("mean-not-divided")
def layer_norm_mean_undivided(r):
    return Wrong(layer_norm, lambda gy, x, g, b: (norm_backward(gy, x, g, mean=x.shape[1]), None, None), _norm(r, 2, 5))


@wrong("missing-factor")
def layer_norm_gamma(r):
    return Wrong(layer_norm, lambda gy, x, g, b: (norm_backward(gy, x, g, gamma=False), None, None), _norm(r, 2, 5))


@wrong("missing-factor")
def layer_norm_deviation(r):
    return Wrong(layer_norm, lambda gy, x, g, b: (norm_backward(gy, x, g, std=False), None, None), _norm(r, 4, 5))


@wrong("saved-value-confused")
def layer_norm_input_for_normalised(r):
    return Wrong(layer_norm, lambda gy, x, g, b: (norm_backward(gy, x, g, hat=False), None, None), _norm(r, 2, 5))


@wrong("epsilon-mismatch")
def layer_norm_epsilon(r):
    return Wrong(
        layer_norm, lambda gy, x, g, b, eps: (norm_backward(gy, x, g, eps=0), None, None), _norm(r, 2, 5), {"eps": 1e-3}
    )


def batch_norm(x, g, b, eps=1e-5):
    m, v = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    return g[:, None, None] * (x - m) / np.sqrt(v + eps) + b[:, None, None]


@wrong("statistic-as-constant")
def batch_norm_as_in_evaluation(r):
    def backward(gy, x, g, b):
        return gy * g[:, None, None] / np.sqrt(x.var((0, 2, 3), keepdims=True) + 1e-5), None, None

    return Wrong(
        batch_norm, backward, [r.standard_normal((2, 2, 2, 3)), r.standard_normal(2) + 2, r.standard_normal(2)]
    )


@wrong("wrong-axis")
def batch_norm_statistics_per_image(r):
    def backward(gy, x, g, b):
        return norm_backward(gy, x, g[:, None, None], axis=(1, 2, 3)), None, None

    return Wrong(
        batch_norm, backward, [r.standard_normal((2, 2, 2, 3)), r.standard_normal(2) + 2, r.standard_normal(2)]
    )


@wrong("statistic-as-constant")
def unit_norm(r):
    def f(x):
        return x / np.sqrt((x * x).sum(-1, keepdims=True))

    return Wrong(f, lambda gy, x: (gy / np.sqrt((x * x).sum(-1, keepdims=True)),), [r.standard_normal((3, 4))])


@wrong("missing-factor")
def unit_norm_scale(r):
    def f(x):
        return x / np.sqrt((x * x).sum(-1, keepdims=True))

    return Wrong(f, lambda gy, x: (gy - f(x) * (gy * f(x)).sum(-1, keepdims=True),), [r.standard_normal((3, 4))])


@wrong("statistic-as-constant")
def rms_norm(r):
    def f(x, g):
        return g * x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)

    return Wrong(
        f,
        lambda gy, x, g: (gy * g / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6), None),
        [r.standard_normal((3, 4)), r.random(4) + 0.5],
    )


@wrong("statistic-as-constant")
def divided_by_sum(r):
    return Wrong(
        lambda x: x / x.sum(-1, keepdims=True), lambda gy, x: (gy / x.sum(-1, keepdims=True),), [r.random((3, 4)) + 0.2]
    )


@wrong("statistic-as-constant")
def centred(r):
    return Wrong(lambda x: x - x.mean(0), lambda gy, x: (gy,), [r.standard_normal((5, 3))])


@wrong("statistic-as-constant")
def minus_maximum(r):
    return Wrong(lambda x: x - x.max(-1, keepdims=True), lambda gy, x: (gy,), [r.standard_normal((3, 5))])


def cross_entropy(x, t):
    return -np.log(softmax(x))[np.arange(len(t)), t].mean()


def _classes(r):
    return [r.standard_normal((6, 4)), np.array([0, 2, 1, 3, 3, 0])]


def _ce(x, t, onehot=1.0, n=None):
    p = softmax(x)
    p[np.arange(len(t)), t] -= onehot
    return p / (n or len(t))


@wrong("mean-not-divided")
def cross_entropy_undivided(r):
    return Wrong(cross_entropy, lambda gy, x, t: (gy * _ce(x, t, n=1), None), _classes(r))


@wrong("missing-term")
def cross_entropy_without_target(r):
    return Wrong(cross_entropy, lambda gy, x, t: (gy * _ce(x, t, onehot=0), None), _classes(r))


@wrong("sign-flipped")
def cross_entropy_reversed(r):
    return Wrong(cross_entropy, lambda gy, x, t: (-gy * _ce(x, t), None), _classes(r))


@wrong("upstream-ignored")
def cross_entropy_upstream(r):
    return Wrong(cross_entropy, lambda gy, x, t: (_ce(x, t), None), _classes(r))


@wrong("off-by-one-shift")
def cross_entropy_labels(r):
    return Wrong(cross_entropy, lambda gy, x, t: (gy * _ce(x, (t + 1) % 4), None), _classes(r))


@wrong("divided-too-often")
def cross_entropy_by_classes(r):
    return Wrong(cross_entropy, lambda gy, x, t: (gy * _ce(x, t, n=24), None), _classes(r))


@wrong("mask-missing")
def ignored_label(r):
    def f(x, t):
        keep = t >= 0
        return -(np.log(softmax(x))[np.arange(len(t)), np.maximum(t, 0)] * keep).sum()

    return Wrong(
        f,
        lambda gy, x, t: (gy * _ce(x, np.maximum(t, 0), n=1), None),
        [r.standard_normal((5, 3)), np.array([0, -1, 2, -1, 1])],
    )


def _gather_inputs(r):
    return [r.standard_normal((5, 2)), np.array([1, 3, 1, 0, 3, 1])]


@wrong("overwritten-not-accumulated")
def embedding(r):
    def backward(gy, w, i):
        gw = np.zeros_like(w)
        gw[i] += gy
        return gw, None

    return Wrong(lambda w, i: w[i], backward, _gather_inputs(r))


@wrong("off-by-one-shift")
def embedding_shifted(r):
    def backward(gy, w, i):
        gw = np.zeros_like(w)
        np.add.at(gw, (i + 1) % len(w), gy)
        return gw, None

    return Wrong(lambda w, i: w[i], backward, _gather_inputs(r))


@wrong("misplaced")
def sort_passed_through(r):
    return Wrong(np.sort, lambda gy, x: (gy,), [np.array([0.3, -1.2, 2.0, 0.9, -0.4]) + 0.01 * r.random(5)])


@wrong("forward-not-adjoint")
def sort_gathered(r):
    return Wrong(
        np.sort, lambda gy, x: (gy[np.argsort(x)],), [np.array([2.0, 0.3, 0.9, -1.2, -0.4]) + 0.01 * r.random(5)]
    )


@wrong("misplaced")
def maximum_at_minimum(r):
    def backward(gy, x):
        gx = np.zeros_like(x)
        gx[np.arange(len(x)), x.argmin(1)] = gy
        return (gx,)

    return Wrong(lambda x: x.max(1), backward, [r.standard_normal((4, 5))])


@wrong("mask-missing")
def maximum_to_all(r):
    return Wrong(
        lambda x: x.max(1), lambda gy, x: (np.repeat(gy[:, None], x.shape[1], 1),), [r.standard_normal((4, 5))]
    )


@wrong("statistic-as-constant")
def standardised_by_sum_of_squares(r):
    def f(x):
        return x / (1 + (x**2).sum(-1, keepdims=True))

    return Wrong(f, lambda gy, x: (gy / (1 + (x**2).sum(-1, keepdims=True)),), [r.standard_normal((2, 5))])


@wrong("missing-term")
def variance_uncentred(r):
    return Wrong(
        lambda x: x.var(1), lambda gy, x: (2 * gy[:, None] * x / x.shape[1],), [r.standard_normal((3, 5)) + 0.7]
    )
