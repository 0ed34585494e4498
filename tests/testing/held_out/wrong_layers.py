"""Wrong rules: linear layers, convolution, pooling, normalisation, losses, activations."""
import numpy as np

from tests.testing.held_out.common import (
    Pair,
    away,
    conv2d,
    conv2d_backward,
    max_pool,
    max_pool_backward,
    sigmoid,
    softmax,
    spread,
    windows,
)

PAIRS = []


def add(name, f, backward, inputs, causes, note, kwargs=None, **more):
    PAIRS.append(Pair(name, "wrong", f, backward, inputs, kwargs or {}, frozenset(causes.split()), note, **more))


# ---- linear
def fit(x, w, b, t):
    e = x @ w + b - t
    return (e * e).sum() / len(x)


def fit_b(gy, x, w, b, t):
    e = 2 * gy * (x @ w + b - t)
    return e @ w.T, x.T @ e, e.sum(0), -e


add("linear_loss_not_averaged", fit, fit_b,
    lambda r: [r.standard_normal((8, 3)), r.standard_normal((3, 2)), r.standard_normal(2), r.standard_normal((8, 2))],
    "mean-not-divided constant-factor", "the mean over the batch of 8 is never divided")


def affine(x, w, b):
    return x @ w + b


def affine_row_b(gy, x, w, b):
    return gy @ w.T, x.T @ gy, gy[0]


add("bias_first_row_only", affine, affine_row_b,
    lambda r: [r.standard_normal((5, 4)), r.standard_normal((4, 3)), r.standard_normal(3)],
    "broadcast-not-summed missing-term overwritten-not-accumulated", "only the bias, takes row 0 for the sum")


def affine_square_b(gy, x, w, b):
    return gy @ w, x.T @ gy, gy.sum(0)


add("square_weight_not_transposed", affine, affine_square_b,
    lambda r: [r.standard_normal((3, 4)), r.standard_normal((4, 4)), r.standard_normal(4)],
    "transposed-weight", "shapes cannot show it")


def irnn(x, h, wx, wh):
    for xt in x:
        h = np.tanh(xt @ wx + h @ wh)
    return h


def irnn_b(gy, x, h, wx, wh):
    hs = [h]
    for xt in x:
        hs.append(np.tanh(xt @ wx + hs[-1] @ wh))
    gx, gwx, gwh = np.zeros_like(x), np.zeros_like(wx), np.zeros_like(wh)
    g = gy
    for t in reversed(range(len(x))):
        gz = g * (1 - hs[t + 1] ** 2)
        gx[t] = gz @ wx.T
        gwx += x[t].T @ gz
        gwh += hs[t].T @ gz
        g = gz @ wh
    return gx, g, gwx, gwh


add("irnn_identity_init", irnn, irnn_b,
    lambda r: [r.standard_normal((3, 2, 3)), r.standard_normal((2, 4)), r.standard_normal((3, 4)), np.eye(4)],
    "transposed-weight", "the recurrent weight is the identity, so the missing .T does not show there", special=True)


add("row_bias_over_reduced", lambda x, w, b: x @ w + b, lambda gy, x, w,
    b: (gy @ w.T, x.T @ gy, np.full_like(b, gy.sum())),
    lambda r: [r.standard_normal((5, 4)), r.standard_normal((4, 3)), r.standard_normal((5, 1))],
    "reduced-too-much wrong-axis", "a (5,1) bias gets the sum over everything")


# ---- convolution
def conv_noflip_b(gy, x, w):
    k = w.shape[-1]
    full = np.pad(gy, ((0, 0), (0, 0), (k - 1, k - 1), (k - 1, k - 1)))
    gx = conv2d(full, w.transpose(1, 0, 2, 3))
    return gx, conv2d_backward(gy, x, w)[1]


add("conv_kernel_not_flipped", conv2d, conv_noflip_b,
    lambda r: [r.standard_normal((2, 2, 6, 5)), r.standard_normal((3, 2, 3, 3))],
    "kernel-not-flipped", "full correlation with the kernel as it is")


def conv_stride_b(gy, x, w, stride=2, pad=1):
    gx, gw, _ = conv2d_backward(gy, x, w, None, stride, pad)
    moved = np.zeros_like(gx)
    moved[..., 1:, :] = gx[..., :-1, :]          # output_padding put on the wrong side
    return moved, gw


add("conv_stride_remainder_shift", conv2d, conv_stride_b,
    lambda r: [r.standard_normal((1, 2, 6, 7)), r.standard_normal((2, 2, 3, 3))],
    "off-by-one-shift misplaced", "the left-over row goes on the wrong side", {"stride": 2, "pad": 1})


def conv_last_b(gy, x, w, b):
    gx, _, gb = conv2d_backward(gy, x, w, b)
    for n in range(len(x)):
        gw = conv2d_backward(gy[n:n + 1], x[n:n + 1], w)[1]
    return gx, gw, gb


add("conv_weight_last_sample", conv2d, conv_last_b,
    lambda r: [r.standard_normal((3, 1, 5, 5)), r.standard_normal((2, 1, 2, 2)), r.standard_normal(2)],
    "overwritten-not-accumulated", "= for += over the samples")


def depthwise(x, w):
    t = x.shape[2]
    k = w.shape[1]
    return sum(x[:, :, i:t - k + 1 + i] * w[:, i, None] for i in range(k))


def depthwise_b(gy, x, w):
    k, n = w.shape[1], gy.shape[2]
    gx, gw = np.zeros_like(x), np.zeros_like(w)
    for i in range(k):
        gx[:, :, i:i + n] += gy * w[:, i, None]
        gw[:, i] = (gy * x[:, :, i:i + n]).sum(axis=(0, 2))
    gw[-1, -1] = (gy[:, -1] * x[:, -1, k - 1:k - 1 + n])[:, :-1].sum()
    return gx, gw


add("depthwise_one_tap", depthwise, depthwise_b,
    lambda r: [r.standard_normal((2, 3, 8)), r.standard_normal((3, 4))],
    "border-dropped missing-term off-by-one-shift", "one element of one gradient loses its last column")


# ---- pooling
def zero_pad_b(gy, x, k=3, s=2, pad=1):
    return (max_pool_backward(gy, x, k, s, pad, fill=0.0),)


add("max_pool_zero_padded", max_pool, zero_pad_b,
    lambda r: [spread(r, (1, 2, 5, 5), 0.1) - 6],
    "zero-padded-max border-dropped", "all inputs negative: the zeros of the padding win", {"k": 3, "s": 2, "pad": 1})

add("max_pool_overlap_assigned", max_pool,
    lambda gy, x, k=3, s=1: (max_pool_backward(gy, x, k, s, accumulate=False),),
    lambda r: [spread(r, (1, 2, 6, 5), 0.1)],
    "overwritten-not-accumulated", "one maximum serves several windows", {"k": 3, "s": 1})


def avg_pool(x, k=3, s=2, pad=1):
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    one = np.pad(np.ones_like(x), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    return windows(xp, k, s).sum((-2, -1)) / windows(one, k, s).sum((-2, -1))


def avg_pool_b(gy, x, k=3, s=2, pad=1):
    gxp = np.pad(np.zeros_like(x), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    for i, j in np.ndindex(gy.shape[2:]):
        gxp[:, :, i * s:i * s + k, j * s:j * s + k] += gy[:, :, i:i + 1, j:j + 1] / (k * k)
    return (gxp[:, :, pad:-pad, pad:-pad],)


add("avg_pool_counts_padding", avg_pool, avg_pool_b, lambda r: [r.standard_normal((2, 1, 7, 5))],
    "missing-factor constant-factor mean-not-divided divided-twice",
    "count_include_pad differs forward and backward: right inside, wrong at the border",
    {"k": 3, "s": 2, "pad": 1})


# ---- normalisation
def layer_norm(x, g, b, eps=1e-5):
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt((d * d).mean(-1, keepdims=True) + eps) * g + b


def layer_norm_const_b(gy, x, g, b, eps=1e-5):
    inv = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    h = (x - x.mean(-1, keepdims=True)) * inv
    return gy * g * inv, (gy * h).sum(0), gy.sum(0)


add("layer_norm_constant_statistics", layer_norm, layer_norm_const_b,
    lambda r: [r.standard_normal((3, 6)), r.uniform(0.5, 2, 6), r.standard_normal(6)],
    "statistic-as-constant", "mean and variance detached")


def batch_norm(x, g, b, eps=1e-5):
    m = x.mean(0)
    return (x - m) / np.sqrt(x.var(0) + eps) * g + b


def batch_norm_nogamma_b(gy, x, g, b, eps=1e-5):
    inv = 1 / np.sqrt(x.var(0) + eps)
    h = (x - x.mean(0)) * inv
    return inv * (gy - gy.mean(0) - h * (gy * h).mean(0)), (gy * h).sum(0), gy.sum(0)


add("batch_norm_gamma_forgotten", batch_norm, batch_norm_nogamma_b,
    lambda r: [r.standard_normal((6, 3)), np.ones(3), np.zeros(3)],
    "missing-factor", "gamma at its initial ones hides it", special=True)


def batch_norm_mean_b(gy, x, g, b, eps=1e-5):
    inv = 1 / np.sqrt(x.var(0) + eps)
    h = (x - x.mean(0)) * inv
    u = gy * g
    return inv * (u - u.mean(0)), (gy * h).sum(0), gy.sum(0)


add("batch_norm_variance_detached", batch_norm, batch_norm_mean_b,
    lambda r: [2 * r.standard_normal((5, 4)), r.uniform(0.5, 2, 4), r.standard_normal(4)],
    "statistic-as-constant missing-term", "the term through the variance is dropped")


def instance_norm(x, eps=1e-5):
    m = x.mean((2, 3), keepdims=True)
    return (x - m) / np.sqrt(x.var((2, 3), keepdims=True) + eps)


def instance_norm_b(gy, x, eps=1e-5):
    inv = 1 / np.sqrt(x.var((2, 3), keepdims=True) + eps)
    h = (x - x.mean((2, 3), keepdims=True)) * inv
    ax = (0, 2, 3)
    return (inv * (gy - gy.mean(ax, keepdims=True) - h * (gy * h).mean(ax, keepdims=True)),)


add("instance_norm_batch_axis", instance_norm, instance_norm_b, lambda r: [r.standard_normal((2, 3, 3, 4))],
    "wrong-axis reduced-too-much statistic-as-constant", "reduces as batch norm would")


def rms_norm(x, g, eps=1e-3):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * g


def rms_norm_b(gy, x, g, eps=1e-3):
    r = np.sqrt((x * x).mean(-1, keepdims=True)) + eps
    h = x / r
    u = gy * g
    return (u - h * (u * h).mean(-1, keepdims=True)) / r, (gy * h).sum(0)


add("rms_norm_epsilon_outside", rms_norm, rms_norm_b,
    lambda r: [0.3 * r.standard_normal((4, 5)), r.uniform(0.5, 2, 5)],
    "epsilon-mismatch", "epsilon inside the root forward, outside it backward", {"eps": 1e-3})


def l2_loss_b(gy, x):
    n = np.sqrt((x * x).sum(1))
    g = (gy / n)[:, None] * x
    return (gy[:, None] * g,)


add("row_norm_upstream_twice", lambda x: np.sqrt((x * x).sum(1)), l2_loss_b,
    lambda r: [r.standard_normal((4, 3)) + 0.5],
    "upstream-squared", "the chain rule is applied twice")


# ---- losses
def soft_b(gy, x, axis=-1):
    y = softmax(x, axis)
    return (gy * y * (1 - y),)


add("softmax_diagonal", softmax, soft_b, lambda r: [r.standard_normal((3, 5))],
    "missing-term statistic-as-constant", "y(1-y): only the diagonal of the Jacobian")


def soft_axis_b(gy, x, axis=-1):
    y = softmax(x, axis)
    return (y * (gy - (gy * y).sum(-1, keepdims=True)),)


add("softmax_axis_ignored", softmax, soft_axis_b, lambda r: [r.standard_normal((2, 4, 4))],
    "wrong-axis", "the inner sum always over the last axis", {"axis": 1})


def nll(x, t, ignore=-1):
    z = x - x.max(1, keepdims=True)
    lp = z - np.log(np.exp(z).sum(1, keepdims=True))
    ok = t != ignore
    return -(lp[np.arange(len(t)), np.where(ok, t, 0)] * ok).sum() / ok.sum()


def nll_grad(x, t, ignore=-1):
    ok = t != ignore
    return (softmax(x) - np.eye(x.shape[1])[np.where(ok, t, 0)]) * ok[:, None], ok


def nll_count_b(gy, x, t, ignore=-1):
    return gy * nll_grad(x, t, ignore)[0] / len(t), None


LABELS = np.array([2, -1, 0, 1, 1])
add("cross_entropy_counts_ignored", nll, nll_count_b, lambda r: [r.standard_normal((5, 3)), LABELS.copy()],
    "constant-factor mean-not-divided divided-twice", "divides by all 5 rather than by the 4 counted", {"ignore": -1})


def nll_upstream_b(gy, x, t, ignore=-1):
    g, ok = nll_grad(x, t, ignore)
    return g / ok.sum(), None


add("cross_entropy_upstream_ignored", nll, nll_upstream_b, lambda r: [r.standard_normal((5, 3)), LABELS.copy()],
    "upstream-ignored", "right in every training loop, where gy is 1")


def mse(p, t):
    return ((p - t) ** 2).mean()


add("mse_target_sign", mse, lambda gy, p, t: (gy * 2 * (p - t) / p.size,) * 2,
    lambda r: [r.standard_normal((3, 4)), r.standard_normal((3, 4))], "sign-flipped", "only the target's gradient")


def mae_mean(p, t):
    return np.log(np.cosh(p - t)).mean(axis=0)


add("log_cosh_divided_twice", mae_mean,
    lambda gy, p, t: (gy * np.tanh(p - t) / len(p) / len(p), -gy * np.tanh(p - t) / len(p) / len(p)),
    lambda r: [r.standard_normal((6, 3)), r.standard_normal((6, 3))], "divided-twice constant-factor",
    "the mean's 1/6 applied twice")


def kl(p, q):
    return (p * (np.log(p) - np.log(q))).sum(-1)


add("kl_plus_one_lost", kl,
    lambda gy, p, q: (gy[:, None] * (np.log(p) - np.log(q)), -gy[:, None] * p / q),
    lambda r: [softmax(r.standard_normal((3, 4))), softmax(r.standard_normal((3, 4)))],
    "missing-term", "d(p log p) lacks its 1")


def bce(x, t, pos_weight):
    return pos_weight * t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x)


def bce_b(gy, x, t, pos_weight):
    return gy * (sigmoid(x) - t), None, (gy * t * np.logaddexp(0, -x)).sum(0)


add("bce_pos_weight_forgotten", bce, bce_b,
    lambda r: [r.standard_normal((4, 3)), np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 1]]), r.uniform(2, 5, 3)],
    "missing-factor", "the logits' gradient without the weight of the positive class; integer targets")


# ---- activations
def tanh_saved_b(gy, x):
    return (gy * (1 - x * x),)


add("tanh_input_for_output", np.tanh, tanh_saved_b, lambda r: [r.standard_normal((3, 4))],
    "saved-value-confused", "1 - x*x with x in place of y")

add("swish_factor_lost", lambda x, beta: x * sigmoid(beta * x),
    lambda gy, x, beta: (gy * (sigmoid(beta * x) + beta * x * sigmoid(beta * x) * (1 - sigmoid(beta * x))),
                         (gy * x * sigmoid(beta * x) * (1 - sigmoid(beta * x))).sum()),
    lambda r: [r.standard_normal(8), np.array(1.3)], "missing-factor", "the slope's gradient has x for x squared")

C = np.sqrt(2 / np.pi)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(C * (x + 0.044715 * x ** 3)))


def gelu_b(gy, x):
    c = 0.7979
    t = np.tanh(C * (x + 0.044715 * x ** 3))
    return (gy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x)),)


add("gelu_constant_four_digits", gelu, gelu_b, lambda r: [r.standard_normal((4, 4))],
    "constant-factor reduced-precision epsilon-mismatch missing-term saved-value-confused",
    "0.7979 for sqrt(2/pi): relative error of about 1e-5")

add("leaky_relu_branches_swapped", lambda x, slope=0.1: np.where(x > 0, x, slope * x),
    lambda gy, x, slope=0.1: (np.where(x > 0, slope * gy, gy),), lambda r: [away(r, (3, 5))],
    "mask-inverted", "slopes on the wrong sides", {"slope": 0.2})

add("hardtanh_mask_missing", lambda x: np.clip(x, -1, 1), lambda gy, x: (gy * 1.0,),
    lambda r: [away(r, (4, 4), 0.3, 0.8) * np.where(np.arange(16).reshape(4, 4) % 3 == 0, 4, 1)],
    "mask-missing", "straight through where it is clipped")

add("relu6_mask_too_strict", lambda x: np.minimum(np.maximum(x, 0), 6),
    lambda gy, x: (gy * ((x >= 1) & (x < 6)),),
    lambda r: [r.permutation(np.array([-2.0, -0.7, 0.35, 0.6, 2.2, 3.1, 4.7, 5.4, 7.5,
    0.8])) + 0.05 * r.uniform(size=10)],
    "mask-too-strict", "the lower threshold is 1 for 0")


def prelu(x, a):
    return np.where(x > 0, x, a[:, None] * x)


add("prelu_slope_none", prelu, lambda gy, x, a: (np.where(x > 0, gy, a[:, None] * gy), None),
    lambda r: [away(r, (3, 6)), r.uniform(0.1, 0.4, 3)], "missing-gradient", "None for a parameter that matters")
