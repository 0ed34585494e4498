"""Reading and adding at indices, one at a time."""

import numpy as np


def _places(index: np.ndarray, dim: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    pairs = []
    for place in np.ndindex(*index.shape):
        source = list(place)
        if source:
            source[dim] = int(index[place])
        pairs.append((place, tuple(source)))
    return pairs


def gather(x: np.ndarray, dim: int, index: np.ndarray) -> np.ndarray:
    y = np.empty(index.shape)
    for place, source in _places(index, dim):
        y[place] = x[source]
    return y


def scatter_add(x: np.ndarray, dim: int, index: np.ndarray, src: np.ndarray) -> np.ndarray:
    y = x.copy()
    for place, target in _places(index, dim):
        y[target] += src[place]
    return y


def scatter(x: np.ndarray, dim: int, index: np.ndarray, src: np.ndarray | float) -> np.ndarray:
    y = x.copy()
    for place, target in _places(index, dim):
        y[target] = src[place] if isinstance(src, np.ndarray) else src
    return y


def take(x: np.ndarray, index: np.ndarray) -> np.ndarray:
    numbers = x.reshape(-1).tolist()
    return np.array([numbers[i] for i in index.reshape(-1)]).reshape(index.shape)


def scatter_flat(x: np.ndarray, index: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    y = np.zeros(shape)
    for value, i in zip(x.reshape(-1), index.reshape(-1), strict=True):
        y[np.unravel_index(i, shape)] += value
    return y


def index_select(x: np.ndarray, dim: int, index: np.ndarray) -> np.ndarray:
    rows = list(np.moveaxis(x, dim, 0))
    return np.moveaxis(np.array([rows[i] for i in index]), 0, dim)


def embedding(index: np.ndarray, weight: np.ndarray, padding_idx=None) -> np.ndarray:
    return np.array([weight[i] for i in index.reshape(-1)]).reshape(*index.shape, weight.shape[1])


def one_hot(index: np.ndarray, num_classes: int) -> np.ndarray:
    y = np.zeros((*index.shape, num_classes))
    for place in np.ndindex(*index.shape):
        y[(*place, int(index[place]))] = 1
    return y
