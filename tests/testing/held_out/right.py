"""Right rules that are hard to check numerically."""
import numpy as np

from tests.testing.held_out.common import (
    Pair,
    max_pool,
    max_pool_backward,
    sigmoid,
)

PAIRS = []


def add(name, f, backward, inputs, note, kwargs=None, fresh=None):
    PAIRS.append(Pair(name, "right", f, backward, inputs, kwargs or {}, note=note, fresh=fresh))


# 1 inputs of wildly different scales
def linear(x, w, b):
    return x @ w + b


def linear_b(gy, x, w, b):
    return gy @ w.T, x.T @ gy, gy.sum(axis=0)


add("affine_scales", linear, linear_b,
    lambda r: [1e-8 * r.standard_normal((4, 3)), 1e8 * r.standard_normal((3, 5)), r.standard_normal(5)],
    "x of 1e-8, w of 1e8, b of 1")


# 2 logsumexp far from zero, masked entries
def lse(x, keep, axis=-1):
    z = np.where(keep, x, -np.inf)
    m = z.max(axis=axis, keepdims=True)
    return np.squeeze(m + np.log(np.exp(z - m).sum(axis=axis, keepdims=True)), axis)


def lse_b(gy, x, keep, axis=-1):
    z = np.where(keep, x, -np.inf)
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return np.expand_dims(gy, axis) * e / e.sum(axis=axis, keepdims=True), None


def lse_in(r):
    keep = np.ones((3, 6), bool)
    keep[0, 2] = keep[1, 5] = keep[2, 0] = False
    return [3000.0 + 2 * r.standard_normal((3, 6)), keep]


add("masked_logsumexp_offset", lse, lse_b, lse_in, "offset 3000, boolean mask as an input", {"axis": 1})


# 3 cancellation inside f
def rootdiff(x):
    return np.sqrt(x + 1) - np.sqrt(x)


def rootdiff_b(gy, x):
    a, b = np.sqrt(x + 1), np.sqrt(x)
    return (-gy / (2 * a * b * (a + b)),)


add("root_difference", rootdiff, rootdiff_b, lambda r: [10.0 ** r.uniform(4, 6, (7,))],
    "sqrt(x+1)-sqrt(x) for x of 1e4 to 1e6: f has few digits")


# 4 domain edges
def barrier(x, mu=0.1):
    return -mu * (np.log(x) + np.log(1 - x))


def barrier_b(gy, x, mu=0.1):
    return (-mu * gy * (1 / x - 1 / (1 - x)),)


def barrier_in(r):
    x = r.uniform(0.2, 0.8, (3, 4))
    x[0, 0], x[1, 2], x[2, 3] = 1e-6, 3e-5, 1 - 2.0 ** -16
    return [x]


add("log_barrier_edges", barrier, barrier_b, barrier_in, "steps must stay inside (0, 1)", {"mu": 0.3})


# 5 saturation
def gate(a, c):
    return sigmoid(a) * np.tanh(c)


def gate_b(gy, a, c):
    s, t = sigmoid(a), np.tanh(c)
    e = np.exp(-np.abs(a))
    sech = 4 * np.exp(-2 * np.abs(c)) / (1 + np.exp(-2 * np.abs(c))) ** 2
    return gy * t * e / (1 + e) ** 2, gy * s * sech


def gate_in(r):
    a = r.standard_normal(9)
    c = r.standard_normal(9)
    a[:3] = [18.0, -25.0, 33.0]
    c[2:5] = [-14.0, 21.0, 8.0]
    return [a, c]


add("saturated_gate", gate, gate_b, gate_in, "units deep in saturation among ordinary ones")


# 6 oscillation
def wave(x, omega=1.0):
    return np.sin(omega * x) / (1 + x * x)


def wave_b(gy, x, omega=1.0):
    q = 1 + x * x
    return (gy * (omega * np.cos(omega * x) / q - 2 * x * np.sin(omega * x) / q ** 2),)


add("fast_oscillation", wave, wave_b, lambda r: [r.uniform(-2, 2, (2, 5))], "omega 400", {"omega": 400.0})


# 7 chaos
def logistic_map(x, r_, steps=10):
    for _ in range(steps):
        x = r_ * x * (1 - x)
    return x


def logistic_map_b(gy, x, r_, steps=10):
    xs = [x]
    for _ in range(steps):
        xs.append(r_ * xs[-1] * (1 - xs[-1]))
    gr = np.zeros_like(x)
    g = gy
    for t in reversed(range(steps)):
        gr = gr + g * xs[t] * (1 - xs[t])
        g = g * r_ * (1 - 2 * xs[t])
    return g, gr.sum()


add("logistic_map", logistic_map, logistic_map_b,
    lambda r: [r.uniform(0.1, 0.9, 5), np.array(3.7 + 0.1 * r.uniform())],
    "ten chaotic steps; the rate is 0-d and shared", {"steps": 10})


# 8 kinks close by
def mlp(x, w1, b1, w2):
    return np.maximum(x @ w1 + b1, 0) @ w2


def mlp_b(gy, x, w1, b1, w2):
    z = x @ w1 + b1
    gz = (gy @ w2.T) * (z > 0)
    return gz @ w1.T, x.T @ gz, gz.sum(0), np.maximum(z, 0).T @ gy


def mlp_in(r):
    x, w1, w2 = r.standard_normal((3, 4)), r.standard_normal((4, 6)), r.standard_normal((6, 2))
    z = x @ w1
    b1 = -z[0] + np.array([2e-3, -3e-3, 5e-3, 0.4, -0.6, 1e-3])
    return [x, w1, b1, w2]


add("relu_mlp_near_kinks", mlp, mlp_b, mlp_in, "pre-activations of 1e-3 either side of zero")


# 9 near ties in overlapping, padded pooling
def pool_in(r):
    x = r.standard_normal((2, 2, 5, 7)) - 3
    x[0, 0, 1, 1] = x[0, 0, 1, 2] + 4e-3
    x[1, 1, 2, 3] = x[1, 1, 3, 3] + 2e-3
    return [x]


add("max_pool_near_ties", max_pool, lambda gy, x, **kw: (max_pool_backward(gy, x, **kw),), pool_in,
    "padded with -inf, overlapping, all negative", {"k": 3, "s": 2, "pad": 1})


# 10 once differentiable where the second derivative jumps
def huber(p, t, delta=1.0):
    e = p - t
    a = np.abs(e)
    return np.where(a <= delta, 0.5 * e * e, delta * (a - 0.5 * delta)).mean()


def huber_b(gy, p, t, delta=1.0):
    g = gy * np.clip(p - t, -delta, delta) / p.size
    return g, -g


def huber_in(r):
    t = r.integers(-3, 4, (4, 3)).astype(float)
    e = r.uniform(-2, 2, (4, 3))
    e[0, 0], e[1, 1], e[3, 2] = 0.5, -0.5, 0.5
    return [t + e, t]


add("huber_at_delta", huber, huber_b, huber_in, "differentiable: only the second derivative jumps", {"delta": 0.5})


# 11-14 linear algebra
def chol(a):
    return np.linalg.cholesky((a + a.T) / 2)


def chol_b(gy, a):
    L = np.linalg.cholesky((a + a.T) / 2)
    phi = np.tril(L.T @ np.tril(gy))
    phi[np.diag_indices_from(phi)] *= 0.5
    li = np.linalg.inv(L)
    s = li.T @ phi @ li
    return ((s + s.T) / 2,)


def spd(r, n=5):
    m = r.standard_normal((n, n))
    return m @ m.T + 0.5 * np.eye(n) + 0.1 * r.standard_normal((n, n))


add("cholesky", chol, chol_b, lambda r: [spd(r)], "of the symmetric part; half the outputs never move")


def solve(a, b):
    return np.linalg.solve(a, b)


def solve_b(gy, a, b):
    gb = np.linalg.solve(np.swapaxes(a, -1, -2), gy)
    return -gb @ np.swapaxes(np.linalg.solve(a, b), -1, -2), gb


def hilbert(r):
    i = np.arange(5)
    h = 1.0 / (1 + i[:, None] + i[None, :]) + 1e-3 * np.eye(5)
    return [np.stack([h, h + 0.05 * r.standard_normal((5, 5)) + np.eye(5)]), r.standard_normal((2, 5, 2))]


add("solve_ill_conditioned", solve, solve_b, hilbert, "a batch with a regularised Hilbert matrix")


def expm_sym(a):
    w, v = np.linalg.eigh((a + a.T) / 2)
    return (v * np.exp(w)) @ v.T


def expm_sym_b(gy, a):
    w, v = np.linalg.eigh((a + a.T) / 2)
    d = w[:, None] - w[None, :]
    safe = np.where(d == 0, 1.0, d)
    k = np.exp(w)[None, :] * np.where(d == 0, 1.0, np.expm1(d) / safe)
    g = v @ (k * (v.T @ ((gy + gy.T) / 2) @ v)) @ v.T
    return ((g + g.T) / 2,)


def expm_in(r):
    q = np.linalg.qr(r.standard_normal((4, 4)))[0]
    return [(q * np.array([-1.0, 0.5, 0.5004, 1.3])) @ q.T]


add("matrix_exponential", expm_sym, expm_sym_b, expm_in, "by eigh, two eigenvalues 4e-4 apart")


def lstsq_stats(a):
    s = np.linalg.svd(a, compute_uv=False)
    return s, np.log(s).sum()


def lstsq_stats_b(gy, a):
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return ((u * (gy[0] + gy[1] / s)) @ vt,)


add("singular_values", lstsq_stats, lstsq_stats_b,
    lambda r: [r.standard_normal((6, 3)) @ np.diag([5.0, 1.0, 0.05])],
    "tuple of a vector and a scalar")
