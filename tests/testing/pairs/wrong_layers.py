"""Wrong rules as they are really written: in layers of networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.testing.pairs import layers
from tests.testing.pairs.layers import pad, spread
from tests.testing.pairs.pair import FAIL, Pair, apart, normal, uniform

Array = Any


def conv_not_flipped(gy: Array, x: Array, w: Array, b: Array, *, padding: int) -> list[Array]:
    g = layers.conv2d_backward(gy, x, w, b, padding=padding)
    g[0] = layers.conv2d(gy, w.transpose(1, 0, 2, 3), padding=w.shape[2] - 1 - padding)
    return g


def conv_channels_not_transposed(gy: Array, x: Array, w: Array, *, padding: int) -> list[Array]:
    g = layers.conv2d_backward(gy, x, w, padding=padding)
    g[0] = layers.conv2d(gy, w[:, :, ::-1, ::-1], padding=w.shape[2] - 1 - padding)
    return g[:2]


def conv_crop_off_by_one(gy: Array, x: Array, w: Array, *, padding: int) -> list[Array]:
    wide = pad(x, padding)
    gxp, gw, _ = layers.conv2d_backward(gy, wide, w)
    return [gxp[:, :, padding - 1 : padding - 1 + x.shape[2], padding - 1 : padding - 1 + x.shape[3]], gw]


def conv_assigns_columns(gy: Array, x: Array, w: Array, *, stride: int) -> list[Array]:
    g = layers.conv2d_backward(gy, x, w, stride=stride)
    gx = np.zeros_like(x)
    h, v = gy.shape[2:]
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            gx[:, :, spread(i, h, stride), spread(j, v, stride)] = np.einsum("nohw,oc->nchw", gy, w[:, :, i, j])
    return [gx, g[1]]


def conv_last_windows_lost(gy: Array, x: Array, w: Array, *, stride: int) -> list[Array]:
    g = layers.conv2d_backward(gy, x, w, stride=stride)
    cut = gy.copy()
    cut[:, :, -1], cut[..., -1] = 0, 0
    return [g[0], layers.conv2d_backward(cut, x, w, stride=stride)[1]]


def conv_dilation_forgotten(gy: Array, x: Array, w: Array, *, dilation: int) -> list[Array]:
    g = layers.conv2d_backward(gy, x, w, dilation=dilation)
    h, v = gy.shape[2:]
    gw = np.zeros_like(w)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            gw[:, :, i, j] = np.einsum("nohw,nchw->oc", gy, x[:, :, i : i + h, j : j + v])
    return [g[0], gw]


def conv_bias_mean(gy: Array, x: Array, w: Array, b: Array, *, padding: int) -> list[Array]:
    g = layers.conv2d_backward(gy, x, w, b, padding=padding)
    return [g[0], g[1], gy.sum((2, 3)).mean(0)]


def pool_padded_with_zeros(gy: Array, x: Array, *, kernel: int, stride: int, padding: int) -> Array:
    xp = pad(x, padding)
    g = np.zeros_like(xp)
    for n, c, i, j in np.ndindex(*gy.shape):
        r, k = layers.pool_argmax(xp, n, c, i * stride, j * stride, kernel)
        g[n, c, r, k] += gy[n, c, i, j]
    return g[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]


def pool_assigns(gy: Array, x: Array, *, kernel: int, stride: int) -> Array:
    g = np.zeros_like(x)
    for n, c, i, j in np.ndindex(*gy.shape):
        r, k = layers.pool_argmax(x, n, c, i * stride, j * stride, kernel)
        g[n, c, r, k] = gy[n, c, i, j]
    return g


def peak_in_overlap(rng: np.random.Generator) -> list[Array]:
    """The largest value lies in all four windows."""
    x = apart((1, 1, 5, 5))(rng)[0]
    x[0, 0, 2, 2] = 9.0
    return [x]


def pool_argmax_unfolded_by_width(gy: Array, x: Array, *, kernel: int, stride: int) -> Array:
    g = np.zeros_like(x)
    for n, c, i, j in np.ndindex(*gy.shape):
        row, column = i * stride, j * stride
        at = int(x[n, c, row : row + kernel, column : column + kernel].argmax())
        g[n, c, row + min(at // x.shape[3], kernel - 1), column + min(at % x.shape[3], kernel - 1)] += gy[n, c, i, j]
    return g


def mean_pool(x: Array, *, kernel: int) -> Array:
    h, v = x.shape[2] // kernel, x.shape[3] // kernel
    tiles = [x[:, :, spread(i, h, kernel), spread(j, v, kernel)] for i in range(kernel) for j in range(kernel)]
    return sum(tiles) / kernel**2


def mean_pool_not_divided(gy: Array, _: Array, *, kernel: int) -> Array:
    return gy.repeat(kernel, 2).repeat(kernel, 3)


def batch_norm_fixed(gy: Array, x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, ...]:
    _, gg, gb = layers.batch_norm_backward(gy, x, gamma, beta, eps=eps)
    return gy * gamma / np.sqrt(x.var(0) + eps), gg, gb


def batch_norm_fixed_variance(gy: Array, x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, ...]:
    g, gg, gb = batch_norm_fixed(gy, x, gamma, beta, eps=eps)
    return g - g.mean(0), gg, gb


def layer_norm(x: Array, *, eps: float) -> Array:
    return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + eps)


def layer_norm_fixed_mean(gy: Array, x: Array, *, eps: float) -> Array:
    z = layer_norm(x, eps=eps)
    return (gy - z * (gy * z).mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + eps)


def layer_norm_over_batch(gy: Array, x: Array, *, eps: float) -> Array:
    z, s = layer_norm(x, eps=eps), np.sqrt(x.var(1, keepdims=True) + eps)
    return (gy - gy.mean(0) - z * (gy * z).mean(0)) / s


def attention_swapped(gy: Array, q: Array, k: Array, v: Array) -> tuple[Array, ...]:
    gq, gk, gv = layers.attention_backward(gy, q, k, v)
    return gk, gq, gv


def attention_unscaled(gy: Array, q: Array, k: Array, v: Array) -> tuple[Array, ...]:
    gq, gk, gv = layers.attention_backward(gy, q, k, v)
    return gq * np.sqrt(q.shape[-1]), gk, gv


def attention_weights_not_transposed(gy: Array, q: Array, k: Array, v: Array) -> tuple[Array, ...]:
    gq, gk, _ = layers.attention_backward(gy, q, k, v)
    return gq, gk, layers.attention_weights(q, k, False) @ gy


def embedding_assigns(gy: Array, table: Array, at: Array) -> tuple[Array, None]:
    g = np.zeros_like(table)
    g[at] += gy   # one addition per row, however often it was looked up
    return g, None


def words(rng: np.random.Generator) -> list[Array]:
    return [rng.standard_normal((5, 3)), np.array([1, 4, 1, 0])]


def roi_max_assigns(gy: Array, x: Array, *, boxes: list[tuple[int, ...]], bins: int) -> Array:
    g = np.zeros_like(x)
    for n, c, i, j in np.ndindex(*gy.shape):
        rows, columns = layers.roi_bin(boxes[n], bins, i, j)
        tile = x[c, rows, columns]
        r, k = divmod(int(tile.argmax()), tile.shape[1])
        g[c, rows.start + r, columns.start + k] = gy[n, c, i, j]
    return g


def peak_in_regions(rng: np.random.Generator) -> list[Array]:
    """The largest value of each channel lies in both regions."""
    return [apart((2, 6, 6))(rng)[0] + 9.0 * (np.arange(36).reshape(6, 6) == 21)]


def roi_align_samples_not_averaged(gy: Array, x: Array, *, boxes: Any, bins: int, samples: int) -> Array:
    return samples**2 * layers.roi_align_backward(gy, x, boxes=boxes, bins=bins, samples=samples)


def resize_option_forgotten(gy: Array, x: Array, *, out: tuple[int, int], align_corners: bool) -> Array:
    return layers.resize_backward(gy, x, out=out, align_corners=not align_corners)


def resize_weights_exchanged(gy: Array, x: Array, *, out: tuple[int, int]) -> Array:
    matrices = []
    for size, count in zip(x.shape[-2:], out, strict=True):
        low, high, t = layers.corners(layers.resize_positions(size, count, False), size)
        m = np.zeros((count, size))
        np.add.at(m, (np.arange(count), low), t)
        np.add.at(m, (np.arange(count), high), 1 - t)
        matrices.append(m)
    return matrices[0].T @ gy @ matrices[1]


def rnn(x: Array, h: Array, w: Array, u: Array) -> Array:
    for step in x:
        h = np.tanh(step @ w + h @ u)
    return h


def rnn_backward(gy: Array, x: Array, h: Array, w: Array, u: Array, *, last_only: bool) -> list[Array]:
    states = [h]
    for step in x:
        states.append(np.tanh(step @ w + states[-1] @ u))
    gx, gw, gu = np.zeros_like(x), np.zeros_like(w), np.zeros_like(u)
    for t in reversed(range(len(x))):
        ga = gy * (1 - states[t + 1] ** 2)
        gx[t], gy = ga @ w.T, ga @ u.T
        gw = x[t].T @ ga if last_only else gw + x[t].T @ ga
        gu = states[t].T @ ga if last_only else gu + states[t].T @ ga
    return [gx, gy, gw, gu]


def rnn_assigns(gy: Array, x: Array, h: Array, w: Array, u: Array) -> list[Array]:
    return rnn_backward(gy, x, h, w, u, last_only=True)


def rnn_truncated(gy: Array, x: Array, h: Array, w: Array, u: Array) -> list[Array]:
    before = rnn(x[:-1], h, w, u)
    g = rnn_backward(gy, x[-1:], before, w, u, last_only=False)
    return [np.concatenate([np.zeros_like(x[:-1]), g[0]]), np.zeros_like(h), g[2], g[3]]


def lstm_output_path_lost(gy: tuple[Array, Array], *inputs: Array) -> list[Array]:
    """The gradient of h no longer reaches the cell state."""
    right = layers.lstm_cell_backward(gy, *inputs)
    x, h, c, w, u = inputs
    i, f, o, g = np.split(x @ w + h @ u, 4, axis=1)
    i, f, o, g = layers.sigmoid(i), layers.sigmoid(f), layers.sigmoid(o), np.tanh(g)
    t = np.tanh(f * c + i * g)
    none = np.zeros_like(gy[0])
    wrong = layers.lstm_cell_backward((none, gy[1]), *inputs)
    gate = np.concatenate([none, none, gy[0] * t * o * (1 - o), none], axis=1)
    wrong[3], wrong[4] = wrong[3] + x.T @ gate, wrong[4] + h.T @ gate
    return [right[0], right[1], wrong[2], wrong[3], wrong[4]]


def lstm_gates_swapped(gy: tuple[Array, Array], *inputs: Array) -> list[Array]:
    """Input gate and forget gate exchange their columns in the gradient of the recurrent weights."""
    g = layers.lstm_cell_backward(gy, *inputs)
    n = inputs[1].shape[1]
    g[4] = np.concatenate([g[4][:, n : 2 * n], g[4][:, :n], g[4][:, 2 * n :]], axis=1)
    return g


def wrong(name: str, f: Any, backward: Any, inputs: Any, cause: str | tuple[str, ...], *, note: str = "",
          **kwargs: Any) -> Pair:
    return Pair(name, "wrong", f, backward, inputs, kwargs, cause, FAIL, note=note)


IMAGE = normal((2, 2, 5, 5), (3, 2, 3, 3))
CELL = normal((2, 3), (2, 2), (2, 2), (3, 8), (2, 8))
HEADS = normal((2, 4, 3), (2, 4, 3), (2, 4, 3))
SEQUENCE = normal((3, 2, 3), (2, 4), (3, 4), (4, 4), scale=0.5)

WRONG = [
    wrong("conv_kernel_not_flipped", layers.conv2d, conv_not_flipped, normal((2, 2, 5, 5), (3, 2, 3, 3), (3,)),
          "kernel-not-flipped", padding=1),
    wrong("conv_channels_not_transposed", layers.conv2d, conv_channels_not_transposed,
          normal((2, 3, 5, 5), (3, 3, 3, 3)), "transposed-weight", padding=1),
    wrong("conv_crop_off_by_one", layers.conv2d, conv_crop_off_by_one, IMAGE, "off-by-one-shift", padding=1),
    wrong("conv_columns_assigned", layers.conv2d, conv_assigns_columns, IMAGE, "overwritten-not-accumulated", stride=1),
    wrong("conv_last_windows_lost", layers.conv2d, conv_last_windows_lost, IMAGE, "border-dropped", stride=2),
    wrong("conv_dilation_forgotten", layers.conv2d, conv_dilation_forgotten, IMAGE, "constant-in-backward", dilation=2),
    wrong("conv_bias_mean", layers.conv2d, conv_bias_mean, normal((4, 2, 3, 3), (2, 2, 2, 2), (2,)),
          ("divided-too-often", "reduced-too-much", "constant-factor"), padding=0),
    wrong("max_pool_padded_with_zeros", layers.max_pool, pool_padded_with_zeros, apart((1, 1, 6, 6), shift=-3.0),
          "zero-padded-max", kernel=3, stride=3, padding=1),
    wrong("max_pool_assigned", layers.max_pool, pool_assigns, peak_in_overlap,
          "overwritten-not-accumulated", kernel=3, stride=2),
    wrong("max_pool_index_by_image_width", layers.max_pool, pool_argmax_unfolded_by_width, apart((1, 2, 6, 6)),
          "off-by-one-shift", kernel=2, stride=2),
    wrong("mean_pool_not_divided", mean_pool, mean_pool_not_divided, normal((1, 2, 4, 4)),
          ("constant-factor", "mean-not-divided"),
          kernel=2),
    wrong("batch_norm_statistics_constant", layers.batch_norm, batch_norm_fixed, normal((6, 3), (3,), (3,)),
          "statistic-as-constant", eps=1e-5),
    wrong("batch_norm_variance_constant", layers.batch_norm, batch_norm_fixed_variance, normal((6, 3), (3,), (3,)),
          "statistic-as-constant", eps=1e-5),
    wrong("layer_norm_mean_constant", layer_norm, layer_norm_fixed_mean, normal((3, 6)), "statistic-as-constant",
          eps=1e-5),
    wrong("layer_norm_over_the_batch", layer_norm, layer_norm_over_batch, normal((5, 5)),
          ("wrong-axis", "statistic-as-constant"), eps=1e-5),
    wrong("attention_query_key_swapped", layers.attention, attention_swapped, HEADS, "swapped-gradients"),
    wrong("attention_query_unscaled", layers.attention, attention_unscaled, HEADS,
          ("constant-factor", "missing-factor")),
    wrong("attention_weights_not_transposed", layers.attention, attention_weights_not_transposed, HEADS,
          ("transposed-weight", "transposed-gradient")),
    wrong("embedding_assigned", lambda table, at: table[at], embedding_assigns, words, "overwritten-not-accumulated"),
    wrong("roi_pooling_assigned", layers.roi_max, roi_max_assigns, peak_in_regions, "overwritten-not-accumulated",
          boxes=[(0, 0, 5, 5), (1, 1, 6, 6)], bins=2),
    wrong("roi_align_samples_summed", layers.roi_align, roi_align_samples_not_averaged, normal((6, 7)),
          ("constant-factor", "missing-factor", "mean-not-divided"), boxes=[(0.3, 0.4, 4.2, 5.1)], bins=2, samples=2),
    wrong("resize_corners_option_forgotten", layers.resize, resize_option_forgotten, normal((4, 5)),
          "constant-in-backward", out=(6, 7), align_corners=True),
    wrong("resize_weights_exchanged", layers.resize, resize_weights_exchanged, normal((4, 5)),
          ("wrong-operand", "off-by-one-shift"),
          out=(6, 7)),
    wrong("rnn_weight_assigned", rnn, rnn_assigns, SEQUENCE, ("overwritten-not-accumulated", "missing-term"),
          note="Only the first step's share is left."),
    wrong("rnn_truncated", rnn, rnn_truncated, SEQUENCE, ("missing-term", "carry-dropped"),
          note="Nothing flows back beyond the last step."),
    wrong("lstm_cell_path_lost", layers.lstm_cell, lstm_output_path_lost, CELL, ("missing-term", "carry-dropped")),
    wrong("lstm_gates_swapped", layers.lstm_cell, lstm_gates_swapped, CELL, ("swapped-gradients", "wrong-operand")),
    wrong("hinge_mask_inverted", lambda s, t: np.maximum(0, 1 - t * s).sum(),
          lambda gy, s, t: (-gy * t * (t * s > 1), -gy * s * (t * s > 1)), uniform(0.4, 1.6, (12,), (12,)),
          "mask-inverted"),
]
