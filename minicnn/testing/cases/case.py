"""What a case is: an op's name, a sampler of its inputs and options, and what is promised about its gradient."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: Every case by its id, ``op`` or ``op/variant``. Complete after :func:`all_cases`.
CASES: dict[str, Case] = {}

Sampler = Callable[[np.random.Generator], "Sample"]


@dataclass(frozen=True)
class Sample:
    """One draw: the arguments of a call, as NumPy arrays (which become Tensors) and plain Python values.

    Parameters
    ----------
    args : tuple
        Positional arguments. Arrays, also inside lists and tuples, become Tensors; anything else is passed on.
    kwargs : dict
        Keyword arguments, treated alike.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One way of calling one op, and what its gradient promises.

    Parameters
    ----------
    op : str
        Name of the public function in ``minicnn.ops``.
    sampler : callable
        Draws a :class:`Sample` (small: fewer than about 300 numbers) from a NumPy generator.
    variant : str
        Tells several cases of one op apart.
    torch : str or callable or None
        The PyTorch function that must agree in value and first gradient: a dotted name, or a callable that takes
        the sample with its arrays as torch tensors.
    order : int
        The derivative order up to which the gradient is checked.
    kinks : bool
        The op has kinks or ties; the sampler keeps its values well apart (more than 0.01).
    differentiable : bool
        False for results without a gradient (comparisons, argmax): only the values are checked.
    call : callable or None
        What is called instead of ``minicnn.ops.<op>``, for indexing or for ops that draw random numbers.
    constants : tuple of int or str
        Float arguments (position or keyword) that the op declares as not differentiated.
    writes : tuple of int or str
        Arguments that the op writes by contract (the running statistics of ``batch_norm``).
    flat : str
        Why the numerical derivative is zero everywhere (``sign``, ``floor``); a check of such a case proves only that
        the gradient is zero too. Empty for all others, whose check must be able to fail.
    """

    op: str
    sampler: Sampler
    variant: str = ""
    torch: str | Callable[..., Any] | None = None
    order: int = 2
    kinks: bool = False
    differentiable: bool = True
    call: Callable[..., Any] | None = None
    constants: tuple[int | str, ...] = ()
    writes: tuple[int | str, ...] = ()
    flat: str = ""

    @property
    def id(self) -> str:
        """``op`` or ``op/variant``: unique among all cases."""
        return f"{self.op}/{self.variant}" if self.variant else self.op

    @property
    def function(self) -> Callable[..., Any]:
        """The function under test, on Tensors."""
        if self.call is not None:
            return self.call
        function: Callable[..., Any] = getattr(importlib.import_module("minicnn.ops"), self.op)
        return function

    @property
    def torch_function(self) -> Callable[..., Any] | None:
        """The PyTorch function that must agree, or None; imports torch."""
        if not isinstance(self.torch, str):
            return self.torch
        parts = self.torch.split(".")
        found: Any = importlib.import_module(parts[0])
        for part in parts[1:]:
            found = getattr(found, part)
        function: Callable[..., Any] = found
        return function

    def sample(self, seed: int) -> Sample:
        """The draw of this seed: the same on every machine."""
        return self.sampler(np.random.default_rng([seed, *self.id.encode()]))


def case(
    op: str,
    *,
    variant: str = "",
    torch: str | Callable[..., Any] | None = None,
    order: int = 2,
    kinks: bool = False,
    differentiable: bool = True,
    call: Callable[..., Any] | None = None,
    constants: tuple[int | str, ...] = (),
    writes: tuple[int | str, ...] = (),
    flat: str = "",
) -> Callable[[Sampler], Sampler]:
    """Register the decorated sampler as a case of ``op``; the arguments are those of :class:`Case`.

    Raises
    ------
    ValueError
        If a case of the same op and variant exists.
    """

    def register(sampler: Sampler) -> Sampler:
        new = Case(op, sampler, variant, torch, order, kinks, differentiable, call, constants, writes, flat)
        if new.id in CASES:
            raise ValueError(f"case: {new.id!r} is registered twice; give one of them another variant")
        CASES[new.id] = new
        return sampler

    return register


def all_cases() -> list[Case]:
    """All cases of all modules in ``minicnn.testing.cases``, in the order of their ids."""
    package = importlib.import_module("minicnn.testing.cases")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return [CASES[key] for key in sorted(CASES)]
