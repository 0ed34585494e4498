"""What the exercises on windows share: how many windows fit, and draws of images."""

from __future__ import annotations

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.exercises.exercise import normal, sizes


def output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """How many windows fit along one axis.

    Examples
    --------
    >>> from minicnn.testing.exercises.windows import output_size
    >>> output_size(5, kernel=3, stride=2, padding=1)
    3
    """
    return (size + 2 * padding - kernel) // stride + 1


def image(rng: np.random.Generator, *, least: int = 3, most: int = 5, channels: int = 2) -> Array:
    """An image batch (N, C, H, W); height and width differ, so that swapping them shows."""
    n, c, h = sizes(rng, (1, 2), (1, channels), (least, most))
    w = h + int(rng.choice([-1, 1])) if h > least else h + 1
    return normal(rng, (n, c, h, w))
