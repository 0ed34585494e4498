"""Right rules, continued."""

import numpy as np

from tests.testing.held_out.second.common import add, sigmoid, softmax


# 11. bilinear sampling away from grid lines
def bilinear(img, pts):
    r0, c0 = np.floor(pts[:, 0]).astype(int), np.floor(pts[:, 1]).astype(int)
    a, b = pts[:, 0] - r0, pts[:, 1] - c0
    return ((1 - a) * (1 - b) * img[r0, c0] + (1 - a) * b * img[r0, c0 + 1]
            + a * (1 - b) * img[r0 + 1, c0] + a * b * img[r0 + 1, c0 + 1])


def bilinear_backward(gy, img, pts):
    r0, c0 = np.floor(pts[:, 0]).astype(int), np.floor(pts[:, 1]).astype(int)
    a, b = pts[:, 0] - r0, pts[:, 1] - c0
    gi = np.zeros_like(img)
    np.add.at(gi, (r0, c0), gy * (1 - a) * (1 - b))
    np.add.at(gi, (r0, c0 + 1), gy * (1 - a) * b)
    np.add.at(gi, (r0 + 1, c0), gy * a * (1 - b))
    np.add.at(gi, (r0 + 1, c0 + 1), gy * a * b)
    v00, v01, v10, v11 = img[r0, c0], img[r0, c0 + 1], img[r0 + 1, c0], img[r0 + 1, c0 + 1]
    ga = (1 - b) * (v10 - v00) + b * (v11 - v01)
    gb = (1 - a) * (v01 - v00) + a * (v11 - v10)
    return gi, np.stack([gy * ga, gy * gb], axis=1)


def bilinear_inputs(r):
    return [r.normal(size=(5, 6)),
            np.stack([r.integers(0, 4, 6), r.integers(0, 5, 6)], 1) + r.uniform(0.3, 0.7, (6, 2))]


add("right", bilinear, bilinear_backward, name="bilinear_sampling_off_grid", inputs=bilinear_inputs)


# 12. fine oscillations
def ripple(x, k):
    return np.sin(400 * x) * np.exp(-x) + np.cos(k * x * x)


def ripple_backward(gy, x, k):
    e, s = np.exp(-x), np.sin(k * x * x)
    return (gy * (400 * np.cos(400 * x) * e - np.sin(400 * x) * e - 2 * k * x * s),
            np.asarray((-gy * x * x * s).sum()))


add("right", ripple, ripple_backward, name="fine_oscillation_and_scalar_frequency",
    inputs=lambda r: [r.uniform(0.5, 2, 7), np.asarray(r.uniform(20, 40))])


# 13. small variations upon a large constant
def offset_softplus(x, w):
    z = x * w
    return 1e6 + np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def offset_softplus_backward(gy, x, w):
    g = gy * sigmoid(x * w)
    return g * w, (g * x).sum(0)


add("right", offset_softplus, offset_softplus_backward, name="softplus_plus_a_million",
    inputs=lambda r: [r.normal(size=(4, 3)), r.normal(size=3)])


# 14. tanh RNN through time, final state counted twice
def rnn(x, h0, w, u, b):
    h, out = h0, []
    for xt in x:
        h = np.tanh(xt @ w + h @ u + b)
        out.append(h)
    return np.stack(out), h


def rnn_backward(gy, x, h0, w, u, b):
    gs, glast = gy
    hs = rnn(x, h0, w, u, b)[0]
    gx, gw, gu, gb = np.zeros_like(x), np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
    carry = glast
    for t in range(len(x) - 1, -1, -1):
        prev = hs[t - 1] if t else h0
        z = (gs[t] + carry) * (1 - hs[t] ** 2)
        gx[t] = z @ w.T
        gw += x[t].T @ z
        gu += prev.T @ z
        gb += z.sum(0)
        carry = z @ u.T
    return gx, carry, gw, gu, gb


def rnn_inputs(r):
    return [r.normal(size=(4, 2, 3)), r.normal(size=(2, 3)), 0.6 * r.normal(size=(3, 3)), 0.6 * r.normal(size=(3, 3)),
            0.3 * r.normal(size=3)]


add("right", rnn, rnn_backward, name="rnn_through_time_two_outputs", inputs=rnn_inputs)


# 15. interpolated quantile of each row
def quantile(x, num=7, den=20):
    s = np.sort(x, axis=1)
    pos = (x.shape[1] - 1) * num / den
    lo = int(pos)
    return s[:, lo] * (1 - (pos - lo)) + s[:, lo + 1] * (pos - lo)


def quantile_backward(gy, x, num=7, den=20):
    order = np.argsort(x, axis=1)
    pos = (x.shape[1] - 1) * num / den
    lo = int(pos)
    gx, rows = np.zeros_like(x), np.arange(len(x))
    gx[rows, order[:, lo]] = gy * (1 - (pos - lo))
    gx[rows, order[:, lo + 1]] = gy * (pos - lo)
    return gx


add("right", quantile, quantile_backward, name="quantile_interpolated",
    inputs=lambda r: [np.stack([r.permutation(8) for _ in range(3)]) * 0.7 - 2.3 + r.uniform(-0.1, 0.1, (3, 8))])


# 16. broadcasting in three ways, a 0-d divisor
def mixed(a, b, c):
    return a * b / (1 + c * c) - b


def unbroadcast(g, shape):
    g = g.sum(tuple(range(g.ndim - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1)
    return np.asarray(g.sum(axes, keepdims=True) if axes else g)


def mixed_backward(gy, a, b, c):
    d = 1 + c * c
    return (unbroadcast(gy * b / d, a.shape), unbroadcast(gy * (a / d - 1), b.shape),
            unbroadcast(-gy * a * b * 2 * c / d**2, c.shape))


add("right", mixed, mixed_backward, name="broadcast_three_ways",
    inputs=lambda r: [r.normal(size=(3, 1, 4)), r.normal(size=(2, 1)), np.asarray(r.normal())])


# 17. batch norm that also returns mean and unbiased variance
def bn_stats(x, gamma):
    m, v = x.mean(0), x.var(0)
    return (x - m) / np.sqrt(v + 1e-5) * gamma, m, v * len(x) / (len(x) - 1)


def bn_stats_backward(gy, x, gamma):
    g, gm, gv = gy
    n, c = len(x), x - x.mean(0)
    inv = 1 / np.sqrt(x.var(0) + 1e-5)
    xh = c * inv
    gg = g * gamma
    gx = inv * (gg - gg.mean(0) - xh * (gg * xh).mean(0))
    return gx + gm / n + gv * 2 * c / (n - 1), (g * xh).sum(0)


add("right", bn_stats, bn_stats_backward, name="batch_norm_with_statistics",
    inputs=lambda r: [3 + r.normal(size=(6, 3)), r.normal(size=3)])


# 18. linear recurrence
def scan(a, x):
    h, out = np.zeros(x.shape[1]), []
    for t in range(len(x)):
        h = a[t] * h + x[t]
        out.append(h)
    return np.stack(out)


def scan_backward(gy, a, x):
    h = scan(a, x)
    ga, gx, g = np.zeros_like(a), np.zeros_like(x), np.zeros(x.shape[1])
    for t in reversed(range(len(x))):
        g = g + gy[t]
        gx[t] = g
        if t:
            ga[t] = g * h[t - 1]
        g = g * a[t]
    return ga, gx


add("right", scan, scan_backward, name="linear_recurrence",
    inputs=lambda r: [r.uniform(0.5, 1.4, (6, 3)) * r.choice([-1, 1], (6, 3)), r.normal(size=(6, 3))])


# 19. class-weighted cross-entropy with ignored labels; the class weights are differentiated too
def wce(logits, weight, labels):
    ok = labels >= 0
    z, lab = logits[ok], labels[ok]
    z = z - z.max(1, keepdims=True)
    nll = np.log(np.exp(z).sum(1)) - z[np.arange(len(lab)), lab]
    return np.asarray((weight[lab] * nll).sum() / weight[lab].sum())


def wce_backward(gy, logits, weight, labels):
    ok = labels >= 0
    z, lab = logits[ok], labels[ok]
    p, rows = softmax(z), np.arange(len(lab))
    nll = -np.log(p[rows, lab])
    total = weight[lab].sum()
    loss = (weight[lab] * nll).sum() / total
    gw = np.zeros_like(weight)
    np.add.at(gw, lab, gy * (nll - loss) / total)
    p[rows, lab] -= 1
    gz = np.zeros_like(logits)
    gz[ok] = gy * p * weight[lab][:, None] / total
    return gz, gw, None


add("right", wce, wce_backward, name="weighted_cross_entropy_ignored_labels",
    inputs=lambda r: [2 * r.normal(size=(7, 4)), r.uniform(0.5, 2, 4), r.permutation([0, 1, 2, 3, 1, -1, -1])])


# 20. distances with a scale per column (1e-4, 1, 1e4), scales in logarithms
def mahal(a, b, ls):
    return np.sqrt((((a[:, None] - b[None]) * np.exp(-ls)) ** 2).sum(-1))


def mahal_backward(gy, a, b, ls):
    z = (a[:, None] - b[None]) * np.exp(-ls)
    g = (gy / np.sqrt((z * z).sum(-1)))[..., None] * z
    gd = g * np.exp(-ls)
    return gd.sum(1), -gd.sum(0), -(g * z).sum((0, 1))


add("right", mahal, mahal_backward, name="scaled_distances_1e-4_to_1e4",
    inputs=lambda r: [r.normal(size=(3, 3)) * [1e-4, 1, 1e4], (2 + r.normal(size=(4, 3))) * [1e-4, 1, 1e4],
                      np.log([1e-4, 1, 1e4]) + 0.2 * r.normal(size=3)])
