"""``minicnn bench scaling``: whether the time grows as the work grows."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from minicnn.cli.numbers import positive

PASSES = ("forward", "input_grad", "weight_grad")
LAYERS = (
    "3x3 8x32x28x28 -> 32, 3x3 padding 1", "1x1 8x64x28x28 -> 64, 1x1",
    "stride2 8x32x56x56 -> 64, 3x3 stride 2 padding 1", "depthwise 8x64x56x56 -> 64, 3x3 padding 1 groups 64",
    "5x5 8x6x28x28 -> 16, 5x5",
)


def add_to(kinds: Any) -> None:
    """Add the kind."""
    parser = kinds.add_parser(
        "scaling", help="the exponent of time as a power of batch and area",
        description="Fit time = c * size^k from the smallest size at which every library takes 1 ms up to 64 times "
        "that, for the batch and for the area. 'steeper': our k is more than 0.05 above PyTorch's.",
    )
    parser.add_argument("--layers", metavar="LAYERS", nargs="+", default=list(LAYERS), help="as for minicnn bench conv")
    parser.add_argument("--passes", metavar="PASS", nargs="+", choices=PASSES, default=PASSES, help="(default: all)")
    parser.add_argument("--rounds", metavar="N", type=positive, default=3, help="turns in a sweep (default: 3)")
    parser.add_argument("--sweeps", metavar="N", type=positive, default=3, help="over all sizes (default: 3)")
    parser.add_argument("--seconds", metavar="S", type=float, default=0.05, help="length of a turn (default: 0.05)")
    parser.add_argument("--threads", metavar="N", type=positive, default=2, help="of each contender (default: 2)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write everything measured")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Measure and print a line for each layer, pass and axis."""
    from minicnn.bench import layers, scaling

    if options.json and not options.json.parent.is_dir():
        raise FileNotFoundError(f"bench: there is no folder {options.json.parent}")
    record = scaling.measure(
        layers.load(options.layers), tuple(options.passes), threads=options.threads, rounds=options.rounds,
        sweeps=options.sweeps, seconds=options.seconds, report=lambda found: print(scaling.line(found), flush=True),
    )
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0
