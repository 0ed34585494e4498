"""Arrays that samplers draw: small shapes, and values that keep away from kinks, ties and poles."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def shape(rng: np.random.Generator, least: int = 1, most: int = 4, largest: int = 4) -> tuple[int, ...]:
    """Between ``least`` and ``most`` axes of sizes 1 to ``largest``."""
    return tuple(int(n) for n in rng.integers(1, largest + 1, rng.integers(least, most + 1)))


def pair(rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast, each with an axis of size 1 where the other is larger, at times with fewer axes."""
    full = tuple(int(n) for n in rng.integers(2, 4, 3))
    narrow = [tuple(1 if rng.random() < 0.4 else n for n in full)[int(rng.integers(0, 3)) :] for _ in range(2)]
    return (full, narrow[0]) if rng.random() < 0.5 else (narrow[1], full)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Normal numbers."""
    return np.asarray(rng.standard_normal(shape))


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Between 0.5 and 2.5."""
    return np.asarray(rng.uniform(0.5, 2.5, shape))


def away(rng: np.random.Generator, shape: tuple[int, ...], *kinks: float) -> Floats:
    """Normal numbers at least 0.05 away from each kink (0 by default)."""
    x = np.asarray(rng.standard_normal(shape) * 1.5)
    for kink in kinks or (0.0,):
        near = np.abs(x - kink) < 0.05
        x = np.where(near, kink + np.where(x < kink, -0.1, 0.1), x)
    return x


def including(x: Floats, *values: float) -> Floats:
    """The same with these values in front, as many as fit: without any of them the derivative might be zero."""
    count = min(x.size, len(values))
    x.flat[:count] = values[:count]
    return x


def distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Numbers of both signs at least 0.05 apart from each other and from 0."""
    n = int(np.prod(shape))
    return ((rng.permutation(n) - n // 2) * 0.1 + rng.uniform(0.02, 0.07, n)).reshape(shape)


def crossing(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Two such arrays; in the first row and in the first column of their last two axes each is the larger somewhere."""
    x = distinct(rng, (2, *shape))
    for a, b, sign in ((0, 0, 1), (0, 1, -1), (1, 0, -1)):
        x[..., a, b] = sign * np.sort(sign * x[..., a, b], axis=0)
    return x


def integers(rng: np.random.Generator, high: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Int64 from 0 to ``high`` - 1."""
    return rng.integers(0, high, shape)
