"""Wrong rules: several outputs, broken contracts, state, and rules that are wrong at kinks."""
import numpy as np

from tests.testing.held_out.common import (
    Pair,
    away,
    max_pool,
    max_pool_backward,
    spread,
)

PAIRS = []


def add(name, f, backward, inputs, causes, note, kwargs=None, **more):
    PAIRS.append(Pair(name, "wrong", f, backward, inputs, kwargs or {}, frozenset(causes.split()), note, **more))


# ---- several outputs
def stats(x):
    m = x.mean(1)
    return m, np.sqrt(((x - m[:, None]) ** 2).mean(1))


add("mean_and_std_second_output", stats, lambda gy, x: (np.repeat(gy[0][:, None] / x.shape[1], x.shape[1], 1),),
    lambda r: [r.standard_normal((3, 5))], "missing-term upstream-ignored missing-gradient statistic-as-constant",
    "nothing flows back from the standard deviation")

add("polar_angle_sign", lambda x, y: (np.hypot(x, y), np.arctan2(y, x)),
    lambda gy, x, y: (gy[0] * x / np.hypot(x, y) + gy[1] * y / (x * x + y * y),
                      gy[0] * y / np.hypot(x, y) + gy[1] * x / (x * x + y * y)),
    lambda r: [away(r, 6, 0.5), away(r, 6, 0.5)], "sign-flipped", "wrong for one input through one output only")


# ---- shapes, dtypes, counts
add("scale_not_summed", lambda x, s: np.tanh(x) * s, lambda gy, x, s: (gy * s * (1 - np.tanh(x) ** 2), gy * np.tanh(x)),
    lambda r: [r.standard_normal((2, 3)), np.array(1.5)], "broadcast-not-summed wrong-shape",
    "a 0-d scale gets a (2,3) gradient", rule="shape")

add("column_gradient_flattened", lambda x, s: x * s, lambda gy, x, s: (gy * s, (gy * x).sum(1)),
    lambda r: [r.standard_normal((4, 3)), r.standard_normal((4, 1))], "wrong-shape broadcast-not-summed wrong-reshape",
    "keepdims forgotten: (4,) for (4,1)", rule="shape")


def circular(x, k):
    return np.fft.ifft(np.fft.fft(x) * np.fft.fft(k)).real


add("circular_convolution_complex", circular,
    lambda gy, x, k: (np.fft.ifft(np.fft.fft(gy) * np.conj(np.fft.fft(k))),
                      np.fft.ifft(np.fft.fft(gy) * np.conj(np.fft.fft(x))).real),
    lambda r: [r.standard_normal(8), r.standard_normal(8)], "wrong-dtype", "forgot .real: a complex gradient",
    rule="dtype")

add("bias_gradient_not_returned", lambda x, w, b: np.tanh(x @ w + b),
    lambda gy, x, w, b: (gy * (1 - np.tanh(x @ w + b) ** 2) @ w.T, x.T @ (gy * (1 - np.tanh(x @ w + b) ** 2))),
    lambda r: [r.standard_normal((3, 2)), r.standard_normal((2, 4)), r.standard_normal(4)], "gradient-count",
    "two gradients for three inputs", rule="count")


def pick_b(gy, x, idx):
    gx = np.zeros_like(x)
    np.add.at(gx, idx, gy)
    return gx, np.zeros(idx.shape)


add("gradient_for_indices", lambda x, idx: x[idx], pick_b,
    lambda r: [r.standard_normal((4, 2)), np.array([3, 0, 0])], "gradient-of-integer",
    "zeros, as floats, for the indices",
    rule="integer")


# ---- state
def softplus_b(gy, x):
    with np.errstate(all="ignore"):
        e = np.exp(x)
        return (gy * e / (1 + e),)


add("softplus_overflow", lambda x: np.logaddexp(0, x), softplus_b,
    lambda r: [np.concatenate([r.standard_normal(5), [750.0, -750.0, 30.0]])], "non-finite-gradient",
    "inf/inf at 750; the forward is stable")


def make_dropout():
    rng = np.random.default_rng(11)

    def mask(shape, g):
        return (g.random(shape) > 0.4) / 0.6

    def f(x):
        return np.sin(x) * mask(x.shape, np.random.default_rng(7))

    def backward(gy, x):
        return (gy * np.cos(x) * mask(x.shape, rng),)
    return f, backward


add("dropout_redraws_its_mask", None, None, lambda r: [r.standard_normal((4, 5))],
    "nondeterministic", "a fixed mask forward, a new one at each backward", fresh=make_dropout)


def make_buffered():
    buffer = np.zeros((5, 2))

    def f(w, idx):
        return np.tanh(w[idx])

    def backward(gy, w, idx):
        np.add.at(buffer, idx, gy * (1 - np.tanh(w[idx]) ** 2))
        return buffer.copy(), None
    return f, backward


add("embedding_buffer_never_cleared", None, None,
    lambda r: [r.standard_normal((5, 2)), np.array([0, 3, 3, 1])], "stale-buffer nondeterministic",
    "right the first time it is called", fresh=make_buffered, rule="state")


def relu_inplace_b(gy, x):
    x[x < 0] = 0
    return (gy * 2 * x,)


add("squared_relu_in_place", lambda x: np.maximum(x, 0) ** 2, relu_inplace_b, lambda r: [away(r, (3, 4))],
    "input-modified", "the value is right, the input is clipped in place", rule="modified")


def pick_flat_b(gy, x, idx):
    gx = np.zeros_like(x)
    np.add.at(gx.reshape(-1), idx, gy)
    return gx, None


add("flat_scatter_needs_c_order", lambda x, idx: x.reshape(-1)[idx], pick_flat_b,
    lambda r: [np.asfortranarray(r.standard_normal((4, 5))), np.array([0, 7, 7, 13, 19, 2])],
    "layout-dependent missing-gradient",
    "zeros_like keeps Fortran order, reshape(-1) then copies: all zero; right for C order",
    rule="layout")


# ---- wrong rules at kinks
def relu_in(r):
    x = away(r, (3, 4), 0.5)
    x[0, 1] = x[1, 2] = x[2, 0] = 0.0
    return [x, r.standard_normal((4, 2))]


add("relu_layer_at_zero_scaled", lambda x, w: np.maximum(x, 0) @ w,
    lambda gy, x, w: ((gy @ w.T) * (x > 0) / len(x), np.maximum(x, 0).T @ gy), relu_in,
    "constant-factor divided-twice mean-not-divided", "some units exactly at zero; averaged where nothing was",
    kink=True)

def equal_in(r):
    a = r.standard_normal((3, 4))
    return [a, a + np.where(np.arange(12).reshape(3, 4) % 5 == 0, 0, away(r, (3, 4), 0.5))]


add("l1_distance_at_equal_sign", lambda a, b: np.abs(a - b).sum(-1),
    lambda gy, a, b: (gy[:, None] * np.sign(b - a), gy[:, None] * np.sign(b - a)),
    equal_in,
    "sign-flipped", "some differences are zero; the first input's sign is wrong", kink=True)


def tied_pool_in(r):
    x = spread(r, (1, 1, 4, 6), 0.2)
    x[0, 0, :2, :2] = 9.0
    x[0, 0, 2:, 4:] = 7.5
    return [x]


add("max_pool_ties_upstream", max_pool,
    lambda gy, x, k=2, s=2: (max_pool_backward(np.ones_like(gy), x, k, s),), tied_pool_in,
    "upstream-ignored", "two windows tie; gy is not used at all", {"k": 2, "s": 2}, kink=True)
