"""What an exercise is: a function whose body the student writes, what is given, and what must hold of the answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn.core.types import Array
from minicnn.testing.cases.case import Sample, Sampler

Function = Callable[..., Any]


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer: if the student's results equal its results, this is what went wrong.

    Parameters
    ----------
    sentence : str
        What the student did: "the kernel was flipped".
    hint : int
        The hint to reread, from 1.
    function : callable
        The wrong answer, called like the right one.
    """

    sentence: str
    hint: int
    function: Function


@dataclass(frozen=True)
class Exercise:
    """One function to write.

    Its body stands between ``# begin solution`` and ``# end solution`` in the source of ``solution``; the student's
    file is made from that source, so that there is one text of it.

    Parameters
    ----------
    name, title : str
        ``softmax``; "The gradient of softmax".
    difficulty : int
        From 1 (one line, one idea) to 5 (several gradients, index arithmetic).
    task : str
        What is computed, with formula and shapes; first thing in the student's file.
    solution : callable
        The right answer. In a gradient exercise ``backward(gy, *inputs, **options)``, returning the gradient of each
        of ``gradients``; otherwise any function of arrays and options.
    hints : tuple of str
        The derivation, each step telling more than the one before.
    cases : dict of str to sampler
        Situations, each graded on several draws of its own: "stride 2", "one channel".
    forward : callable or None
        The function whose gradient is asked for; None if no gradient is.
    gradients : tuple of str
        Which arguments of ``forward`` get a gradient, in the order of the answer.
    oracle : callable or None
        Computes independently and naively what ``solution`` returns; required without ``forward``.
    edges : dict of str to sampler
        Situations of a gradient exercise that no derivative decides (ties, zeros, values that overflow): the answer
        is compared with the solution's.
    given : tuple of callable
        Functions shown to the student, in this order; with their text, not as imports.
    mistakes : tuple of Mistake
    reread : dict of str to int
        The hint for a cause of the catalogue, a gradient's name or a case's name; the last hint for all others.
    prerequisites : tuple of str
        Names of exercises, or topics, to have understood before.
    reference : str
        Where the derivation can be read.
    """

    name: str
    title: str
    difficulty: int
    task: str
    solution: Function
    hints: tuple[str, ...]
    cases: dict[str, Sampler]
    forward: Function | None = None
    gradients: tuple[str, ...] = ()
    oracle: Function | None = None
    edges: dict[str, Sampler] = field(default_factory=dict)
    given: tuple[Function, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    reread: dict[str, int] = field(default_factory=dict)
    prerequisites: tuple[str, ...] = ()
    reference: str = ""

    @property
    def function(self) -> str:
        """Name of the function that the student writes."""
        return self.solution.__name__

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the positional arguments; without the incoming gradient."""
        parameters = inspect.signature(self.solution).parameters.values()
        names = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
        return names[1:] if self.forward else names

    def hint(self, *keys: str) -> int:
        """Number of the hint to reread: that of the first key known, else the last."""
        return next((self.reread[key] for key in keys if key in self.reread), len(self.hints))

    def arguments(self, sample: Sample, rng: np.random.Generator) -> tuple[Any, ...]:
        """The positional arguments of the answer: the inputs, after an incoming gradient where one is needed."""
        if self.forward is None:
            return sample.args
        y = np.asarray(self.forward(*sample.args, **sample.kwargs))
        return (normal(rng, y.shape), *sample.args)


def steps(text: str) -> tuple[str, ...]:
    """Hints from a text: a blank line stands between one and the next.

    Examples
    --------
    >>> from minicnn.testing.exercises.exercise import steps
    >>> blank = chr(10) * 2
    >>> steps("a sum of squares" + blank + "its root")
    ('a sum of squares', 'its root')
    """
    return tuple(text.split("\n\n"))


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard normal numbers, rounded to two decimals so that a small draw can be printed in full."""
    return np.round(rng.normal(size=shape), 2)


def sizes(rng: np.random.Generator, *limits: tuple[int, int]) -> tuple[int, ...]:
    """One whole number from each closed range.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.testing.exercises.exercise import sizes
    >>> sizes(np.random.default_rng(0), (2, 2), (5, 5))
    (2, 5)
    """
    return tuple(int(rng.integers(low, high + 1)) for low, high in limits)


def apart(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Numbers of both signs that differ from each other and from zero by at least 0.05."""
    n = int(np.prod(shape))
    return np.round(0.05 * (rng.permutation(n) - n // 2) + 0.025, 3).reshape(shape)
