"""Right rules at kinks and ties, and checks that could not fail."""

import numpy as np

from tests.testing.held_out.second.common import add, softmax
from tests.testing.held_out.second.wrong_models import l2norm


# 1. relu at exact zeros
def relu_zero_inputs(r):
    x = r.normal(size=(3, 4))
    x.ravel()[r.choice(12, 3, replace=False)] = 0.0
    return [x]


add("edge", lambda x: np.maximum(x, 0), lambda gy, x: gy * (x > 0), relu_zero_inputs, name="e_relu_at_zero")


# 2. row maximum with ties, gradient shared equally
def rowmax(x):
    return x.max(1)


def rowmax_backward(gy, x):
    hit = x == x.max(1, keepdims=True)
    return gy[:, None] * hit / hit.sum(1, keepdims=True)


def rowmax_inputs(r):
    x = r.uniform(-1, 1, (3, 5))
    for row in x[:2]:
        row[r.choice(5, 2, replace=False)] = r.uniform(1.2, 2)
    return [x]


add("edge", rowmax, rowmax_backward, rowmax_inputs, name="e_row_max_with_ties")


# 3. weighted l1 norm at exact zeros
def abs_inputs(r):
    x = r.normal(size=(4, 3))
    x[np.arange(4), r.integers(0, 3, 4)] = 0.0
    return [x, r.uniform(0.5, 2, 3)]


add("edge", lambda x, w: np.abs(x) @ w, lambda gy, x, w: (gy[:, None] * np.sign(x) * w, np.abs(x).T @ gy),
    abs_inputs, name="e_weighted_abs_at_zero")


# 4. clip exactly on both bounds
def clip_inputs(r):
    x = r.uniform(-2, 2, 8)
    i = r.permutation(8)
    x[i[:2]], x[i[2:4]] = 1.0, -1.0
    return [x]


add("edge", lambda x: np.clip(x, -1, 1), lambda gy, x: gy * ((x >= -1) & (x <= 1)), clip_inputs,
    name="e_clip_on_bounds")


# 5. max pooling of quantised values
def pool1(x):
    return np.array([x[i : i + 3].max() for i in range(0, len(x) - 2, 2)])


def pool1_backward(gy, x):
    gx = np.zeros_like(x)
    for j, g in enumerate(gy):
        gx[2 * j + x[2 * j : 2 * j + 3].argmax()] += g
    return gx


def pool1_inputs(r):
    x = 0.5 * r.integers(1, 4, 11).astype(float)
    i = 2 * int(r.integers(0, 5))
    x[i : i + 2] = 1.5
    return [x]


add("edge", pool1, pool1_backward, pool1_inputs, name="e_maxpool_quantised_ties")


# 6. euclidean norm of a zero row
def rownorm(x):
    return np.sqrt((x * x).sum(1))


def rownorm_backward(gy, x):
    n = rownorm(x)
    return gy[:, None] * x / np.where(n > 0, n, 1)[:, None]


def rownorm_inputs(r):
    x = r.normal(size=(4, 3))
    x[r.integers(0, 4)] = 0.0
    return [x]


add("edge", rownorm, rownorm_backward, rownorm_inputs, name="e_norm_of_zero_row")


# 7. table interpolated exactly at its knots
def lookup(table, t):
    i = np.floor(t).astype(int)
    return table[i] * (1 - (t - i)) + table[i + 1] * (t - i)


def lookup_backward(gy, table, t):
    i = np.floor(t).astype(int)
    g = np.zeros_like(table)
    np.add.at(g, i, gy * (1 - (t - i)))
    np.add.at(g, i + 1, gy * (t - i))
    return g, gy * (table[i + 1] - table[i])


add("edge", lookup, lookup_backward, name="e_table_at_knots",
    inputs=lambda r: [
        2 * r.normal(size=8), np.concatenate([r.integers(1, 6, 3), r.uniform(1.2, 1.8, 2)]).astype(float)])



# 1. a softmax, summed
add("vacuous", lambda x: softmax(x).sum(1), lambda gy, x: np.zeros_like(x),
    lambda r: [r.normal(size=(3, 4))], name="v_softmax_summed")


# 2. batch norm, summed over the batch
def bn_sum(x):
    return ((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)).sum(0)


add("vacuous", bn_sum, lambda gy, x: np.zeros_like(x), lambda r: [2 + r.normal(size=(6, 3))],
    name="v_batch_norm_summed")


# 3. a bias in front of batch norm: has no effect
def bias_bn(x, b):
    z = x + b
    return (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)


def bias_bn_backward(gy, x, b):
    y, inv = bias_bn(x, b), 1 / np.sqrt((x + b).var(0) + 1e-5)
    return inv * (gy - gy.mean(0) - y * (gy * y).mean(0)), np.zeros_like(b)


add("vacuous", bias_bn, bias_bn_backward, lambda r: [r.normal(size=(5, 3)), r.normal(size=3)],
    name="v_bias_before_batch_norm")


# 4. rounding to quarters, away from its jumps
add("vacuous", lambda x: np.round(4 * x) / 4, lambda gy, x: np.zeros_like(x),
    lambda r: [(r.integers(-6, 7, (3, 3)) + r.uniform(-0.2, 0.2, (3, 3))) / 4], name="v_rounding_to_quarters")


# 5. the norm of unit vectors
add("vacuous", lambda x: np.sqrt((l2norm(x) ** 2).sum(1)), lambda gy, x: np.zeros_like(x),
    lambda r: [r.normal(size=(4, 3))], name="v_norm_of_unit_rows")
