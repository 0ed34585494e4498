"""Faults planted in the ops' backwards, to see how many of them the gradient suite notices."""

from minicnn.testing.mutation.mutant import Mutant
from minicnn.testing.mutation.runner import mutate
from minicnn.testing.mutation.score import Fate, MutationReport

__all__ = ["Fate", "Mutant", "MutationReport", "mutate"]
