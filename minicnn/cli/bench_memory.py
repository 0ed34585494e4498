"""``minicnn bench memory``: how far a training step raises the peak of resident memory."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from minicnn.cli import bench_steps
from minicnn.cli.numbers import positive

WARM = {"small": "after a step on a small batch", "full": "after steps on the full batch"}


def add_to(kinds: Any) -> None:
    """Add the kind."""
    parser = kinds.add_parser(
        "memory", help="rise of peak memory in a training step",
        description="In a fresh process for each library and net: resident memory after warm-up steps, and how far "
        "three full steps raise the peak above it. After a small batch the rise is all that a step needs; after full "
        "batches it is what a library gives back to the system between steps.",
    )
    names = ", ".join(bench_steps.NAMES)
    parser.add_argument("nets", metavar="NET", nargs="*", default=("resnet18",), help=f"{names} (default: resnet18)")
    parser.add_argument("--threads", metavar="N", type=positive, default=2, help="(default: 2)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write everything measured")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Measure and print a row for each net and warm-up."""
    from minicnn.bench import peers, stamp
    from minicnn.bench.desk import Cannot, Desk, WorkError, contender

    bench_steps.check(options.nets)
    if options.json and not options.json.parent.is_dir():
        raise FileNotFoundError(f"bench: there is no folder {options.json.parent}")
    libraries = [name for name in (peers.OURS, "torch") if not peers.missing(name)]
    found: dict[str, Any] = {}
    print(f"{'net':10} {'warm-up':30} " + " ".join(f"{name + ' MiB':>24}" for name in libraries) + "   ours / torch")
    for net in options.nets:
        found[net] = {}
        for name in libraries:
            desk = Desk(contender(name, bench_steps.PROVIDER, options.threads))
            try:
                found[net][name] = desk.ask("memory", work=net)
            except (Cannot, WorkError) as error:
                print(f"{net:10} {name}: {error}", file=sys.stderr)
                return 1
            finally:
                desk.close()
        for warm, text in WARM.items():
            print(_line(net, text, [found[net][name][warm] for name in libraries]), flush=True)
    if options.json:
        record = {"kind": "minicnn bench memory", "machine": stamp(), "threads": options.threads, "memory": found}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def _line(net: str, text: str, values: list[dict[str, int]]) -> str:
    cells, rises = [], []
    for value in values:
        rises.append(value["peak"] - value["before"])
        cells.append(f"{value['before'] / 2**20:.0f} + {rises[-1] / 2**20:.0f}")
    ratio = f"{rises[0] / rises[1]:14.2f}" if len(rises) == 2 and rises[1] else ""
    return f"{net:10} {text:30} " + " ".join(f"{cell:>24}" for cell in cells) + ratio
