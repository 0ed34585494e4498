"""Numbers on the command line: what is not one is a usage error, and says what was expected."""

from __future__ import annotations

import argparse


def natural(text: str) -> int:
    """0, 1, 2, ..."""
    return _at_least(text, 0)


def positive(text: str) -> int:
    """1, 2, 3, ..."""
    return _at_least(text, 1)


def _at_least(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, got {text!r}")
    return value
