"""Matrix products, reductions, broadcasting, axes."""

import numpy as np

from tests.testing.diagnosis.building import Wrong

PAIRS = []


def wrong(cause):
    def register(make):
        PAIRS.append((cause, make))
        return make

    return register


def linear(x, w, b):
    return x @ w + b


def _linear(r, n, k, m):
    return [r.standard_normal((n, k)), r.standard_normal((k, m)), r.standard_normal(m)]


@wrong("transposed-weight")
def square_weight(r):
    return Wrong(linear, lambda gy, x, w, b: (gy @ w, x.T @ gy, gy.sum(0)), _linear(r, 3, 4, 4))


@wrong("transposed-gradient")
def weight_gradient_transposed(r):
    return Wrong(linear, lambda gy, x, w, b: (gy @ w.T, gy.T @ x, gy.sum(0)), _linear(r, 3, 4, 4), by=1)


@wrong("transposed-weight")
def batched_product(r):
    return Wrong(
        lambda a, b: a @ b,
        lambda gy, a, b: (gy @ b, np.swapaxes(a, -1, -2) @ gy),
        [r.standard_normal((2, 3, 3)), r.standard_normal((2, 3, 3))],
    )


@wrong("wrong-reshape")
def weight_reshaped(r):
    return Wrong(linear, lambda gy, x, w, b: (gy @ w.reshape(w.shape[::-1]), x.T @ gy, gy.sum(0)), _linear(r, 3, 4, 2))


@wrong("mean-not-divided")
def mean_over_batch(r):
    return Wrong(lambda x: x.mean(0), lambda gy, x: (np.broadcast_to(gy, x.shape),), [r.standard_normal((6, 3))])


@wrong("mean-not-divided")
def mse(r):
    return Wrong(
        lambda x, t: ((x - t) ** 2).mean(),
        lambda gy, x, t: (2 * gy * (x - t), None),
        [r.standard_normal((3, 4)), r.standard_normal((3, 4))],
    )


@wrong("divided-too-often")
def bias_averaged(r):
    return Wrong(linear, lambda gy, x, w, b: (gy @ w.T, x.T @ gy, gy.mean(0)), _linear(r, 5, 3, 4), by=2)


@wrong("divided-too-often")
def weights_averaged(r):
    return Wrong(linear, lambda gy, x, w, b: (gy @ w.T, x.T @ gy / len(x), gy.sum(0)), _linear(r, 7, 3, 4), by=1)


@wrong("wrong-count")
def unbiased_variance(r):
    return Wrong(
        lambda x: x.var(1, ddof=1),
        lambda gy, x: (2 * gy[:, None] * (x - x.mean(1, keepdims=True)) / x.shape[1],),
        [r.standard_normal((3, 5))],
    )


@wrong("broadcast-not-summed")
def bias_first_row(r):
    return Wrong(linear, lambda gy, x, w, b: (gy @ w.T, x.T @ gy, gy[0]), _linear(r, 5, 3, 4), by=2)


@wrong("overwritten-not-accumulated")
def bias_loop_assigns(r):
    def backward(gy, x, w, b):
        gb = np.zeros_like(b)
        for row in gy:
            gb = row
        return gy @ w.T, x.T @ gy, gb

    return Wrong(linear, backward, _linear(r, 5, 3, 4), by=2)


@wrong("overwritten-not-accumulated")
def weight_loop_assigns(r):
    def backward(gy, x, w, b):
        gw = np.zeros_like(w)
        for i in range(len(x)):
            gw = np.outer(x[i], gy[i])
        return gy @ w.T, gw, gy.sum(0)

    return Wrong(linear, backward, _linear(r, 4, 3, 2), by=1)


@wrong("border-dropped")
def last_sample_lost(r):
    def backward(gy, x, w, b):
        gw = np.zeros_like(w)
        for i in range(len(x) - 1):
            gw += np.outer(x[i], gy[i])
        return gy @ w.T, gw, gy.sum(0)

    return Wrong(linear, backward, _linear(r, 4, 3, 2), by=1)


@wrong("wrong-axis")
def bias_summed_over_wrong_axis(r):
    return Wrong(linear, lambda gy, x, w, b: (gy @ w.T, x.T @ gy, gy.sum(1)), _linear(r, 4, 3, 4), by=2)


@wrong("wrong-axis")
def sum_spread_over_wrong_axis(r):
    return Wrong(lambda x: x.sum(1), lambda gy, x: (np.broadcast_to(gy, x.shape),), [r.standard_normal((4, 4))])


@wrong("reduced-too-much")
def bias_summed_over_all(r):
    return Wrong(
        linear, lambda gy, x, w, b: (gy @ w.T, x.T @ gy, np.full(b.shape, gy.sum())), _linear(r, 4, 3, 5), by=2
    )


@wrong("reduced-too-much")
def row_sum_spread(r):
    return Wrong(lambda x: (x**2).sum(1), lambda gy, x: (2 * x * gy.sum(),), [r.standard_normal((3, 4))])


@wrong("swapped-gradients")
def product_swapped(r):
    return Wrong(
        lambda a, b: np.sin(a) * b,
        lambda gy, a, b: (gy * np.sin(a), gy * b * np.cos(a)),
        [r.standard_normal((2, 3)), r.standard_normal((2, 3))],
    )


@wrong("mask-missing")
def hidden_relu_forgotten(r):
    def f(x, w):
        return np.maximum(x @ w, 0)

    return Wrong(
        f,
        lambda gy, x, w: (gy @ w.T, x.T @ (gy * (x @ w > 0))),
        [
            np.array([[1.0, 0.5, -1.0], [-2.0, 1.0, 0.5], [0.3, 2.0, 1.0]]) + 0.1 * r.random((3, 3)),
            np.array([[1.0, -1.0, 2.0, 0.5], [2.0, 0.5, -1.0, -2.0], [-1.0, 1.5, -0.5, 2.0]]),
        ],
    )


@wrong("input-ignored")
def mask_without_bias(r):
    def backward(gy, x, w, b):
        g = gy * (x @ w > 0)
        return g @ w.T, x.T @ g, g.sum(0)

    return Wrong(
        lambda x, w, b: np.maximum(x @ w + b, 0),
        backward,
        [r.standard_normal((5, 3)), r.standard_normal((3, 4)), 2 + r.random(4)],
    )


@wrong("missing-term")
def quadratic_form(r):
    return Wrong(
        lambda x, m: (x @ m) * x,
        lambda gy, x, m: (gy * (x @ m), None),
        [r.standard_normal((2, 4)), r.standard_normal((4, 4))],
    )


@wrong("missing-term")
def residual_forgotten(r):
    return Wrong(
        lambda x, w: x + np.tanh(x @ w),
        lambda gy, x, w: ((gy * (1 - np.tanh(x @ w) ** 2)) @ w.T, None),
        [r.standard_normal((2, 4)), r.standard_normal((4, 4))],
    )


@wrong("missing-factor")
def dense_tanh_forgotten(r):
    return Wrong(
        lambda x, w: np.tanh(x @ w),
        lambda gy, x, w: (gy @ w.T, None),
        [r.standard_normal((3, 4)), r.standard_normal((4, 2))],
    )


@wrong("constant-factor")
def attention_scores_scale(r):
    return Wrong(
        lambda q, k: q @ k.T / np.sqrt(q.shape[1]),
        lambda gy, q, k: (gy @ k, gy.T @ q / np.sqrt(q.shape[1])),
        [r.standard_normal((3, 5)), r.standard_normal((4, 5))],
    )


@wrong("wrong-reshape")
def flatten_fortran(r):
    return Wrong(
        lambda x: x.reshape(x.shape[0], -1),
        lambda gy, x: (gy.reshape(x.shape, order="F"),),
        [r.standard_normal((2, 3, 4))],
    )


@wrong("wrong-reshape")
def heads_reshaped(r):
    def f(x):
        n, d = x.shape
        return x.reshape(n, 2, d // 2).transpose(1, 0, 2)

    return Wrong(f, lambda gy, x: (gy.reshape(x.shape),), [r.standard_normal((3, 6))])


@wrong("forward-not-adjoint")
def cumsum(r):
    return Wrong(np.cumsum, lambda gy, x: (np.cumsum(gy),), [r.standard_normal(6)])


@wrong("forward-not-adjoint")
def permutation(r):
    p = np.array([2, 0, 3, 4, 1])
    return Wrong(lambda x, p: x[p], lambda gy, x, p: (gy[p], None), [r.standard_normal((5, 2)), p])


@wrong("forward-not-adjoint")
def transpose_not_inverted(r):
    return Wrong(lambda x: x.transpose(1, 2, 0), lambda gy, x: (gy.transpose(1, 2, 0),), [r.standard_normal((3, 3, 3))])


@wrong("forward-not-adjoint")
def roll(r):
    return Wrong(lambda x: np.roll(x, 2), lambda gy, x: (np.roll(gy, 2),), [r.standard_normal(7)])


@wrong("missing-factor")
def distance(r):
    def f(a, b):
        return np.sqrt(((a - b) ** 2).sum(1))

    return Wrong(
        f,
        lambda gy, a, b: (gy[:, None] * (a - b), -gy[:, None] * (a - b) / f(a, b)[:, None]),
        [r.standard_normal((4, 3)), r.standard_normal((4, 3))],
    )


@wrong("sign-flipped")
def distance_second_operand(r):
    def f(a, b):
        return ((a[:, None] - b[None]) ** 2).sum(-1)

    def backward(gy, a, b):
        d = 2 * gy[:, :, None] * (a[:, None] - b[None])
        return d.sum(1), d.sum(0)

    return Wrong(f, backward, [r.standard_normal((3, 2)), r.standard_normal((4, 2))], by=1)


@wrong("carry-dropped")
def recurrence(r):
    def f(x, u):
        h, out = np.zeros(x.shape[1]), []
        for row in x:
            h = np.tanh(row + h @ u)
            out.append(h)
        return np.stack(out)

    return Wrong(
        f, lambda gy, x, u: (gy * (1 - f(x, u) ** 2), None), [r.standard_normal((4, 3)), r.standard_normal((3, 3))]
    )
