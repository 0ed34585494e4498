"""``minicnn warmup``: compile every kernel once, so that nothing later waits for the compiler."""

from __future__ import annotations

import argparse
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
    from rich.progress import track

    from minicnn.testing.cases.case import all_cases
    from minicnn.testing.warmup import run_once

    start = time.perf_counter()
    cases = all_cases()
    console = Console(stderr=True)
    console.print(f"compiling the kernels of {len(cases)} cases (once; kept in a cache)")
    for case in track(cases, description="warming up", console=console):
        for dtype in ("float32", "float64"):
            run_once(case, dtype)
    console.print(f"all kernels are ready after {time.perf_counter() - start:.0f} s")
    return 0
