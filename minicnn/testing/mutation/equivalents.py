"""Mutants that compute the same as the original, each with the reason, in ``equivalents.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from minicnn.testing.mutation.faults import NAMED
from minicnn.testing.mutation.mutant import Mutant

Key = tuple[str, str, str]
FILE = Path(__file__).with_name("equivalents.toml")


def read(path: Path = FILE) -> dict[Key, str]:
    """Reasons by (function, rule, line); an entry speaks of all combinations of what it lists.

    Raises
    ------
    ValueError
        If an entry has no reason, or stands there twice.

    Examples
    --------
    >>> from minicnn.testing.mutation.equivalents import read
    >>> all(reason for reason in read().values())
    True
    """
    found: dict[Key, str] = {}
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", []):
        reason = entry.get("reason", "").strip()
        for key in product(entry["functions"], entry["rules"], entry["lines"]):
            if not reason:
                raise ValueError(f"{path.name}: an equivalent mutant needs a written reason: {key}")
            if key in found:
                raise ValueError(f"{path.name}: listed twice: {key}")
            found[key] = reason
    return found


def stale(reasons: dict[Key, str], mutants: Iterable[Mutant]) -> list[Key]:
    """Entries of Functions that were mutated, for which there is no such mutant any more.

    Named bug classes apply or not as the seeds draw shapes, so that only their names are looked at.
    """
    every = list(mutants)
    keys, functions = {mutant.key for mutant in every}, {mutant.function for mutant in every}
    named = [key for key in reasons if key not in keys and key[1] not in NAMED]
    return [key for key in named if key[0] in functions or key[0].rpartition(".")[0] in functions]
