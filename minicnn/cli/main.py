"""``minicnn``: parse the command line, run a subcommand, turn its outcome into an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import minicnn
from minicnn.cli import bench, catalogue, conv, doctor, exercise, gpu_report, gradcheck, kernels, run, tune, warmup

INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C
SUBCOMMANDS = (catalogue, run, doctor, warmup, gradcheck, exercise, bench, conv, tune, kernels, gpu_report)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command; each subcommand adds its own."""
    parser = argparse.ArgumentParser(prog="minicnn", description=minicnn.__doc__)
    parser.add_argument("--version", action="version", version=f"minicnn {minicnn.__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in SUBCOMMANDS:
        module.add_to(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 failure, 2 bad input, 3 nothing wrong but open, 130 Ctrl-C."""
    options = build_parser().parse_args(argv)
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except KeyboardInterrupt as stop:  # training says what it saved
        print(f"minicnn: {stop}; continue with --resume" if str(stop) else "minicnn: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has left: `minicnn list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, FloatingPointError, OSError, minicnn.DeviceUnavailableError) as error:
        if options.debug:
            raise
        print(f"minicnn: {error}", file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
