"""``python -m minicnn``: the command, also from a checkout that is not installed."""

import sys

from minicnn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
