"""Activation functions from their textbook formulas, one number at a time."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def _map(f: Callable[[float], float], x: np.ndarray) -> np.ndarray:
    return np.array([f(v) for v in x.reshape(-1).tolist()]).reshape(x.shape)


def relu(x: np.ndarray) -> np.ndarray:
    return _map(lambda v: v if v > 0 else 0.0, x)


def relu6(x: np.ndarray) -> np.ndarray:
    return _map(lambda v: min(max(v, 0.0), 6.0), x)


def leaky_relu(x: np.ndarray, negative_slope: float = 0.01) -> np.ndarray:
    return _map(lambda v: v if v > 0 else negative_slope * v, x)


def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return _map(lambda v: v if v > 0 else alpha * (math.exp(v) - 1), x)


def hardtanh(x: np.ndarray, min_val: float = -1.0, max_val: float = 1.0) -> np.ndarray:
    return _map(lambda v: min(max(v, min_val), max_val), x)


def prelu(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    y = x.copy()
    for place in np.ndindex(*x.shape):
        channel = place[1] if len(place) > 1 and len(weight) > 1 else 0
        if y[place] <= 0:
            y[place] *= weight[channel]
    return y


def sigmoid(x: np.ndarray) -> np.ndarray:
    return _map(lambda v: 1 / (1 + math.exp(-v)), x)


def logsigmoid(x: np.ndarray) -> np.ndarray:
    return _map(lambda v: -math.log(1 + math.exp(-v)), x)


def tanh(x: np.ndarray) -> np.ndarray:
    return _map(math.tanh, x)


def scaled_tanh(x: np.ndarray) -> np.ndarray:
    return _map(lambda v: 1.7159 * math.tanh(2 * v / 3), x)


def softplus(x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    return _map(lambda v: v if beta * v > threshold else math.log(1 + math.exp(beta * v)) / beta, x)


def silu(x: np.ndarray) -> np.ndarray:
    return _map(lambda v: v / (1 + math.exp(-v)), x)


def gelu(x: np.ndarray, approximate: str = "none") -> np.ndarray:
    if approximate == "tanh":
        return _map(lambda v: v / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))), x)
    return _map(lambda v: v / 2 * math.erfc(-v / math.sqrt(2)), x)


def softmax(x: np.ndarray, dim: int) -> np.ndarray:
    def one(row: Any) -> Any:
        e = [math.exp(v) for v in row]
        return np.array([v / math.fsum(e) for v in e])

    return np.apply_along_axis(one, dim, x) if x.ndim else np.array(1.0)


def log_softmax(x: np.ndarray, dim: int) -> np.ndarray:
    return np.log(softmax(x, dim))


def logsumexp(x: np.ndarray, dim: int | tuple[int, ...], keepdim: bool = False) -> np.ndarray:
    return np.log(np.sum(np.exp(x), axis=dim, keepdims=keepdim))
