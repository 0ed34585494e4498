"""``minicnn tune``: measure which convolution algorithms are fastest here, and write the table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from minicnn.cli.numbers import positive


def add_to(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "tune", help="measure the fastest convolution algorithms and write a table",
        description="Time every algorithm that can do a pass, in turns, and write the fastest to a TOML file for "
        "minicnn.use_conv_table(FILE). Nothing else should run meanwhile.",
    )
    parser.add_argument("layers", metavar="LIST|FILE|LAYER", nargs="+", help="as in minicnn bench conv")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write here (default: standard output)")
    parser.add_argument("--rounds", type=positive, default=5, help="calls of each that count (default: 5)")
    parser.add_argument("--threads", metavar="N", type=positive, default=0, help="(default: all cores)")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="(default: float32)")
    parser.add_argument(
        "--max-error", metavar="E", type=float, default=2e-5, help="leave less exact ones out (default: 2e-5)"
    )
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Measure layer by layer; write at the end."""
    from minicnn import set_num_threads
    from minicnn.bench import tune
    from minicnn.bench.layers import load

    layers = load(options.layers)
    if options.threads:
        set_num_threads(options.threads)
    if options.output is not None and not options.output.parent.is_dir():
        raise ValueError(f"tune: there is no folder {options.output.parent}")
    measured = []
    for layer in layers:
        found = tune.measure(layer, rounds=options.rounds, max_error=options.max_error, dtype=options.dtype)
        best = ", ".join(f"{which} {tune.fastest(seconds)[0]}" for which, seconds in found.items())
        print(f"{layer.name}: {best}", file=sys.stderr, flush=True)
        measured.append((layer, found))
    if options.output is None:
        print(tune.text(measured, options.dtype), end="")
    else:
        options.output.write_text(tune.text(measured, options.dtype), encoding="utf-8")
        print(f"wrote {options.output}", file=sys.stderr)
    return 0
