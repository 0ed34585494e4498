"""``minicnn list``: what can be run."""

from __future__ import annotations

import argparse
from typing import Any


def add_to(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("list", help="show what can be run", description="Show every recipe.")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Print one line for each recipe."""
    from minicnn.recipes import RECIPES

    width = max((len(name) for name in RECIPES), default=0)
    for name, recipe in RECIPES.items():
        print(f"{name:<{width}}  {recipe.title}: {recipe.summary}")
    print("\nrun one with: minicnn run NAME")
    return 0
