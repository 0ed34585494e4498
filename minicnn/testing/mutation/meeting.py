"""Which Functions a case runs, with which gradients, and at what cost: what mutants are planted and judged by."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from minicnn.core import events
from minicnn.core.backprop import grad
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Shape
from minicnn.testing.arguments import Arguments
from minicnn.testing.cases.case import CASES, all_cases


@dataclass
class Met:
    """What one draw shows of one Function's backward.

    Parameters
    ----------
    shapes : dict of int to set of shapes
        Of its gradients, by input.
    joint : set of (int, int)
        Inputs whose gradients had one shape.
    alike : bool
        Some gradient had the shape of an incoming one, and other values.
    """

    shapes: dict[int, set[Shape]] = field(default_factory=dict)
    joint: set[tuple[int, int]] = field(default_factory=set)
    alike: bool = False

    def see(self, incoming: Any, gradients: Any) -> None:
        """Note the gradients of one call."""
        self.alike |= any(
            g is not None and v is not None and g.shape == v.shape and not np.array_equal(g.data, v.data)
            for g in gradients for v in incoming
        )
        found = {i: g.shape for i, g in enumerate(gradients) if g is not None}
        for i, shape in found.items():
            self.shapes.setdefault(i, set()).add(shape)
        self.joint |= {(i, j) for i in found for j in found if i < j and found[i] == found[j]}

    def merge(self, other: Met) -> None:
        """Add what another draw showed."""
        for slot, shapes in other.shapes.items():
            self.shapes.setdefault(slot, set()).update(shapes)
        self.joint |= other.joint
        self.alike |= other.alike


@cache
def meet(task: tuple[str, int]) -> tuple[dict[str, Met], int]:
    """The Functions whose backward a draw runs up to the order of its case, and the cost of checking it.

    Parameters
    ----------
    task : (str, int)
        Case and seed.

    Returns
    -------
    met, cost
        By full name of the Function; the cost counts nodes times numbers, not seconds, and so is reproducible.
    """
    met: dict[str, Met] = {}
    nodes = 0

    def listener(kind: str, *args: Any) -> None:
        nonlocal nodes
        nodes += kind == "forward"
        if kind == "backward":
            cls = type(args[0])
            met.setdefault(f"{cls.__module__}.{cls.__qualname__}", Met()).see(args[1], args[2])

    with events.listen(listener):
        gradients(*task)
    case = CASES[task[0]]
    sample = case.sample(task[1])
    arguments = Arguments(sample.args, sample.kwargs)
    numbers = sum(arguments.leaves[i].size for i in arguments.floats(case.constants))
    return met, nodes * (numbers + 5)


def gradients(name: str, seed: int, extra: int = 0) -> list[Array | None]:
    """Gradients of a draw of all orders up to that of its case, and ``extra`` orders more.

    Cotangents are random; those of an order are inputs of the next, as in the gradient check.
    """
    if name not in CASES:
        all_cases()
    case = CASES[name]
    if not case.differentiable:
        return []
    sample = case.sample(seed)
    arguments = Arguments(sample.args, sample.kwargs)
    wanted = arguments.floats(case.constants)
    leaves = [
        Tensor(leaf.copy(), requires_grad=i in wanted) if isinstance(leaf, np.ndarray) else leaf
        for i, leaf in enumerate(arguments.leaves)
    ]
    args, kwargs = arguments.build(leaves)
    result = case.function(*args, **kwargs)
    outputs = [y for y in (result if isinstance(result, (tuple, list)) else [result]) if isinstance(y, Tensor)]
    points = [leaves[i] for i in wanted]
    random = np.random.default_rng([seed, 2])
    every: list[Array | None] = []
    order = case.order + extra
    for level in range(1, order + 1):
        outputs = [y for y in outputs if y.requires_grad and y.dtype.kind == "f"]
        if not outputs or not points:
            break
        cotangents = [Tensor(random.standard_normal(y.shape), requires_grad=True) for y in outputs]
        found = grad(outputs, points, cotangents, create_graph=level < order, allow_unused=True)
        every += [None if g is None else g.data for g in found]
        outputs, points = [g for g in found if g is not None], [*points, *cotangents]
    return every
