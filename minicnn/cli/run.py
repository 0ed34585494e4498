"""``minicnn run NAME``: train and report one recipe."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import Any

from minicnn.cli.numbers import natural, positive


def add_to(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "run", help="train and report one recipe", description="Train and report one recipe; `minicnn list` names them."
    )
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--preset", choices=("tiny", "paper"), default="tiny",
        help="tiny: about a minute, no download (default); paper: the original settings on the real dataset",
    )
    parser.add_argument("--device", default="cpu", help="where to compute (default: cpu)")
    parser.add_argument("--seed", type=natural, default=0, help="of weights, batches and masks (default: 0)")
    parser.add_argument("--epochs", type=positive, help="instead of the preset's number")
    parser.add_argument("--out", type=Path, help="where report, pictures and checkpoints go (default: runs/NAME)")
    parser.add_argument("--data", type=Path, help="folder of the dataset, where the preset needs one")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint in --out")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Run the recipe and print its report."""
    from minicnn.core.device import device
    from minicnn.recipes import RECIPES
    from minicnn.recipes.recipe import Options

    if options.name not in RECIPES:
        close = difflib.get_close_matches(options.name, RECIPES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"run: there is no recipe {options.name!r}{hint} (`minicnn list` shows them all)")
    _ = device(options.device).backend  # before a folder is made
    chosen = Options(
        preset=options.preset, device=options.device, seed=options.seed, epochs=options.epochs,
        out=options.out or Path("runs") / options.name, data=options.data, resume=options.resume,
    )
    print(RECIPES[options.name].run(chosen).table())
    print(f"  report, pictures and checkpoints are in {chosen.out}")
    return 0

