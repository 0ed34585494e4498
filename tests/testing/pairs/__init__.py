"""Functions with hand-written rules whose truth is known, for calibrating a gradient checker."""

from __future__ import annotations

from tests.testing.pairs.edges import EDGES
from tests.testing.pairs.pair import Pair
from tests.testing.pairs.right import RIGHT
from tests.testing.pairs.vacuous import VACUOUS
from tests.testing.pairs.wrong import WRONG


def all_pairs() -> list[Pair]:
    """Every pair: right, wrong, at kinks and ties, vacuous."""
    return [*RIGHT, *WRONG, *EDGES, *VACUOUS]
