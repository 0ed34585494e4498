"""``minicnn bench steps``: whole training steps beside PyTorch's."""

from __future__ import annotations

import argparse
from typing import Any

from minicnn.cli import bench_output

NAMES = ("lenet", "mlp", "vgg11", "resnet18", "unet")
ON_DEVICES = (*NAMES, "resnet50")  # batch 64, which takes a CPU minutes a step
PROVIDER = "minicnn.cli.bench_works.steps:provide"


def add_to(kinds: Any) -> None:
    """Add the kind."""
    parser = kinds.add_parser(
        "steps", help="training steps: LeNet-5, an MLP, VGG-11, ResNet-18, U-Net",
        description="Time forward, cross-entropy, backward and SGD (momentum 0.9, decay 1e-4) on one batch in memory, "
        "beside PyTorch. Both start from the same weights, and their first losses must agree.",
    )
    parser.add_argument(
        "nets", metavar="NET", nargs="*", default=NAMES, help=f"{', '.join(NAMES)} (default: all), on a GPU resnet50"
    )
    parser.add_argument(
        "--peers", metavar="LIBRARY", nargs="*", default=["torch"], help="torch, torch-kept, or none (default: torch)"
    )
    bench_output.add_options(parser, rounds=11, seconds=0.3)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Measure, print the table while it grows, write the files."""
    from minicnn.bench.tables import Table

    check(options.nets, options.device)
    return bench_output.run(
        options,
        Table(
            "minicnn bench steps", options.nets, lambda work: ("step",), PROVIDER, options.peers, options.threads,
            options.rounds, options.seconds, roof=False, spin=options.spin, device=options.device,
        ),
    )


def check(nets: Any, device: str = "cpu") -> None:
    """Known nets only."""
    known = NAMES if device == "cpu" else ON_DEVICES
    for name in nets:
        if name not in known:
            raise ValueError(f"bench: no net {name!r} on {device}; there are {', '.join(known)}")
