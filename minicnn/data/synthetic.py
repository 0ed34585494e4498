"""Data drawn from a formula (catalogue entry D20): points in the plane, and scenes of simple shapes.

Everything is a function of the seed: the same seed gives the same bytes on every machine.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.core import checks
from minicnn.core.rng import Stream
from minicnn.data.dataset import ArrayDataset, position

Points = NDArray[np.float64]


def _halves(op: str, n: int) -> NDArray[np.int64]:
    """Labels 0, 1, 0, 1, ...: classes of equal size, one item more in class 0 where ``n`` is odd."""
    if n < 2:
        raise checks.value_error(op, f"n must be at least 2, got {n}")
    return np.arange(n) % 2


def _points(x: Points, y: NDArray[np.int64]) -> ArrayDataset:
    return ArrayDataset(x.astype(np.float32), y)


def blobs(n: int = 200, *, margin: float = 0.5, spread: float = 1.0, seed: int = 0) -> ArrayDataset:
    """Two linearly separable clouds with a gap of at least ``margin`` between them.

    ``x = s (margin/2 + |a| spread) u + b spread v`` with s = -1, +1, normal a and b, and a random direction
    u.

    Parameters
    ----------
    n : int
        Number of points; the classes alternate.
    margin : float
        Least distance between the classes along u (float32 rounding aside).
    spread : float
        Standard deviation.
    seed : int

    Returns
    -------
    ArrayDataset of (point float32 (2,), label int64 0 or 1)
    """
    y = _halves("blobs", n)
    stream = Stream(seed, "blobs")
    angle = 2 * np.pi * float(stream.uniform())
    u = np.array([np.cos(angle), np.sin(angle)])
    a, b = stream.normal((2, n))
    along = (2 * y - 1) * (margin / 2 + spread * np.abs(a))
    return _points(along[:, None] * u + (spread * b)[:, None] * np.array([-u[1], u[0]]), y)


def moons(n: int = 200, *, noise: float = 0.1, seed: int = 0) -> ArrayDataset:
    """Two half circles that reach into each other, with normal noise.

    Parameters and result as in :func:`blobs`; ``noise`` is the standard deviation.
    """
    y = _halves("moons", n)
    stream = Stream(seed, "moons")
    t = np.pi * stream.uniform(n)
    upper, lower = np.stack([np.cos(t), np.sin(t)], 1), np.stack([1 - np.cos(t), 0.5 - np.sin(t)], 1)
    return _points(np.where(y[:, None] == 0, upper, lower) + noise * stream.normal((n, 2)), y)


def rings(n: int = 200, *, noise: float = 0.05, radius: float = 0.5, seed: int = 0) -> ArrayDataset:
    """A circle of ``radius`` (class 1) inside the unit circle (class 0), with normal noise.

    Parameters and result as in :func:`blobs`.
    """
    y = _halves("rings", n)
    stream = Stream(seed, "rings")
    t = 2 * np.pi * stream.uniform(n)
    circle = np.where(y == 0, 1.0, radius)[:, None] * np.stack([np.cos(t), np.sin(t)], 1)
    return _points(circle + noise * stream.normal((n, 2)), y)


def xor(n: int = 200, *, gap: float = 0.1, seed: int = 0) -> ArrayDataset:
    """Uniform points of the square [-1, 1]^2; class 1 where the signs of the coordinates differ.

    Parameters and result as in :func:`blobs`; no point is closer than ``gap`` to an axis.
    """
    y = _halves("xor", n)
    if not 0 <= gap < 1:
        raise checks.value_error("xor", f"gap must be in [0, 1), got {gap}")
    stream = Stream(seed, "xor")
    size = gap + (1 - gap) * stream.uniform((n, 2))
    first = np.where(stream.uniform(n) < 0.5, -1.0, 1.0)
    return _points(size * np.stack([first, np.where(y == 1, -first, first)], 1), y)


SHAPES = ("circle", "square", "triangle")
STUFF = ("sky", "ground")


class shapes:  # noqa: N801 -- read like the functions above: shapes(100)
    """Scenes of circles, squares and triangles on noise, with every annotation that detection and
    segmentation need.

    Parameters
    ----------
    n : int
        Number of scenes.
    size : int
        Side of the square image, at least 48.
    seed : int

    Notes
    -----
    Item ``i`` is ``(image, target)``: image uint8 (3, size, size), target a dict of ``boxes`` float32 (k,
    4) as (x1, y1, x2, y2), the tight bounds of the visible masks; ``labels`` int64 (k,) into ``SHAPES``;
    ``masks`` bool (k, size, size), disjoint (nearer objects hide farther ones); ``semantic`` int64 (size,
    size) into ``STUFF + SHAPES``; ``panoptic`` int64 (size, size), 0 sky, 1 ground, 2 + j object j. 1 to 4
    objects of 12 to 40 pixels. An item depends on seed and index only. Batches need a ``collate_fn``.
    """

    def __init__(self, n: int, *, size: int = 64, seed: int = 0) -> None:
        if n < 0 or size < 48:
            raise checks.value_error("shapes", "expected n >= 0 and size >= 48", n=n, size=size)
        self.n, self.size, self.seed = n, size, seed

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], dict[str, NDArray[Any]]]:
        stream = Stream(self.seed, "shapes", position("shapes", index, self.n) << 8)
        size = self.size
        y, x = np.mgrid[:size, :size] + 0.5
        horizon = size * (0.3 + 0.4 * float(stream.uniform()))
        panoptic = (y >= horizon).astype(np.int64)
        colours = list(stream.uniform((2, 3)) * 0.4 + 0.3)
        labels: list[int] = []
        for j in range(int(stream.integers(1, 5))):
            label = int(stream.integers(0, len(SHAPES)))
            side, across, down = stream.uniform(3)
            half = (12 + 28 * side) / 2
            cx, cy = half + (size - 2 * half) * across, half + (size - 2 * half) * down
            panoptic[_FIGURES[label](x - cx, y - cy, half)] = 2 + j
            labels.append(label)
            colours.append(stream.uniform(3))
        present = [j for j in range(len(labels)) if (panoptic == 2 + j).any()]  # one may be hidden completely
        renumber = np.zeros(2 + len(labels), np.int64)
        renumber[[0, 1, *(2 + j for j in present)]] = np.arange(2 + len(present))
        image = np.stack(colours)[panoptic].transpose(2, 0, 1) + 0.08 * stream.normal((3, size, size))
        panoptic = renumber[panoptic]
        kept = np.array([labels[j] for j in present], np.int64)
        masks = panoptic == 2 + np.arange(len(kept))[:, None, None]
        semantic = np.concatenate([[0, 1], 2 + kept])[panoptic]
        target = {
            "boxes": _bounds(masks),
            "labels": kept,
            "masks": masks,
            "semantic": semantic,
            "panoptic": panoptic,
        }
        return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8), target


def _circle(x: Points, y: Points, half: float) -> NDArray[np.bool_]:
    return x * x + y * y <= half * half


def _square(x: Points, y: Points, half: float) -> NDArray[np.bool_]:
    return np.maximum(np.abs(x), np.abs(y)) <= half


def _triangle(x: Points, y: Points, half: float) -> NDArray[np.bool_]:
    return (y <= half) & (2 * np.abs(x) <= y + half)


_FIGURES: tuple[Callable[[Points, Points, float], NDArray[np.bool_]], ...] = (_circle, _square, _triangle)


def _bounds(masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Tight boxes (x1, y1, x2, y2) of masks, continuous coordinates: a single pixel is 1 wide."""
    boxes = np.empty((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes
