"""Wrong rules, continued."""

import numpy as np

from tests.testing.held_out.second.common import add, softmax
from tests.testing.held_out.second.right import chol, spd
from tests.testing.held_out.second.right_models import bilinear, bilinear_backward, bilinear_inputs


# 14. log softmax: gy - p * gy instead of gy - p * sum(gy)
def logsoftmax(x):
    z = x - x.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def w_logsoftmax(gy, x):
    return gy - np.exp(logsoftmax(x)) * gy


add("wrong", logsoftmax, w_logsoftmax, name="w_log_softmax_no_sum", causes=["coupling-dropped"],
    inputs=lambda r: [r.normal(size=(3, 4))])


# 15. bilinear sampling: the column's gradient looks at the upper row only
def w_bilinear(gy, img, pts):
    gi, gp = bilinear_backward(gy, img, pts)
    r0, c0 = np.floor(pts[:, 0]).astype(int), np.floor(pts[:, 1]).astype(int)
    a = pts[:, 0] - r0
    gcol = gy * (1 - a) * (img[r0, c0 + 1] - img[r0, c0])
    return gi, np.stack([gp[:, 0], gcol], axis=1)


add("wrong", bilinear, w_bilinear, name="w_bilinear_lower_row_forgotten", causes=["missing-term"],
    inputs=bilinear_inputs)


# 16. Cholesky: the diagonal is not halved
def w_chol(gy, a):
    low = chol(a)
    p = np.tril(low.T @ gy)
    s = np.linalg.solve(low.T, p)
    s = np.linalg.solve(low.T, s.T).T
    return (s + s.T) / 2


add("wrong", chol, w_chol, name="w_cholesky_diagonal_not_halved", causes=["counted-twice", "constant-factor"],
    inputs=lambda r: [spd(r, 4)])


# 17. solve: outer product the wrong way round
def solve(a, b):
    return np.linalg.solve(a, b)


def w_solve(gy, a, b):
    gb = np.linalg.solve(a.T, gy)
    return -np.outer(solve(a, b), gb), gb


add("wrong", solve, w_solve, name="w_solve_outer_transposed", causes=["transposed-gradient"],
    inputs=lambda r: [r.normal(size=(4, 4)) + 3 * np.eye(4), r.normal(size=4)])


# 18. squared distances to centres: the centres' gradient has the points' sign
def sqdist(x, c):
    return ((x[:, None] - c[None]) ** 2).sum(-1)


def w_sqdist(gy, x, c):
    d = 2 * gy[..., None] * (x[:, None] - c[None])
    return d.sum(1), d.sum(0)


add("wrong", sqdist, w_sqdist, name="w_sqdist_centres_sign", causes=["sign-flipped"],
    inputs=lambda r: [r.normal(size=(5, 2)), r.normal(size=(3, 2))])


# 19. RMS norm: eps outside the root in backward
def rms(x, gain, eps=1e-2):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * gain


def w_rms(gy, x, gain, eps=1e-2):
    r = 1 / (np.sqrt((x * x).mean(-1, keepdims=True)) + eps)
    g = gy * gain
    return r * g - x * r**3 * (g * x).mean(-1, keepdims=True), (gy * x * r).sum(0)


add("wrong", rms, w_rms, name="w_rms_norm_eps_outside_root", causes=["epsilon-mismatch"], kwargs={"eps": 1e-2},
    inputs=lambda r: [0.3 * r.normal(size=(4, 5)), r.uniform(0.5, 2, 5)])


# 20. standard deviation: divided by the variance
def std(x):
    return x.std(1)


def w_std(gy, x):
    c = x - x.mean(1, keepdims=True)
    return gy[:, None] * c / (x.shape[1] * x.var(1, keepdims=True))


add("wrong", std, w_std, name="w_std_divided_by_variance", causes=["wrong-power", "missing-factor"],
    inputs=lambda r: [r.normal(size=(3, 5)) * np.array([[0.5], [2.0], [3.0]])])


# 21. transmittance exp(-cumsum): the cumulative sum does not run backwards
def transmit(x):
    return np.exp(-np.cumsum(x, axis=1))


def w_transmit(gy, x):
    return -np.cumsum(gy * transmit(x), axis=1)


add("wrong", transmit, w_transmit, name="w_transmittance_forward_cumsum", causes=["forward-not-adjoint"],
    inputs=lambda r: [r.uniform(0.1, 0.6, (2, 6))])


# 22. split heads with a gain each, merged by a bare reshape
def split_heads(x, gain):
    n, h = len(x), len(gain)
    return x.reshape(n, h, -1).transpose(1, 0, 2) * gain[:, None, None]


def w_split_heads(gy, x, gain):
    n, h = len(x), len(gain)
    xh = x.reshape(n, h, -1).transpose(1, 0, 2)
    return (gy * gain[:, None, None]).reshape(n, -1), (gy * xh).sum((1, 2))


add("wrong", split_heads, w_split_heads, name="w_merge_heads_reshape_only", causes=["wrong-reshape"],
    inputs=lambda r: [r.normal(size=(4, 6)), r.uniform(0.5, 2, 3)])


# 23. l2-normalised rows: the projection is summed over all rows
def l2norm(x):
    return x / np.sqrt((x * x).sum(1, keepdims=True))


def w_l2norm(gy, x):
    y = l2norm(x)
    return (gy - y * (gy * y).sum()) / np.sqrt((x * x).sum(1, keepdims=True))


add("wrong", l2norm, w_l2norm, name="w_l2_normalise_sum_over_all", causes=["reduced-too-much"],
    inputs=lambda r: [r.normal(size=(3, 4))])


# 24. relu layer that zeroes the upstream gradient in place
def leaky_layer(x, w):
    z = x @ w
    return np.where(z > 0, z, 0.2 * z)


def w_leaky_layer(gy, x, w):
    gy[x @ w <= 0] *= 0.2
    return gy @ w.T, x.T @ gy


add("wrong", leaky_layer, w_leaky_layer, name="w_leaky_layer_scales_gy_in_place", causes=["upstream-modified"],
    inputs=lambda r: [r.normal(size=(4, 3)), r.normal(size=(3, 5))])


# 25. relu layer whose mask is recomputed without the bias
def relu_layer(x, w, b):
    return np.maximum(x @ w + b, 0)


def w_relu_layer(gy, x, w, b):
    g = gy * (x @ w > 0)
    return g @ w.T, x.T @ g, g.sum(0)


add("wrong", relu_layer, w_relu_layer, name="w_relu_mask_without_bias", causes=["input-ignored"],
    inputs=lambda r: [r.normal(size=(5, 3)), r.normal(size=(3, 4)), r.choice([-1, 1], 4) * r.uniform(1, 2, 4)])


# 26. normalisation whose inverse norm is cached by shape
_inverse_norms = {}


def unit_columns(x):
    return x / np.sqrt((x * x).sum(0))


def w_unit_columns(gy, x):
    if x.shape not in _inverse_norms:
        _inverse_norms[x.shape] = 1 / np.sqrt((x * x).sum(0))
    inv = _inverse_norms[x.shape]
    y = x * inv
    return inv * (gy - y * (gy * y).sum(0))


add("wrong", unit_columns, w_unit_columns, name="w_unit_columns_cached_by_shape", causes=["stale-buffer"],
    inputs=lambda r: [r.normal(size=(4, 3))])


# 27. softmax probabilities kept in half precision
def smax(x):
    return softmax(x)


def w_smax(gy, x):
    p = softmax(x).astype(np.float16).astype(np.float64)
    return p * (gy - (gy * p).sum(-1, keepdims=True))


add("wrong", smax, w_smax, name="w_softmax_half_precision_save", causes=["reduced-precision"],
    inputs=lambda r: [r.normal(size=(3, 5))])


# 28. mean within segments, gathered back without the counts
def seg_mean(x, seg):
    s, n = np.zeros((3, x.shape[1])), np.zeros(3)
    np.add.at(s, seg, x)
    np.add.at(n, seg, 1)
    return s / n[:, None]


def w_seg_mean(gy, x, seg):
    return gy[seg], None


add("wrong", seg_mean, w_seg_mean, name="w_segment_mean_not_divided", causes=["mean-not-divided"],
    inputs=lambda r: [r.normal(size=(9, 2)), r.permutation([0, 0, 1, 1, 1, 2, 2, 2, 2])])
