"""Reductions by Python loops over the numbers that meet in each result."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def _over(f: Callable[[list[float]], float], x: np.ndarray, dim: Any, keepdim: bool) -> np.ndarray:
    axes = tuple(range(x.ndim)) if dim is None else tuple(d % x.ndim for d in np.atleast_1d(dim))
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    groups: dict[tuple[int, ...], list[float]] = {}
    for place in np.ndindex(*x.shape):
        groups.setdefault(tuple(0 if i in axes else p for i, p in enumerate(place)), []).append(float(x[place]))
    y = np.empty(kept)
    for place, numbers in groups.items():
        y[place] = f(numbers)
    return y if keepdim else y.reshape([n for i, n in enumerate(x.shape) if i not in axes])


def sum(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> np.ndarray:
    return _over(math.fsum, x, dim, keepdim)


def mean(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> np.ndarray:
    return _over(lambda v: math.fsum(v) / len(v), x, dim, keepdim)


def amax(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> np.ndarray:
    return _over(max_of, x, dim, keepdim)


def amin(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> np.ndarray:
    return _over(lambda v: -max_of([-n for n in v]), x, dim, keepdim)


def max_of(numbers: list[float]) -> float:
    best = numbers[0]
    for n in numbers:
        best = max(best, n)
    return best


def prod(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> np.ndarray:
    return _over(math.prod, x, dim, keepdim)


def var(
    x: np.ndarray, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, correction: float = 1
) -> np.ndarray:
    c = correction if unbiased is None else int(unbiased)

    def one(numbers: list[float]) -> float:
        center = math.fsum(numbers) / len(numbers)
        return math.fsum((n - center) ** 2 for n in numbers) / (len(numbers) - c)

    return _over(one, x, dim, keepdim)


def std(x: np.ndarray, *args: Any, **options: Any) -> np.ndarray:
    return np.sqrt(var(x, *args, **options))


def norm(x: np.ndarray, p: float = 2, dim: Any = None, keepdim: bool = False) -> np.ndarray:
    def one(numbers: list[float]) -> float:
        sizes = [abs(n) for n in numbers]
        if p == 0:
            return len([n for n in sizes if n])
        if math.isinf(p):
            return max_of(sizes) if p > 0 else -max_of([-n for n in sizes])
        return math.fsum(n**p for n in sizes) ** (1 / p)

    return _over(one, x, dim, keepdim)


def cumsum(x: np.ndarray, dim: int) -> np.ndarray:
    y = x.copy()
    if x.ndim:
        rows = np.moveaxis(y, dim, 0)
        for i in range(1, len(rows)):
            rows[i] = rows[i] + rows[i - 1]
    return y


def _first_best(row: np.ndarray, sign: int) -> int:
    best = 0
    for i, n in enumerate(row):
        best = i if sign * n > sign * row[best] else best
    return best


def argmax(x: np.ndarray, dim: int | None = None, keepdim: bool = False, sign: int = 1) -> np.ndarray:
    if dim is None:
        return np.array(_first_best(x.reshape(-1), sign))
    y = np.apply_along_axis(lambda row: np.array(_first_best(row, sign)), dim, x)
    return np.expand_dims(y, dim) if keepdim else y


def argmin(x: np.ndarray, dim: int | None = None, keepdim: bool = False) -> np.ndarray:
    return argmax(x, dim, keepdim, -1)


def sort(x: np.ndarray, dim: int = -1, descending: bool = False) -> tuple[np.ndarray, np.ndarray]:
    index = argsort(x, dim, descending)
    return np.take_along_axis(x, index, dim), index


def argsort(x: np.ndarray, dim: int = -1, descending: bool = False) -> np.ndarray:
    sign = -1 if descending else 1
    return np.apply_along_axis(lambda row: np.array(sorted(range(len(row)), key=lambda i: sign * row[i])), dim, x)


def topk(x: np.ndarray, k: int, dim: int = -1, largest: bool = True) -> tuple[np.ndarray, np.ndarray]:
    values, index = sort(x, dim, largest)
    return np.take(values, range(k), dim), np.take(index, range(k), dim)
