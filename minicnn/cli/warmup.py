"""``minicnn warmup``: compile every kernel once, so that nothing later waits for the compiler."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any


def add_to(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "warmup", help="compile all kernels now",
        description="Run every operation once in float32 and float64, forward and backward, so that its kernels are "
        "compiled and stored in the cache.",
    )
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Run all cases with a progress bar."""
    from rich.console import Console
    from rich.progress import Progress

    import minicnn
    from minicnn.testing.warmup import warm_up

    start = time.perf_counter()
    console = Console(stderr=True)
    os.environ["MINICNN_QUIET"] = "1"  # the bar says it
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("compiling kernels (once; kept in a cache)", total=None)
        for stem, done, total in warm_up(minicnn.get_num_threads()):
            progress.update(bar, completed=done, total=total)
            progress.console.print(f"{stem}: ready ({done} of {total}, {time.perf_counter() - start:.0f} s)")
    console.print(f"all kernels are ready after {time.perf_counter() - start:.0f} s")
    return 0
