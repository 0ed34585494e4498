"""``minicnn bench conv``: convolution, layer by layer and pass by pass."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minicnn.cli import bench_output
from minicnn.cli.numbers import positive

if TYPE_CHECKING:
    from minicnn.bench.layers import Layer

_EPILOG = """\
A layer reads: 8x256x56x56 -> 256, 3x3 stride 1 padding 1 dilation 1 groups 1 (input N C H W, output channels, kernel).
A file has a line "NAME LAYER" for each layer; # begins a comment.

Columns: median and interval (about 95 %) of a repetition; GFLOP/s by the definition, and as carried out where the
algorithm says it; GB/s of operands and result; the share of what the measured matrix product and copy bandwidth
allow; MiB touched for the first time by each repetition, rise of the process's memory in a call, and scratch that the
algorithm states; max|y - y64| / max|y64|; PyTorch's time over this one, with its interval.

--plot draws roofline.png and bars.png; with --device also crossover.png, the smallest layer at growing batches on the
CPU, on the device, and with both transfers counted.

exit codes: 0; 1 some result is wrong or failed; 2 bad input
"""


def add_to(kinds: Any) -> None:
    """Add the kind."""
    parser = kinds.add_parser(
        "conv", help="convolution: layers x passes x algorithms and libraries",
        description="Check each algorithm and library on each pass of each layer against float64, then time those "
        "that are right, in turns.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--layers", metavar="LIST|FILE|LAYER", nargs="+", default=["suite"],
        help="built-in lists (suite, lenet, cifar-resnet, alexnet, vgg16, resnet50, mobilenet-block, unet), files, or "
        "single layers (default: suite)",
    )
    parser.add_argument("--only", metavar="TEXT", nargs="+", help="only layers whose name contains one of these")
    parser.add_argument(
        "--passes", metavar="PASS", nargs="+", choices=("forward", "input_grad", "weight_grad"),
        default=("forward", "input_grad", "weight_grad"), help="forward, input_grad, weight_grad (default: all)",
    )
    parser.add_argument(
        "--algorithm", metavar="NAME", nargs="+",
        help="names of algorithms, auto, or all that can do a pass (default: auto; with --device all)",
    )
    parser.add_argument(
        "--peers", metavar="LIBRARY", nargs="*", default=["torch"],
        help="torch, torch-kept (which keeps freed memory, as ours does), scipy, autograd, tinygrad, mygrad, or none "
        "(default: torch)",
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="(default: float32)")
    parser.add_argument("--tf32", action="store_true", help="on a GPU: let every library round factors to 10 bits")
    parser.add_argument("--max-error", metavar="E", type=float, help="what the automatic choice may trade for speed")
    parser.add_argument(
        "--samples", metavar="N", type=positive, default=1000, help="numbers of the full layer to check (default: 1000)"
    )
    bench_output.add_options(parser, rounds=9, seconds=0.1)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Measure, print the table while it grows, write the files."""
    from minicnn.bench import conv, layers

    bench_output.check_files(options)
    chosen = layers.load(options.layers)
    if options.only:
        chosen = [layer for layer in chosen if any(text in layer.name for text in options.only)]
        if not chosen:
            raise ValueError(f"bench: no layer's name contains {' or '.join(options.only)}")
    algorithms = options.algorithm or (["auto"] if options.device == "cpu" else ["all"])
    plan = conv.Plan(
        chosen, options.passes, algorithms, options.peers, options.dtype, options.device, options.threads,
        options.rounds, options.seconds, max_error=options.max_error, samples=options.samples, spin=options.spin,
        tf32=options.tf32,
    )
    code, _ = bench_output.convolution(options, plan)
    if options.plot and options.device != "cpu":
        _draw_crossover(options, chosen)
    return code


def _draw_crossover(options: argparse.Namespace, chosen: Sequence[Layer]) -> None:
    """From which batch on the device is worth the way there, for the smallest layer: short, forward only."""
    from minicnn.bench import across, crossover

    print("\nthe smallest layer at growing batches: here, on the device, and with both transfers counted")
    found = across.measure(
        across.growing(chosen), ("forward",), options.device, threads=options.threads, rounds=3, seconds=0.02,
        samples=200, report=bench_output.show_ways,
    )  # fmt: skip
    crossover.draw(found.rows, "batch", options.plot / "crossover.png")
