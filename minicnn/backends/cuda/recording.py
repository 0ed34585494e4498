"""Launches written to files and run again outside Python, thread by thread, under a sanitizer.

The emulator's fibers are fast and find divergent barriers, but take turns, so no race can happen there. A recorded
launch is replayed by a program made of the same kernel text, in which every CUDA thread is a thread of the system and
every array a block of memory of its exact size: ThreadSanitizer sees races and missing barriers, AddressSanitizer
sees overruns.
"""

import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minicnn.backends.cuda import emulator, sources
from minicnn.backends.cuda.emulated_arrays import EmulatedArray
from minicnn.core.types import Shape

SANITIZERS = ("thread", "address")
_FLAGS = ("-DEMULATE_THREADS", "-DEMULATE_REPLAY", "-g", "-pthread")


class Finding(NamedTuple):
    """What a sanitizer said about one kernel file."""

    stem: str
    real: str
    sanitizer: str
    launches: int
    report: str  # empty where it found nothing

    @property
    def clean(self) -> bool:
        """Whether it found nothing."""
        return not self.report


@contextmanager
def recording(folder: Path, threads: int = 2048, copies: int = 3) -> Iterator[set[str]]:
    """Write launches into ``folder/<stem>-<dtype>/``: of each kernel up to ``copies`` different ones.

    Launches of more than ``threads`` threads are left out: a replay makes a thread of the system for each. Yields the
    kernels that were written, as ``"file.kernel"``.
    """
    written: set[str] = set()
    seen: dict[tuple[sources.Kernel, str], set[Any]] = {}

    def write(kernel: sources.Kernel, real: "np.dtype[Any]", grid: Shape, block: Shape, args: list[Any]) -> None:
        shapes = tuple(a.shape if isinstance(a, EmulatedArray) else None for a in args)
        launches = seen.setdefault((kernel, real.name), set())
        if np.prod(grid) * np.prod(block) > threads or len(launches) >= copies or (grid, shapes) in launches:
            return
        launches.add((grid, shapes))
        written.add(f"{kernel.file}.{kernel.name}")
        place = folder / f"{kernel.file}-{real.name}"
        place.mkdir(parents=True, exist_ok=True)
        data = [struct.pack("7I", *grid, *block, len(args)), *(_packed(a) for a in args)]
        (place / f"{len(list(place.iterdir())):04}.{kernel.name}").write_bytes(b"".join(data))

    emulator.LISTENERS.append(write)
    try:
        yield written
    finally:
        emulator.LISTENERS.remove(write)


def _packed(argument: Any) -> bytes:
    if argument is None:
        return struct.pack("2Q", 0, 8) + bytes(8)
    if isinstance(argument, EmulatedArray):
        data: bytes = argument.host.tobytes()
        return struct.pack("2Q", 1, len(data)) + data
    value = np.asarray(argument).tobytes()
    return struct.pack("2Q", 0, len(value)) + value


def replay(folder: Path, sanitizer: str) -> list[Finding]:
    """Run everything that :func:`recording` wrote there under ``"thread"`` or ``"address"``."""
    findings = []
    for place in sorted(p for p in folder.iterdir() if p.is_dir()):
        stem, _, real = place.name.partition("-")
        program = emulator.build(stem, np.dtype(real), (*_FLAGS, f"-fsanitize={sanitizer}"), f"-{sanitizer}")
        launches = sorted(map(str, place.iterdir()))
        options = {"TSAN_OPTIONS": "halt_on_error=1", "ASAN_OPTIONS": "detect_leaks=0"}
        done = subprocess.run(  # noqa: S603 - a program that was just built
            [str(program), *launches], capture_output=True, text=True, check=False, env=os.environ | options
        )
        report = "" if done.returncode == 0 else done.stderr or f"exit code {done.returncode}"
        findings.append(Finding(stem, real, sanitizer, len(launches), report))
    return findings
