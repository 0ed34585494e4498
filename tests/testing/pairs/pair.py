"""One plain NumPy function with a hand-written rule, and what a checker ought to say about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Inputs = Callable[[np.random.Generator], list[Any]]

PASS = frozenset({"PASS"})
FAIL = frozenset({"FAIL"})
KINK = frozenset({"NONDIFFERENTIABLE"})
#: Right, but rounding may leave too little to conclude from.
ROUGH = frozenset({"PASS", "INCONCLUSIVE"})
#: Right and smooth here, with a kink so close that naming it is as good.
CLOSE = frozenset({"PASS", "NONDIFFERENTIABLE"})


@dataclass(frozen=True)
class Pair:
    """A function, a rule for its gradient, and the truth about them.

    Parameters
    ----------
    name : str
        Unique among all pairs.
    kind : str
        ``right``, ``wrong``, ``edge`` or ``vacuous``.
    f : callable
        ``f(*inputs, **kwargs)``: an array, a Python float, or a tuple of arrays.
    backward : callable
        ``backward(gy, *inputs, **kwargs)``: one gradient or None, or a tuple or list of them, one per input.
    inputs : callable
        Takes a generator and returns the inputs; the truth holds for every draw.
    kwargs : mapping
        Passed to both.
    cause : str or tuple of str
        Identifiers of the catalogue, each of which names the fault; empty where nothing is wrong.
    expected : frozenset of str
        The acceptable verdicts.
    vacuous : bool
        Whether the report must carry the flag. It means nothing for pairs of the kind ``wrong``.
    note : str
        What is hard or wrong about it.
    """

    name: str
    kind: str
    f: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: Inputs
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    cause: str | tuple[str, ...] = ()
    expected: frozenset[str] = PASS
    vacuous: bool = False
    note: str = ""

    @property
    def causes(self) -> tuple[str, ...]:
        return (self.cause,) if isinstance(self.cause, str) else self.cause

    def __str__(self) -> str:
        return self.name


def normal(*shapes: tuple[int, ...], scale: float = 1.0, shift: float = 0.0) -> Inputs:
    return lambda rng: [shift + scale * rng.standard_normal(s) for s in shapes]


def uniform(low: float, high: float, *shapes: tuple[int, ...]) -> Inputs:
    return lambda rng: [rng.uniform(low, high, s) for s in shapes]


def away(*shapes: tuple[int, ...], gap: float = 0.1) -> Inputs:
    """Values of both signs, none nearer to zero than ``gap``."""

    def draw(rng: np.random.Generator) -> list[Any]:
        return [rng.uniform(gap, 1.5, s) * rng.choice([-1.0, 1.0], s) for s in shapes]

    return draw


def apart(shape: tuple[int, ...], gap: float = 0.1, shift: float = 0.0) -> Inputs:
    """Distinct values, in random order, ``gap`` apart and centred on ``shift``."""

    def draw(rng: np.random.Generator) -> list[Any]:
        n = int(np.prod(shape))
        values = gap * (np.arange(n) - (n - 1) / 2 + rng.uniform(-0.2, 0.2, n))
        return [shift + rng.permutation(values).reshape(shape)]

    return draw


def fixed(*arrays: Any) -> Inputs:
    """The same values at every draw, in new arrays."""
    return lambda _: [np.array(a, dtype=np.float64) for a in arrays]
