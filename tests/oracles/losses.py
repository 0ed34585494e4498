"""Losses as scalar loops over elements; NumPy holds the numbers only."""

import math

import numpy as np


def _log_softmax(row):
    top = max(row)
    total = math.log(math.fsum(math.exp(v - top) for v in row))
    return [v - top - total for v in row]


def cross_entropy(x, labels, weight=None, ignore_index=-100, label_smoothing=0.0):
    """Loss of each position and the weight it counts with."""
    x = np.moveaxis(x, 1, -1)
    classes = x.shape[-1]
    w = [1.0] * classes if weight is None else list(weight)
    losses, counts = np.zeros(labels.shape), np.zeros(labels.shape)
    for at in np.ndindex(labels.shape):
        y = int(labels[at])
        if y == ignore_index:
            continue
        logs = _log_softmax([float(v) for v in x[at]])
        smooth = -sum(w[c] * logs[c] for c in range(classes)) / classes
        losses[at] = (1 - label_smoothing) * -w[y] * logs[y] + label_smoothing * smooth
        counts[at] = w[y]
    return losses, counts


def elementwise(formula, *arrays):
    """The formula at every element."""
    out = np.zeros(arrays[0].shape)
    for at in np.ndindex(out.shape):
        out[at] = formula(*[float(a[at]) for a in arrays])
    return out


def smooth_l1(x, t, beta):
    d = abs(x - t)
    return 0.5 * d * d / beta if d < beta else d - 0.5 * beta


def huber(x, t, delta):
    d = abs(x - t)
    return 0.5 * d * d if d <= delta else delta * (d - 0.5 * delta)


def bce(x, t):
    yes = max(math.log(x), -100) if x > 0 else -100
    no = max(math.log(1 - x), -100) if x < 1 else -100
    return -(t * yes + (1 - t) * no)


def bce_logits(z, t):
    return max(z, 0) - z * t + math.log1p(math.exp(-abs(z)))


def multi_margin(x, labels, p, margin):
    out = np.zeros(len(labels))
    for n, y in enumerate(labels):
        for i in range(x.shape[1]):
            if i != y:
                out[n] += max(0.0, margin - x[n, y] + x[n, i]) ** p / x.shape[1]
    return out


def squared_distance(x, codes):
    out = np.zeros((len(x), len(codes)))
    for n in range(len(x)):
        for k in range(len(codes)):
            out[n, k] = sum((float(x[n, j]) - float(codes[k, j])) ** 2 for j in range(x.shape[1]))
    return out


def lenet5_loss(distances, labels, j):
    """Equation 9 of LeCun et al. 1998, for each sample."""
    pairs = zip(distances, labels, strict=True)
    return np.array([row[y] + math.log(math.exp(-j) + sum(math.exp(-v) for v in row)) for row, y in pairs])
