"""Right rules at kinks and ties, and checks that cannot fail."""
import numpy as np

from tests.testing.held_out.common import Pair, away, max_pool, max_pool_backward, softmax, spread

PAIRS = []


def add(kind, name, f, backward, inputs, note, kwargs=None, **more):
    PAIRS.append(Pair(name, kind, f, backward, inputs, kwargs or {}, note=note, **more))


# ---- kinks and ties: each rule is right wherever there is a derivative
def relu_zero_init(r):
    return [r.standard_normal((3, 4)), np.zeros((4, 5)), np.zeros(5), r.standard_normal((5, 2))]


def mlp_b(gy, x, w1, b1, w2):
    z = x @ w1 + b1
    gz = (gy @ w2.T) * (z > 0)
    return gz @ w1.T, x.T @ gz, gz.sum(0), np.maximum(z, 0).T @ gy


add("edge", "relu_network_zero_init", lambda x, w1, b1, w2: np.maximum(x @ w1 + b1, 0) @ w2, mlp_b, relu_zero_init,
    "every pre-activation is exactly zero")


def l1_in(r):
    t = r.standard_normal((3, 3))
    p = t + away(r, (3, 3))
    p[1, 1] = t[1, 1]
    return [p, t]


add("edge", "l1_loss_one_exact_hit", lambda p, t: np.abs(p - t).mean(),
    lambda gy, p, t: (gy * np.sign(p - t) / p.size, -gy * np.sign(p - t) / p.size), l1_in,
    "one prediction equals its target")


def amax_b(gy, x):
    at = x.argmax(-1)
    gx = np.zeros_like(x)
    np.put_along_axis(gx, at[:, None], gy[:, None], -1)
    return (gx,)


def tie_in(r):
    x = spread(r, (4, 5))
    x[1, 3] = x[1, 0] = 8.0
    return [x]


add("edge", "row_maximum_tied", lambda x: x.max(-1), amax_b, tie_in,
    "one row has two equal maxima; the first takes all")
add("edge", "max_pool_flat_image", max_pool, lambda gy, x, **kw: (max_pool_backward(gy, x, **kw),),
    lambda r: [np.full((1, 2, 4, 4), 0.5)], "a constant image: every window ties", {"k": 2, "s": 2})


def clip_in(r):
    x = away(r, (2, 5), 0.2, 0.8)
    x[0, 1], x[1, 4] = 1.0, -1.0
    return [x]


add("edge", "clip_on_its_bounds", lambda x, lo, hi: np.clip(x, lo, hi),
    lambda gy, x, lo, hi: (gy * ((x >= lo) & (x <= hi)),),
    clip_in, "two elements sit on the bounds", {"lo": -1.0, "hi": 1.0})


def hinge(s, t):
    n = np.arange(len(t))
    m = np.maximum(0, s - s[n, t][:, None] + 1)
    m[n, t] = 0
    return m.sum(1)


def hinge_b(gy, s, t):
    n = np.arange(len(t))
    m = (s - s[n, t][:, None] + 1 > 0).astype(s.dtype)
    m[n, t] = 0
    m[n, t] = -m.sum(1)
    return gy[:, None] * m, None


add("edge", "multiclass_hinge_at_margin", hinge, hinge_b,
    lambda r: [np.array([[2.0, 1.0, -0.5], [0.25, 1.5, 0.5], [-1.0, 0.3, 2.1]]), np.array([0, 1, 2])],
    "two margins are met exactly")


def norm_b(gy, x):
    n = np.sqrt((x * x).sum(1))
    return ((gy / np.where(n == 0, 1, n))[:, None] * x,)


def norm_in(r):
    x = r.standard_normal((3, 4))
    x[1] = 0
    return [x]


add("edge", "row_norm_of_zero_row", lambda x: np.sqrt((x * x).sum(1)), norm_b, norm_in,
    "a cone's tip; the rule says zero there")


def chamfer(a, b):
    d = ((a[:, None] - b[None]) ** 2).sum(-1)
    return d.min(1)


def chamfer_b(gy, a, b):
    at = ((a[:, None] - b[None]) ** 2).sum(-1).argmin(1)
    g = 2 * gy[:, None] * (a - b[at])
    gb = np.zeros_like(b)
    np.add.at(gb, at, -g)
    return g, gb


add("edge", "nearest_centre_equidistant", chamfer, chamfer_b,
    lambda r: [np.array([[0.0, 0.0], [2.25, 1.0], [-2.0, 0.5]]), np.array([[1.0, 0.0], [-1.0, 0.0], [3.0, 3.0]])],
    "the first point lies midway between two centres")


def wsort(x):
    return np.sort(x, -1) * np.arange(1, x.shape[-1] + 1)


def wsort_b(gy, x):
    at = x.argsort(-1, kind="stable")
    gx = np.zeros_like(x)
    np.put_along_axis(gx, at, gy * np.arange(1, x.shape[-1] + 1), -1)
    return (gx,)


def sort_tie(r):
    x = spread(r, (2, 6))
    x[0, 4] = x[0, 1]
    x[1, 2] = x[1, 5]
    return [x]


add("edge", "weighted_sort_with_ties", wsort, wsort_b, sort_tie, "equal values in each row, different weights by rank")


# ---- checks that cannot fail

def soft_sum_b(gy, x):
    y = softmax(x)
    g = np.full_like(x, gy)
    return (y * (g - (g * y).sum(-1, keepdims=True)),)


add("vacuous", "softmax_summed", lambda x: softmax(x).sum(), soft_sum_b, lambda r: [r.standard_normal((4, 6))],
    "the sum is always 4")


def whiten(x):
    d = x - x.mean(0)
    return (d / np.sqrt((d * d).mean(0) + 1e-5)).sum(0)


def whiten_wrong_b(gy, x):
    inv = 1 / np.sqrt(x.var(0) + 1e-5)
    h = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    return -inv * (gy - gy - h * (gy * h).mean(0))


add("vacuous", "batch_norm_summed_wrong_sign", whiten,
    lambda gy, x: (whiten_wrong_b(gy, x),),
    lambda r: [r.standard_normal((5, 3))],
    "the sum over the batch is always zero; a sign-flipped rule agrees (h.mean is 0)")

add("vacuous", "accuracy_metric", lambda x, t: (x.argmax(1) == t).mean(), lambda gy, x, t: (np.zeros_like(x), None),
    lambda r: [spread(r, (5, 3)), np.array([0, 2, 1, 1, 0])], "piecewise constant")

add("vacuous", "dead_relu_layer", lambda x, w: np.maximum(x @ w - 60, 0),
    lambda gy, x, w: ((gy * (x @ w > 60)) @ w.T, x.T @ (gy * (x @ w > 60))),
    lambda r: [r.standard_normal((3, 4)), r.standard_normal((4, 5))], "no unit is ever alive")

add("vacuous", "fully_masked", lambda x, keep: np.tanh(x) * keep,
    lambda gy, x, keep: (gy * keep * (1 - np.tanh(x) ** 2), None),
    lambda r: [r.standard_normal((3, 4)), np.zeros((3, 4), np.int64)], "the integer mask drops everything")


def unit_norm(x):
    u = x / np.sqrt((x * x).sum(-1, keepdims=True))
    return (u * u).sum(-1)


add("vacuous", "length_of_unit_vectors", unit_norm, lambda gy, x: (np.zeros_like(x),),
    lambda r: [r.standard_normal((4, 3)) + 1], "always one")

add("vacuous", "integer_inputs_only", lambda idx: np.eye(5)[idx] * 0.5, lambda gy, idx: (None,),
    lambda r: [np.array([3, 1, 4])], "no float input at all")

add("vacuous", "empty_batch", lambda x, w, b: x @ w + b, lambda gy, x, w, b: (gy @ w.T, x.T @ gy, gy.sum(0)),
    lambda r: [np.zeros((0, 3)), r.standard_normal((3, 2)), r.standard_normal(2)], "no output element")
