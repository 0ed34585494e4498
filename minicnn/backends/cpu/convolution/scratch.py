"""The bound of the scratch memory that an algorithm may take, and sizes rounded up to what a tile takes."""

LIMIT = 1 << 24  # elements of scratch memory a thread: 64 MiB of float32, 128 of float64


def up(n: int, unit: int) -> int:
    """The least multiple of ``unit`` that is at least ``n``."""
    return -(-n // unit) * unit


def too_large(size: int, item: int) -> str | None:
    """Why an algorithm whose single thread takes that many bytes cannot be run, or None.

    One thread's memory and what all share count together, so that more threads stay within the bound too, and the
    answer does not depend on how many there are.
    """
    if size <= LIMIT * item:
        return None
    bound = f"more than {LIMIT * item >> 20} MiB a thread"
    return f"it would take {size / 2**20:.0f} MiB of scratch memory for {8 * item}-bit numbers, {bound}"
