"""How a convolution room chooses: by name, by a table measured beforehand, or by the first rule that applies."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from minicnn.backends.convolution import AUTO, Problem

Table = Mapping[tuple[str, Problem], str]


class Rule(NamedTuple):
    """An algorithm, when it is taken, and why."""

    algorithm: str
    reason: str
    applies: Callable[[str, Problem], bool]
    items: tuple[int, ...] = (2, 4, 8)  # bytes of the elements for which it stands


def always(which: str, p: Problem) -> bool:
    """For rules that apply wherever their algorithm can do it."""
    return True


def grouped(which: str, p: Problem) -> bool:
    """For rules about channels with filters of their own."""
    return p.groups > 1


class Chooser:
    """The algorithms of one room, its rules in their order, and the table that goes before them.

    Parameters
    ----------
    place : str
        How errors call the device.
    algorithms : mapping of name to algorithm
        Each with ``cannot(which, problem)``, a reason or None, and ``ERROR`` in float32.
    rules : sequence of Rule
    """

    def __init__(self, place: str, algorithms: Mapping[str, Any], rules: Sequence[Rule]) -> None:
        self.place, self.algorithms, self.rules = place, algorithms, rules
        self._table: Table = {}
        self._of_halves = False
        self.explain = lru_cache(maxsize=4096)(self._explain)

    def use_table(self, table: Table, item: int = 4) -> None:
        """Ask this table before the rules; it holds algorithms for a pass of a problem.

        ``item`` is the size of the elements it was measured for. Tensor cores multiply halves many times as fast, so
        what is fastest for them says nothing of the others, and the reverse.
        """
        self._table, self._of_halves = dict(table), item == 2
        self.explain.cache_clear()

    def table(self) -> Table:
        """The table in use; empty where the rules decide alone."""
        return self._table

    def _explain(self, which: str, p: Problem, max_error: float = math.inf, item: int = 4) -> Rule:
        """The rule that decides on that pass of that problem, for elements of ``item`` bytes.

        ``max_error`` is that of float32.

        Raises
        ------
        ValueError
            If no algorithm keeps ``max_error``.
        """
        measured = self._table.get((which, p)) if self._of_halves == (item == 2) else None
        if measured is not None and max_error >= self.algorithms[measured].ERROR:
            return Rule(measured, "measured: the table in use names it", always)
        least = math.inf
        for rule in self.rules:
            module = self.algorithms[rule.algorithm]
            if item in rule.items and module.cannot(which, p) is None and rule.applies(which, p):
                if max_error >= module.ERROR:
                    return rule
                least = min(least, module.ERROR)
        raise ValueError(
            f"conv_precision: no rule takes an algorithm with an error of at most {max_error:.3g} in float32; the "
            f"least is {least:.3g}"
        )

    def choose(self, which: str, p: Problem, max_error: float = math.inf, item: int = 4) -> str:
        """The algorithm for that pass of that problem."""
        return self.explain(which, p, max_error, item).algorithm

    def resolve(self, name: str, which: str, problem: Problem, max_error: float = math.inf, item: int = 4) -> str:
        """The algorithm that will run for a name (``auto``: the first rule within ``max_error``).

        Raises
        ------
        ValueError
            If there is no such algorithm, it cannot do that pass of that problem, or none is exact enough.
        """
        if name == AUTO:
            return self.choose(which, problem, max_error, item)
        if name not in self.algorithms:
            known = ", ".join(repr(known) for known in (AUTO, *self.algorithms))
            raise ValueError(f"conv_algorithm: no algorithm {name!r} on {self.place}; there are {known}")
        reason = self.algorithms[name].cannot(which, problem)
        if reason:
            raise ValueError(f"conv_algorithm: {name!r} cannot do the pass {which!r}: {reason} [{problem.notation}]")
        return name
