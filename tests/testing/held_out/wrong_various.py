"""Wrong rules: attention, recurrent cells, RoI, resizing, indexing, linear algebra."""
import numpy as np

from tests.testing.held_out.common import (
    Pair,
    attention,
    attention_parts,
    resize_weights,
    sigmoid,
    softmax,
    spread,
)

PAIRS = []


def add(name, f, backward, inputs, causes, note, kwargs=None, **more):
    PAIRS.append(Pair(name, "wrong", f, backward, inputs, kwargs or {}, frozenset(causes.split()), note, **more))


def qkv(r):
    return [r.standard_normal((2, 4, 3)) for _ in range(3)]


# ---- attention
def att_scale_b(gy, q, k, v):
    _, gs, gq, _, gv = attention_parts(gy, q, k, v)
    return gq, np.swapaxes(gs, -1, -2) @ q, gv


add("attention_key_unscaled", attention, att_scale_b, qkv, "constant-factor missing-factor",
    "1/sqrt(d) lost in the keys' gradient only")


def att_swap_b(gy, q, k, v):
    _, _, gq, gk, gv = attention_parts(gy, q, k, v)
    return gq, gv, gk


add("attention_key_value_swapped", attention, att_swap_b, qkv, "swapped-gradients", "same shapes, wrong order")


def att_causal_b(gy, q, k, v, mask):
    return (*attention_parts(gy, q, k, v)[2:], None)


add("attention_mask_not_in_backward", attention, att_causal_b,
    lambda r: [*qkv(r), np.tril(np.ones((4, 4), bool))], "mask-missing",
    "probabilities recomputed without the mask")


def att_half_b(gy, q, k, v):
    d = np.sqrt(q.shape[-1])
    p = softmax(q @ np.swapaxes(k, -1, -2) / d).astype(np.float16).astype(q.dtype)
    gp = gy @ np.swapaxes(v, -1, -2)
    gs = p * (gp - (gp * p).sum(-1, keepdims=True))
    return gs @ k / d, np.swapaxes(gs, -1, -2) @ q / d, np.swapaxes(p, -1, -2) @ gy


add("attention_half_precision_save", attention, att_half_b, qkv, "reduced-precision",
    "probabilities saved as float16 to save memory")


# ---- recurrent cells
def lstm_cell(x, h, c, w):
    z = np.concatenate([x, h], 1) @ w
    n = h.shape[1]
    i, f, o = (sigmoid(z[:, k * n:(k + 1) * n]) for k in range(3))
    g = np.tanh(z[:, 3 * n:])
    c1 = f * c + i * g
    return o * np.tanh(c1), c1


def lstm_cell_b(gy, x, h, c, w):
    xh = np.concatenate([x, h], 1)
    z = xh @ w
    n = h.shape[1]
    i, f, o = (sigmoid(z[:, k * n:(k + 1) * n]) for k in range(3))
    g = np.tanh(z[:, 3 * n:])
    tc = np.tanh(f * c + i * g)
    gc = gy[1] + gy[0] * o * (1 - tc * tc)
    gi, gf = gc * g * i * (1 - i), gc * c * f * (1 - f)
    gz = np.concatenate([gf, gi, gy[0] * tc * o * (1 - o), gc * i * (1 - g * g)], 1)   # i, f order confused
    gxh = gz @ w.T
    return gxh[:, :x.shape[1]], gxh[:, x.shape[1]:], gc * f, xh.T @ gz


add("lstm_gate_order", lstm_cell, lstm_cell_b,
    lambda r: [r.standard_normal(s) for s in ((2, 2), (2, 3), (2, 3), (5, 12))],
    "swapped-gradients misplaced saved-value-confused", "input and forget gates swapped backward; gc is right")


def gru(x, h, w, u):
    n = h.shape[1]
    a, b = x @ w, h @ u
    r, z = sigmoid(a[:, :n] + b[:, :n]), sigmoid(a[:, n:2 * n] + b[:, n:2 * n])
    c = np.tanh(a[:, 2 * n:] + r * b[:, 2 * n:])
    return (1 - z) * c + z * h


def gru_b(gy, x, h, w, u):
    n = h.shape[1]
    a, b = x @ w, h @ u
    r, z = sigmoid(a[:, :n] + b[:, :n]), sigmoid(a[:, n:2 * n] + b[:, n:2 * n])
    c = np.tanh(a[:, 2 * n:] + r * b[:, 2 * n:])
    gc = gy * (1 - z) * (1 - c * c)
    gz = gy * (h - c) * z * (1 - z)
    gr = gc * b[:, 2 * n:] * r * (1 - r)
    ga = np.concatenate([gr, gz, gc], 1)
    gb = np.concatenate([gr, gz, gc * r], 1)
    return ga @ w.T, gb @ u.T, x.T @ ga, h.T @ gb


add("gru_direct_path_lost", gru, gru_b,
    lambda r: [r.standard_normal(s) for s in ((2, 3), (2, 3), (3, 9), (3, 9))],
    "missing-term", "the state's gradient lacks z * gy")


# ---- RoI pooling and resizing
def roi_cells(box, scale, out, rnd):
    x1, y1, x2, y2 = (int(rnd(v * scale)) for v in box)
    h, w = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
    for i in range(out):
        for j in range(out):
            yield (i, j, slice(y1 + i * h // out, max(y1 + -(-(i + 1) * h // out), y1 + i * h // out + 1)),
                   slice(x1 + j * w // out, max(x1 + -(-(j + 1) * w // out), x1 + j * w // out + 1)))


def roi_pool(x, rois, scale=0.25, out=2):
    y = np.zeros((len(rois), x.shape[1], out, out), dtype=x.dtype)
    for m, (n, *box) in enumerate(rois):
        for i, j, sy, sx in roi_cells(box, scale, out, lambda v: np.floor(v + 0.5)):
            y[m, :, i, j] = x[n, :, sy, sx].max((1, 2))
    return y


def roi_pool_b(gy, x, rois, scale=0.25, out=2):
    gx = np.zeros_like(x)
    for m, (n, *box) in enumerate(rois):
        for i, j, sy, sx in roi_cells(box, scale, out, np.floor):
            for c in range(x.shape[1]):
                cell = x[n, c, sy, sx]
                a, b = np.unravel_index(cell.argmax(), cell.shape)
                gx[n, c, sy.start + a, sx.start + b] += gy[m, c, i, j]
    return gx, None


add("roi_pool_rounding", roi_pool, roi_pool_b,
    lambda r: [spread(r, (2, 2, 7, 8), 0.05), np.array([[0, 3, 2, 18, 15], [1, 6, 7, 27, 22], [0, 10, 0, 23, 11]])],
    "misplaced off-by-one-shift", "boxes rounded forward, floored backward", {"scale": 0.25})


def resize(x, size):
    return resize_weights(x.shape[-2], size[0]) @ x @ resize_weights(x.shape[-1], size[1]).T


def resize_corner_b(gy, x, size):
    a, b = (resize_weights(n, m, True) for n, m in zip(x.shape[-2:], size, strict=True))
    return (a.T @ gy @ b,)


add("resize_align_corners_mixed", resize, resize_corner_b, lambda r: [r.standard_normal((1, 1, 4, 3))],
    "misplaced off-by-one-shift", "half-pixel centres forward, aligned corners backward", {"size": (7, 5)})


def shuffle(x, r=2):
    n, c, h, w = x.shape
    return x.reshape(n, c // r // r, r, r, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c // r // r, h * r, w * r)


def shuffle_b(gy, x, r=2):
    n, c, h, w = x.shape
    g = gy.reshape(n, c // r // r, w, r, h, r)
    return (g.transpose(0, 1, 3, 5, 2, 4).reshape(x.shape),)


add("pixel_shuffle_non_square", shuffle, shuffle_b, lambda r: [r.standard_normal((1, 4, 2, 3))],
    "wrong-reshape misplaced transposed-gradient", "height and width mixed up: square images cannot show it", {"r": 2})


# ---- distances, einsum, scans
def cdist(a, b):
    d = a[:, None] - b[None]
    return (d * d).sum(-1)


def cdist_b(gy, a, b):
    d = a[:, None] - b[None]
    return (gy[..., None] * d).sum(1), -(gy[..., None] * d).sum(0)


add("squared_distance_two_lost", cdist, cdist_b, lambda r: [r.standard_normal((4, 3)), r.standard_normal((5, 3))],
    "constant-factor missing-factor", "the 2 of the square is lost")


def bilinear(x, a, y):
    return np.einsum("ni,ij,nj->n", x, a, y)


add("bilinear_form_matrix_transposed", bilinear,
    lambda gy, x, a, y: (gy[:, None] * (y @ a.T), np.einsum("n,ni,nj->ji", gy, x, y), gy[:, None] * (x @ a)),
    lambda r: [r.standard_normal((3, 4)), r.standard_normal((4, 4)), r.standard_normal((3, 4))],
    "transposed-gradient swapped-gradients", "indices of the matrix's gradient exchanged")

add("cumsum_not_reversed", lambda x: np.cumsum(x, axis=1), lambda gy, x: (np.cumsum(gy, axis=1),),
    lambda r: [r.standard_normal((3, 6))],
    "misplaced kernel-not-flipped transposed-gradient mask-inverted transposed-weight",
    "runs forward where it must run back")

add("transpose_undone_by_reshape", lambda x: np.sin(x).transpose(0, 2, 1),
    lambda gy, x: (gy.reshape(x.shape) * np.cos(x),), lambda r: [r.standard_normal((2, 3, 4))],
    "wrong-reshape transposed-gradient misplaced", "reshape for transpose")


def total_variation(x, eps=0.01):
    return np.sqrt(np.diff(x) ** 2 + eps).sum(-1)


def total_variation_b(gy, x, eps=0.01):
    d = np.diff(x)
    u = gy[:, None] * d / np.sqrt(d * d + eps)
    gx = np.zeros_like(x)
    gx[:, 1:-1] = u[:, :-1] - u[:, 1:]
    gx[:, 0] = -u[:, 0]
    return (gx,)


add("total_variation_last_pixel", total_variation, total_variation_b, lambda r: [r.standard_normal((2, 8))],
    "border-dropped missing-term", "the last pixel gets nothing", {"eps": 0.05})


# ---- sorting and indexing
def sort_b(gy, x):
    return (np.take_along_axis(gy, x.argsort(-1), -1),)


def sort_in(r):
    base = np.array([[1.0, 2.0, 3.0, 0.0, 6.0, 4.0, 5.0], [6.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0]])
    return [base + 0.2 * r.uniform(size=base.shape)]


add("sort_gathered_twice", lambda x: np.sort(x, -1), sort_b, sort_in, "misplaced swapped-gradients",
    "applies the permutation where its inverse is due")


def embed(w, idx):
    return w[idx] * np.sqrt(w.shape[1])


def embed_b(gy, w, idx):
    gw = np.zeros_like(w)
    gw[idx] += gy * np.sqrt(w.shape[1])
    return gw, None


add("embedding_repeats", embed, embed_b,
    lambda r: [r.standard_normal((6, 3)), np.array([[1, 4, 1], [0, 4, 4]])],
    "overwritten-not-accumulated", "fancy-index += counts a repeated row once")


def crop_b(gy, x):
    gx = np.zeros_like(x)
    gx[:, :-2, :-2] = gy * 2 * x[:, 1:-1, 1:-1]
    return (gx,)


add("crop_put_back_one_off", lambda x: x[:, 1:-1, 1:-1] ** 2, crop_b, lambda r: [r.standard_normal((2, 5, 6))],
    "off-by-one-shift misplaced", "the cropped border is counted from the wrong corner")


def gather(x, idx):
    return np.take_along_axis(x, idx, 1)


def gather_b(gy, x, idx):
    gx = np.zeros_like(x)
    np.add.at(gx, (idx, np.arange(x.shape[1])[None, :]), gy)
    return gx, None


add("gather_wrong_axis", gather, gather_b,
    lambda r: [r.standard_normal((4, 4)), np.array([[0, 2, 1, 0], [1, 1, 3, 2], [3, 0, 2, 2], [2, 3, 3, 1]])],
    "wrong-axis misplaced transposed-gradient", "scatters along axis 0 what was gathered along axis 1")


# ---- linear algebra
def tri_solve(l, b):
    return np.linalg.solve(np.tril(l), b)


def tri_solve_b(gy, l, b):
    t = np.tril(l)
    gb = np.linalg.solve(t.T, gy)
    return -gb @ np.linalg.solve(t, b).T, gb


add("triangular_solve_full_gradient", tri_solve, tri_solve_b,
    lambda r: [r.standard_normal((4, 4)) * 0.5 + 2 * np.eye(4), r.standard_normal((4, 2))],
    "mask-missing", "gradient in the triangle that is never read")

add("inverse_not_transposed", np.linalg.inv,
    lambda gy, a: (-np.linalg.inv(a) @ gy @ np.linalg.inv(a),),
    lambda r: [r.standard_normal((3, 3)) + 3 * np.eye(3)], "transposed-weight transposed-gradient",
    "inv(A) for inv(A).T")
