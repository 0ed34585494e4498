"""``minicnn bench crossover``: every algorithm over growing sizes of one layer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from minicnn.cli import bench_output
from minicnn.cli.numbers import positive

PASSES = ("forward", "input_grad", "weight_grad")


def add_to(kinds: Any) -> None:
    """Add the kind."""
    parser = kinds.add_parser(
        "crossover", help="every algorithm over growing sizes of one layer, with a picture",
        description="Give a layer and an axis: the same table as bench conv, at each size, and with --picture a plot "
        "that shows where one algorithm overtakes another and what the automatic choice took. With --device: the CPU, "
        "the device, and the device with both transfers counted.",
    )
    parser.add_argument("layer", metavar="LAYER", help='as for bench conv: "8x64x56x56 -> 64, 3x3 padding 1"')
    parser.add_argument("axis", choices=("batch", "side", "channels", "kernel"), help="what grows")
    parser.add_argument("sizes", metavar="SIZE", nargs="+", type=positive, help="the values, as 8 16 32 64")
    parser.add_argument("--passes", metavar="PASS", nargs="+", choices=PASSES, default=PASSES, help="(default: all)")
    parser.add_argument("--algorithm", metavar="NAME", nargs="+", default=["all"], help="(default: all)")
    parser.add_argument("--peers", metavar="LIBRARY", nargs="*", default=["torch"], help="(default: torch)")
    parser.add_argument("--picture", metavar="FILE", type=Path, help="write the plot")
    bench_output.add_options(parser, rounds=7, seconds=0.05)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Measure, print the table while it grows, write the files and the picture."""
    from minicnn.bench import across, conv, crossover, layers
    from minicnn.bench.result import FAILED, WRONG

    if options.picture and not options.picture.parent.is_dir():
        raise FileNotFoundError(f"bench: there is no folder {options.picture.parent}")
    found = layers.load([options.layer])
    if len(found) > 1:
        raise ValueError(f"bench: crossover takes one layer, {options.layer!r} has {len(found)}")
    sized = crossover.sizes(found[0], options.axis, options.sizes)
    if options.device == "cpu":
        plan = conv.Plan(
            sized, options.passes, options.algorithm, options.peers, threads=options.threads, rounds=options.rounds,
            seconds=options.seconds, spin=options.spin,
        )
        code, rows = bench_output.convolution(options, plan)
    else:
        bench_output.check_files(options)
        result = across.measure(
            sized, options.passes, options.device, threads=options.threads, rounds=options.rounds,
            seconds=options.seconds, samples=200, report=bench_output.show_ways,
        )
        rows, code = result.rows, int(any(row.verdict in {WRONG, FAILED} for row in result.rows))
        bench_output.write(options, result.record(), rows)
    if options.picture:
        crossover.draw(rows, options.axis, options.picture)
    return code
