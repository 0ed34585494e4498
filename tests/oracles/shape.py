"""Padding, tiling, rolling and joining, place by place."""

import numpy as np


def roll(x: np.ndarray, shifts: int | tuple[int, ...], dims: tuple[int, ...] | None = None) -> np.ndarray:
    if dims is None:
        return roll(x.reshape(-1), (shifts,), (0,)).reshape(x.shape)  # type: ignore[arg-type]
    y = np.empty_like(x)
    for place in np.ndindex(*x.shape):
        target = list(place)
        for shift, dim in zip(shifts, dims, strict=True):  # type: ignore[arg-type]
            target[dim] = (target[dim] + shift) % x.shape[dim]
        y[tuple(target)] = x[place]
    return y


def tile(x: np.ndarray, dims: int | tuple[int, ...]) -> np.ndarray:
    times = (dims,) if isinstance(dims, int) else dims
    times = (1,) * (x.ndim - len(times)) + times
    x = x.reshape((1,) * (len(times) - x.ndim) + x.shape)
    y = np.empty([t * n for t, n in zip(times, x.shape, strict=True)])
    for place in np.ndindex(*y.shape):
        y[place] = x[tuple(p % n for p, n in zip(place, x.shape, strict=True))]
    return y


repeat = tile


def sum_to(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    y = np.zeros(shape)
    for place in np.ndindex(*x.shape):
        y[tuple(0 if n == 1 else p for p, n in zip(place[x.ndim - len(shape) :], shape, strict=True))] += x[place]
    return y


def cat(arrays: list[np.ndarray], dim: int = 0) -> np.ndarray:
    rows = [row for x in arrays for row in np.moveaxis(x, dim, 0)]
    return np.moveaxis(np.array(rows), 0, dim)


def pad(x: np.ndarray, pad: tuple[int, ...], mode: str = "constant", value: float = 0.0) -> np.ndarray:
    widths = [(0, 0)] * x.ndim
    for i in range(len(pad) // 2):
        widths[x.ndim - 1 - i] = (pad[2 * i], pad[2 * i + 1])
    y = np.empty([n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)])
    for place in np.ndindex(*y.shape):
        source = [_source(p - a, n, mode) for p, (a, _), n in zip(place, widths, x.shape, strict=True)]
        y[place] = value if None in source else x[tuple(source)]  # type: ignore[arg-type]
    return y


def _source(p: int, n: int, mode: str) -> int | None:
    if 0 <= p < n:
        return p
    if mode == "constant":
        return None
    if mode == "reflect":
        return -p if p < 0 else 2 * (n - 1) - p
    return min(max(p, 0), n - 1) if mode == "replicate" else p % n
