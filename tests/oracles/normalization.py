"""Naive normalisation: explicit loops over statistics, NumPy only."""

import numpy as np


def standardize(block, eps):
    mean = sum(float(v) for v in block.ravel()) / block.size
    var = sum((float(v) - mean) ** 2 for v in block.ravel()) / block.size
    return (block - mean) / np.sqrt(var + eps), mean, var


def batch_norm(x, weight=None, bias=None, eps=1e-5):
    y, means, variances = np.empty_like(x), [], []
    for c in range(x.shape[1]):
        hat, mean, var = standardize(x[:, c], eps)
        y[:, c] = hat * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
        means.append(mean)
        variances.append(var)
    return y, np.array(means), np.array(variances)


def batch_norm_eval(x, mean, var, weight=None, bias=None, eps=1e-5):
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        hat = (x[:, c] - mean[c]) / np.sqrt(var[c] + eps)
        y[:, c] = hat * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
    return y


def layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
    rows = x.reshape(-1, *shape)
    out = [standardize(row, eps)[0] * (1 if weight is None else weight) + (0 if bias is None else bias) for row in rows]
    return np.array(out).reshape(x.shape)


def group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    y = np.empty_like(x)
    per = x.shape[1] // groups
    for n in range(x.shape[0]):
        for g in range(groups):
            part = slice(g * per, (g + 1) * per)
            y[n, part] = standardize(x[n, part], eps)[0]
    for c in range(x.shape[1]):
        y[:, c] = y[:, c] * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
    return y


def instance_norm(x, weight=None, bias=None, eps=1e-5):
    return group_norm(x, x.shape[1], weight, bias, eps)


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0, alpha_over_n=True):
    y = np.empty_like(x)
    share = alpha / size if alpha_over_n else alpha
    for c in range(x.shape[1]):
        energy = np.zeros_like(x[:, c])
        for j in range(c - size // 2, c + (size - 1) // 2 + 1):
            if 0 <= j < x.shape[1]:
                energy += x[:, j] ** 2
        y[:, c] = x[:, c] / (k + share * energy) ** beta
    return y


def _window_mean(x, size, sigma):
    """x (C, H, W) -> (H, W): weighted mean over channels and the part of the window inside the map."""
    channels, height, width = x.shape
    half = size // 2
    out = np.empty((height, width))
    for i in range(height):
        for j in range(width):
            total = weights = 0.0
            for p in range(-half, half + 1):
                for q in range(-half, half + 1):
                    if 0 <= i + p < height and 0 <= j + q < width:
                        w = np.exp(-(p * p + q * q) / (2 * sigma**2))
                        for c in range(channels):
                            total += w * x[c, i + p, j + q]
                            weights += w
            out[i, j] = total / weights
    return out


def local_contrast_norm(x, size=7, sigma=1.75, eps=1e-8):
    y = np.empty_like(x)
    for n in range(len(x)):
        v = x[n] - _window_mean(x[n], size, sigma)
        deviation = np.sqrt(_window_mean(v * v, size, sigma))
        y[n] = v / np.maximum(np.maximum(deviation, deviation.mean()), eps)
    return y


def normalize(x, p=2.0, axis=1, eps=1e-12):
    return x / np.maximum(np.linalg.norm(x, ord=p, axis=axis, keepdims=True), eps)
