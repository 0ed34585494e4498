"""Timing that cannot lie: contenders in processes of their own, in turn, while the others sleep; and right first."""

from minicnn.bench.alternate import Contender, Timing, alternate, serve, take_turns
from minicnn.bench.machine import stamp

__all__ = ["Contender", "Timing", "alternate", "serve", "stamp", "take_turns"]
