"""What a recipe is: a system of the lectures that runs from one command and says how well it did."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from minicnn.core import checks
from minicnn.recipes.report import Report


@dataclass(frozen=True)
class Options:
    """What a user may set for a run.

    Attributes
    ----------
    preset : ``"tiny"`` (a laptop's minute, no download) or ``"paper"`` (original numbers, the real data's format)
    device : str
    seed : int
    epochs : int or None
        Instead of the preset's.
    out : Path
        Folder for checkpoints, logs, pictures and ``report.json``.
    data : Path or None
        Folder with the real dataset's files, for presets that need them.
    resume : bool
        Continue from the newest checkpoint in ``out``.
    """

    preset: str = "tiny"
    device: str = "cpu"
    seed: int = 0
    epochs: int | None = None
    out: Path = field(default_factory=lambda: Path("runs"))
    data: Path | None = None
    resume: bool = False


@dataclass(frozen=True)
class Recipe:
    """A system of the catalogue and how to run it.

    Attributes
    ----------
    name : str
        What ``minicnn run`` calls it.
    entry : str
        Its number in the catalogue of lecture systems (``"C01"``).
    title, summary : str
        A heading, and one line on what the run shows.
    presets : dict
        Settings by preset name.
    run : callable
        Takes the recipe and :class:`Options`, returns a :class:`Report`.
    """

    name: str
    entry: str
    title: str
    summary: str
    presets: dict[str, Any]
    runner: Callable[["Recipe", Options], Report]

    def run(self, options: Options) -> Report:
        """Train, evaluate, draw, and write the report into ``options.out``.

        Raises
        ------
        ValueError
            For a preset that the recipe does not have, or options that it cannot serve.
        """
        op = f"run {self.name}"
        if options.preset not in self.presets:
            raise checks.value_error(op, f"preset {options.preset!r} is not one of {', '.join(self.presets)}")
        if options.epochs is not None and options.epochs < 1:
            raise checks.value_error(op, f"epochs must be at least 1, got {options.epochs}")
        if options.out.exists() and not options.out.is_dir():
            raise checks.value_error(op, "--out must be a folder", out=str(options.out))
        if not options.resume:
            _set_aside(options.out)
        return self.runner(self, options)


def _set_aside(folder: Path) -> None:
    """Rename the folder of an earlier run, so that a new one neither replaces nor mixes with it."""
    if not folder.is_dir() or not any(folder.rglob("checkpoint.npz")):
        return
    free = next(p for p in (folder.with_name(f"{folder.name}.{i}") for i in count(1)) if not p.exists())
    folder.rename(free)
    sys.stderr.write(f"minicnn: an earlier run was moved to {free}; to continue it, use --resume\n")
