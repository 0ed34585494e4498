"""Elementwise functions one number at a time, through Python's math module."""

import math
from collections.abc import Callable

import numpy as np


def _each(f: Callable[..., float]) -> Callable[..., np.ndarray]:
    def oracle(*arrays: np.ndarray) -> np.ndarray:
        together = np.broadcast_arrays(*arrays)
        values = [f(*numbers) for numbers in zip(*[a.reshape(-1).tolist() for a in together], strict=True)]
        return np.array(values).reshape(together[0].shape)

    return oracle


exp, expm1, log, log1p = _each(math.exp), _each(math.expm1), _each(math.log), _each(math.log1p)
sqrt, sin, cos, tan, atan, erf = (_each(f) for f in (math.sqrt, math.sin, math.cos, math.tan, math.atan, math.erf))
rsqrt = _each(lambda x: 1 / math.sqrt(x))
square = _each(lambda x: x * x)
reciprocal = _each(lambda x: 1 / x)
neg = _each(lambda x: -x)
sign = _each(lambda x: (x > 0) - (x < 0))
floor, ceil, trunc = _each(math.floor), _each(math.ceil), _each(math.trunc)
mul = _each(lambda a, b: a * b)
div = _each(lambda a, b: a / b)
remainder = _each(lambda a, b: a % b)
floor_divide = _each(lambda a, b: a // b)  # of the exact quotient, which a / b rounds
pow = _each(lambda a, b: a**b)
maximum = _each(lambda a, b: max(b, a))
minimum = _each(lambda a, b: min(b, a))
where = _each(lambda c, a, b: a if c else b)
lerp = _each(lambda a, b, w: (1 - w) * a + w * b)
eq, ne = _each(lambda a, b: a == b), _each(lambda a, b: a != b)
lt, le = _each(lambda a, b: a < b), _each(lambda a, b: a <= b)
gt, ge = _each(lambda a, b: a > b), _each(lambda a, b: a >= b)
isnan, isinf, isfinite = _each(math.isnan), _each(math.isinf), _each(math.isfinite)


def add(a: np.ndarray, b: np.ndarray, alpha: float = 1) -> np.ndarray:
    return _each(lambda x, y: x + alpha * y)(a, b)


def sub(a: np.ndarray, b: np.ndarray, alpha: float = 1) -> np.ndarray:
    return _each(lambda x, y: x - alpha * y)(a, b)


def clamp(x: np.ndarray, min: np.ndarray | None = None, max: np.ndarray | None = None) -> np.ndarray:
    low, high = -math.inf if min is None else min, math.inf if max is None else max
    return _each(lambda *three: sorted(three)[1])(x, low, high)  # the median: low <= high
