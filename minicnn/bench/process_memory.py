"""What a process takes from the system: its resident memory, its peak, and pages it touches for the first time."""

import sys
from contextlib import suppress
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def page_faults() -> int:
    """How often a page was touched for the first time; 0 where the system does not count it.

    A page has 4 KiB, or 2 MiB where the system gives huge ones.
    """
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def resident() -> int | None:
    """Bytes of memory that this process holds now, or None where the system does not tell."""
    return _status("VmRSS:")


def peak() -> int | None:
    """The most bytes that this process has held since :func:`forget_peak`, or since it began."""
    return _status("VmHWM:")


def give_back() -> None:
    """Let the C library return what is free to the system, where it can: else a call that reuses it shows no rise."""
    import ctypes

    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def forget_peak() -> bool:
    """Let the peak begin anew at what is held now; whether the system can."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _status(field: str) -> int | None:
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), None)
