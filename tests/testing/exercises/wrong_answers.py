"""Answers as students get them wrong: bodies of the function to be written, and what the grade should say."""

from __future__ import annotations

from typing import NamedTuple


class Wrong(NamedTuple):
    """``part`` fails, whatever else does; ``causes`` are identifiers of the catalogue, one of which is named."""

    exercise: str
    name: str
    body: str
    part: str
    causes: tuple[str, ...] = ()


_POOL = """\
gx = np.zeros_like(x)
for n, c, i, j in np.ndindex(*gy.shape):
    window = x[n, c, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
    a, b = np.unravel_index(window.argmax(), window.shape)
    gx[n, c, {row}, {column}] {op} gy[n, c, i, j]
return gx"""

_AVERAGE = """\
gx = np.zeros_like(x)
for i in range(gy.shape[2]):
    for j in range(gy.shape[3]):
        g = gy[:, :, i, j, None, None]{share}
        gx[:, :, i * stride : i * stride + kernel, j * stride : j * stride + kernel] {op} g
return gx"""

_ROI = """\
gx = np.zeros_like(x)
for k, (n, left, top, right, bottom) in enumerate(boxes):
    for i, rows in enumerate(bins(top, bottom, size[0])):
        for j, columns in enumerate(bins(left, right, size[1])):
            for c in range(x.shape[1]):
                cells = x[n, c, rows, columns]
                a, b = np.unravel_index(cells.argmax(), cells.shape)
                gx[{image}, c, rows.start + a, columns.start + b] {op} gy[k, c, i, j]
return gx"""

_NORM = """\
mean = x.mean({axis})
std = np.sqrt(((x - mean) ** 2).mean({axis}) + eps)
xhat = (x - mean) / std
leading = tuple(range(x.ndim - 1))
g = gy * gamma
return {gx}, {ggamma}, gy.sum(leading)"""


def _norm(axis: str, gx: str, ggamma: str = "(gy * xhat).sum(leading)") -> str:
    return _NORM.format(axis=axis, gx=gx.format(axis=axis), ggamma=ggamma)


_ROWS, _LAST = "axis=0", "axis=-1, keepdims=True"

_CONVOLUTION = """\
(h, width), (kh, kw) = x.shape[2:], w.shape[2:]
padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
gpadded, gw = np.zeros_like(padded), np.zeros_like(w)
for i in range(gy.shape[2]):
    for j in range(gy.shape[3]):
        rows, columns = slice(i * stride, i * stride + kh), slice(j * stride, j * stride + kw)
        g = gy[:, :, i, j]
        gw += np.einsum("no,ncab->ocab", g, padded[:, :, rows, columns])
        gpadded[:, :, rows, columns] {op} np.einsum("no,ocab->ncab", g, {w})
gx = gpadded[:, :, {start} : {start} + h, {start} : {start} + width]
return gx, {gw}, {gb}"""


def _convolution(
    op: str = "+=", w: str = "w", start: str = "padding", gw: str = "gw", gb: str = "gy.sum(axis=(0, 2, 3))"
) -> str:
    return _CONVOLUTION.format(op=op, w=w, start=start, gw=gw, gb=gb)


WRONG = (
    Wrong("relu", "passed through", "return gy * 1.0", "gradient of x, a matrix", ("mask-missing",)),
    Wrong("relu", "mask of gy", "return gy * (gy > 0)", "gradient of x, a matrix"),
    Wrong("relu", "one at zero", "return gy * (x >= 0)", "some entries are exactly 0"),
    Wrong("sigmoid", "y for its derivative", "return gy * forward(x)", "gradient of x, a matrix"),
    Wrong("sigmoid", "sign", "y = forward(x)\nreturn gy * y * (y - 1)", "gradient of x, a matrix", ("sign-flipped",)),
    Wrong("sigmoid", "incoming gradient forgotten", "y = forward(x)\nreturn y * (1 - y)", "gradient of x, a matrix",
          ("upstream-ignored",)),
    Wrong("sigmoid", "overflow", "e = np.exp(-x)\nreturn gy * e / (1 + e) ** 2", "x as large as 1000"),
    Wrong("dropout", "scale forgotten", "return gy * keep", "gradient of x, p = 0.5",
          ("constant-factor", "missing-factor")),
    Wrong("dropout", "mask forgotten", "return gy / (1 - p)", "gradient of x, another p", ("mask-missing",)),
    Wrong("dropout", "mask of x", "return gy * (x > 0) / (1 - p)", "gradient of x, another p"),
    Wrong("dropout", "scaled by p", "return gy * keep / max(p, 0.1)", "gradient of x, another p"),
    Wrong("linear", "weight transposed", "return gy @ (w.T if w.shape[0] == w.shape[1] else w), gy.T @ x, gy.sum(0)",
          "gradient of x, all sizes equal", ("transposed-weight", "forward-not-adjoint")),
    Wrong("linear", "divided by the batch", "return gy @ w, gy.T @ x / len(x), gy.sum(0)", "gradient of w, any sizes",
          ("divided-too-often", "constant-factor")),
    Wrong("linear", "shape of gw", "return gy @ w, x.T @ gy, gy.sum(0)", "gradient of w, any sizes"),
    Wrong("linear", "bias not summed", "return gy @ w, gy.T @ x, gy[0]", "gradient of b, any sizes"),
    Wrong("linear", "two results", "return gy @ w, gy.T @ x", "gradient of w, any sizes"),
    Wrong("linear", "None", "return None", "gradient of x, any sizes"),
    Wrong("add", "broadcasting ignored", "return gy, gy", "gradient of b, a row, axes missing"),
    Wrong("add", "mean for sum",
          "fold = lambda v: np.broadcast_to(gy.mean(), v.shape) if v.shape != gy.shape else gy\n"
          "return fold(a).copy(), fold(b).copy()", "gradient of b, a column, axis of size 1"),
    Wrong("add", "first slice for the sum",
          "def fold(v):\n    g = gy\n    while g.ndim > v.ndim:\n        g = g[0]\n"
          "    return g[tuple(slice(0, 1) if n == 1 else slice(None) for n in v.shape)].copy()\n"
          "return fold(a), fold(b)", "gradient of b, a row, axes missing"),
    Wrong("embedding", "assigned", "gw = np.zeros_like(w)\ngw[index] = gy\nreturn gw",
          "gradient of w, rows asked for twice",
          ("overwritten-not-accumulated",)),
    Wrong("embedding", "added once", "gw = np.zeros_like(w)\ngw[index] += gy\nreturn gw",
          "gradient of w, rows asked for twice"),
    Wrong("embedding", "counts ignored", "gw = np.zeros_like(w)\nnp.add.at(gw, index, gy)\n"
          "n = np.bincount(index.ravel(), minlength=len(w))\nreturn gw / np.maximum(n, 1)[:, None]",
          "gradient of w, rows asked for twice"),
    Wrong("softmax", "elementwise", "y = forward(x, axis=axis)\nreturn gy * y * (1 - y)", "gradient of x, rows",
          ("coupling-dropped",)),
    Wrong("softmax", "coupling dropped", "y = forward(x, axis=axis)\nreturn gy * y", "gradient of x, rows"),
    Wrong("softmax", "wrong axis", "y = forward(x, axis=axis)\nreturn y * (gy - (gy * y).sum(axis=0, keepdims=True))",
          "gradient of x, rows", ("wrong-axis",)),
    Wrong("softmax", "sum over all",
          "y = forward(x, axis=axis)\nreturn y * (gy - (gy * y).sum())", "gradient of x, rows"),
    Wrong("softmax", "axis forgotten", "y = forward(x, axis=1)\nreturn y * (gy - (gy * y).sum(axis=1, keepdims=True))",
          "gradient of x, columns (axis 0)"),
    Wrong("softmax_cross_entropy", "not divided by N",
          "e = np.exp(x - x.max(1, keepdims=True))\ng = e / e.sum(1, keepdims=True)\n"
          "g[np.arange(len(t)), t] -= 1\nreturn gy * g", "gradient of x, a batch",
          ("mean-not-divided",)),
    Wrong("softmax_cross_entropy", "one-hot forgotten",
          "e = np.exp(x - x.max(1, keepdims=True))\nreturn gy * e / e.sum(1, keepdims=True) / len(t)",
          "gradient of x, a batch"),
    Wrong("softmax_cross_entropy", "sign",
          "e = np.exp(x - x.max(1, keepdims=True))\ng = -e / e.sum(1, keepdims=True)\n"
          "g[np.arange(len(t)), t] += 1\nreturn gy * g / len(t)", "gradient of x, a batch", ("sign-flipped",)),
    Wrong("softmax_cross_entropy", "gy forgotten",
          "e = np.exp(x - x.max(1, keepdims=True))\ng = e / e.sum(1, keepdims=True)\n"
          "g[np.arange(len(t)), t] -= 1\nreturn g / len(t)", "gradient of x, a batch", ("upstream-ignored",)),
    Wrong("softmax_cross_entropy", "overflow",
          "e = np.exp(x)\ng = e / e.sum(1, keepdims=True)\ng[np.arange(len(t)), t] -= 1\nreturn gy * g / len(t)",
          "scores as large as 1000"),
    Wrong("batch_norm", "statistics constant", _norm(_ROWS, "g / std"), "gradient of x, a small batch",
          ("statistic-as-constant",)),
    Wrong("batch_norm", "variance constant", _norm(_ROWS, "(g - g.mean({axis})) / std"), "gradient of x, a small batch",
          ("statistic-as-constant",)),
    Wrong("batch_norm", "gamma forgotten",
          _norm(_ROWS, "(gy - gy.mean({axis}) - xhat * (gy * xhat).mean({axis})) / std"),
          "gradient of x, a larger batch"),
    Wrong("batch_norm", "sum for mean", _norm(_ROWS, "(g - g.sum({axis}) - xhat * (g * xhat).sum({axis})) / std"),
          "gradient of x, a larger batch"),
    Wrong("batch_norm", "x for xhat",
          _norm(_ROWS, "(g - g.mean({axis}) - xhat * (g * xhat).mean({axis})) / std", "(gy * x).sum(leading)"),
          "gradient of gamma, a small batch"),
    Wrong("layer_norm", "statistics constant", _norm(_LAST, "g / std"), "gradient of x, a matrix",
          ("statistic-as-constant",)),
    Wrong("layer_norm", "gamma after the means",
          _norm(_LAST, "gamma * (gy - gy.mean({axis}) - xhat * (gy * xhat).mean({axis})) / std"),
          "gradient of x, a matrix"),
    Wrong("layer_norm", "one leading axis",
          _norm(_LAST, "(g - g.mean({axis}) - xhat * (g * xhat).mean({axis})) / std", "(gy * xhat).sum(0)"),
          "gradient of gamma, three axes"),
    Wrong("convolution_backward", "kernel flipped", _convolution(w="w[:, :, ::-1, ::-1]"),
          "gradient of x, stride 1, no padding", ("kernel-not-flipped",)),
    Wrong("convolution_backward", "assigned", _convolution(op="="), "gradient of x, stride 1, no padding"),
    Wrong("convolution_backward", "border", _convolution(start="0"), "gradient of x, with padding",
          ("off-by-one-shift",)),
    Wrong("convolution_backward", "bias over the batch only", _convolution(gb="gy.sum(axis=0)[:, 0, 0]"),
          "gradient of b, stride 1, no padding"),
    Wrong("convolution_backward", "mean over the batch", _convolution(gw="gw / gy[0, 0].size"),
          "gradient of w, stride 1, no padding"),
    Wrong("avg_pool", "share forgotten", _AVERAGE.format(op="+=", share=""), "gradient of x, windows side by side"),
    Wrong("avg_pool", "side for area",
          _AVERAGE.format(op="+=", share=" / kernel"), "gradient of x, windows side by side"),
    Wrong("avg_pool", "assigned", _AVERAGE.format(op="=", share=" / kernel**2"), "gradient of x, windows that overlap"),
    Wrong("max_pool", "assigned", _POOL.format(op="=", row="i * stride + a", column="j * stride + b"),
          "gradient of x, windows that overlap"),
    Wrong("max_pool", "stride forgotten", _POOL.format(op="+=", row="i + a", column="j + b"),
          "gradient of x, windows side by side"),
    Wrong("max_pool", "swapped", _POOL.format(op="+=", row="i * stride + min(b, 1)", column="j * stride + min(a, 1)"),
          "gradient of x, windows side by side"),
    Wrong("max_pool", "all winners",
          "gx, y = np.zeros_like(x), forward(x, kernel=kernel, stride=stride)\n"
          "for n, c, i, j in np.ndindex(*gy.shape):\n"
          "    p = n, c, slice(i * stride, i * stride + kernel), slice(j * stride, j * stride + kernel)\n"
          "    gx[p] += gy[n, c, i, j] * (x[p] == y[n, c, i, j])\nreturn gx", "several equal maxima"),
    Wrong("roi_pooling", "assigned", _ROI.format(op="=", image="n"), "gradient of x, overlapping boxes"),
    Wrong("roi_pooling", "always image 0", _ROI.format(op="+=", image="0"), "gradient of x, bins that share cells"),
    Wrong("im2col", "not a number", "return 3", "stride 1, no padding"),
    Wrong("im2col", "reshaped only", "n, c, h, w = x.shape\nreturn x.reshape(n, c, h * w)", "stride 1, no padding"),
    Wrong("nms", "keeps all", "return np.argsort(-scores, kind='stable')", "a crowd"),
    Wrong("nms", "raises without boxes",
          "kept = [int(np.argmax(scores))]\nfor i in np.argsort(-scores, kind='stable')[1:]:\n"
          "    if all(overlap(boxes[i], boxes[k]) <= threshold for k in kept):\n        kept.append(int(i))\n"
          "return np.array(kept)", "no boxes"),
    Wrong("iou", "0 / 0", "low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])\n"
          "inner = np.clip(high - low, 0, None).prod(-1)\narea = lambda v: (v[:, 2:] - v[:, :2]).prod(1)\n"
          "return inner / (area(a)[:, None] + area(b) - inner)", "boxes without area"),
    Wrong("sgd_momentum", "writes its argument", "v *= momentum\nv += g\nreturn w - lr * v, v", "a later step"),
)  # fmt: skip
