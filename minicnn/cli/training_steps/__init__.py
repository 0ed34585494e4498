"""Whole training steps, ours and PyTorch's: what ``minicnn bench steps`` and ``minicnn bench memory`` run."""

from minicnn.cli.training_steps.works import WORKS, provide

__all__ = ["WORKS", "provide"]
