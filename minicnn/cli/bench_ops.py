"""``minicnn bench ops``: the memory-bound ops of the training steps, forward and backward."""

from __future__ import annotations

import argparse
from typing import Any

from minicnn.cli import bench_output


def add_to(kinds: Any) -> None:
    """Add the kind."""
    parser = kinds.add_parser(
        "ops", help="pooling, normalisation, RoI ops, elementwise, softmax, cross-entropy, SGD",
        description="Time ops at the sizes of ResNet-18, VGG-11, U-Net and LeNet steps, forward (with its graph) and "
        "backward, beside PyTorch. OP SIZE reads: relu 8x64x112x112, or sgd resnet18.",
    )
    parser.add_argument("works", metavar='"OP SIZE"', nargs="*", help="only these (default: the sizes of the steps)")
    parser.add_argument("--only", metavar="TEXT", nargs="+", help="only works whose name contains one of these")
    parser.add_argument(
        "--peers", metavar="LIBRARY", nargs="*", default=["torch"], help="torch, torch-kept, or none (default: torch)"
    )
    bench_output.add_options(parser, rounds=9, seconds=0.1)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Measure, print the table while it grows, write the files."""
    from minicnn.bench.tables import Table
    from minicnn.cli.bench_works import ops as op_works

    works = options.works or list(op_works.SIZES)
    for work in works:
        op, _, size = work.partition(" ")
        known = {**op_works.OPS, **op_works.UPDATES}
        if op not in known or not size:
            raise ValueError(f"bench: {work!r} is no work; it reads OP SIZE with OP one of {', '.join(known)}")
    return bench_output.run(
        options,
        Table(
            "minicnn bench ops", bench_output.only(works, options.only), op_works.passes,
            "minicnn.cli.bench_works.ops:provide", options.peers, options.threads, options.rounds, options.seconds,
            spin=options.spin, device=options.device,
        ),
    )
