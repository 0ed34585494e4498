"""Names for what flows through the engine."""

from typing import Any, TypeAlias

Array: TypeAlias = Any  # a raw array of the tensor's device: numpy.ndarray, or cupy.ndarray
Shape: TypeAlias = tuple[int, ...]
Ints: TypeAlias = int | tuple[int, ...] | list[int]
Pair: TypeAlias = int | tuple[int, int] | list[int]
