"""The ``minicnn`` command: parses, calls, prints."""
