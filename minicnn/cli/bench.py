"""``minicnn bench``: measure, in turns with other libraries, after checking that the results are right."""

from __future__ import annotations

from typing import Any

from minicnn.cli import (
    bench_compare,
    bench_conv,
    bench_crossover,
    bench_memory,
    bench_ops,
    bench_scaling,
    bench_steps,
)

KINDS = (bench_conv, bench_crossover, bench_ops, bench_steps, bench_memory, bench_scaling, bench_compare)


def add_to(subparsers: Any) -> None:
    """Add the subcommand and its kinds."""
    parser = subparsers.add_parser(
        "bench", help="measure speed and memory, beside other libraries",
        description="Measure, in turns with other libraries, each in a process of its own that sleeps while another "
        "works. Results are checked before they are timed, an op's against the other library's.",
    )
    kinds = parser.add_subparsers(title="kinds", metavar="KIND", required=True)
    for module in KINDS:
        module.add_to(kinds)
