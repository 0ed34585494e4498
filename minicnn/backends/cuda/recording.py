"""Launches written to files and run again outside Python under a sanitizer.

A recorded launch is replayed by a program made of the same kernel text, in which the sanitizer knows every CUDA thread
as a thread, and every array is a block of memory of its exact size: ThreadSanitizer sees races and missing barriers,
AddressSanitizer sees overruns.
"""

import ctypes
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minicnn.backends.cuda import emulator, sources
from minicnn.backends.cuda.emulated_arrays import EmulatedArray
from minicnn.core.dtypes import find as find_dtype
from minicnn.core.types import Shape

SANITIZERS = ("thread", "address")
_FLAGS = ("-DEMULATE_REPLAY", "-g")
_THREADS = 4096  # of all launches of one run: each takes ThreadSanitizer some 10 memory maps, and Linux allows 65 530


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
def recording(folder: Path, threads: int = 2048, copies: int = 3, stems: list[str] | None = None) -> Iterator[set[str]]:
    """Write launches into ``folder/<stem>-<dtype>/``: of each kernel up to ``copies`` different ones.

    Launches of more than ``threads`` threads are left out, and files not among ``stems``. Yields the kernels
    that were written, as ``"file.kernel"``.
    """
    written: set[str] = set()
    seen: dict[tuple[sources.Kernel, str], set[Any]] = {}

    def write(kernel: sources.Kernel, real: "np.dtype[Any]", grid: Shape, block: Shape, args: list[Any]) -> None:
        if prod(grid) * prod(block) > threads or (stems is not None and kernel.file not in stems):
            return
        launches = seen.setdefault((kernel, real.name), set())
        key = grid, block, tuple(a.shape if isinstance(a, EmulatedArray) else a for a in args)  # None: a null pointer
        if len(launches) >= copies or repr(key) in launches:
            return
        launches.add(repr(key))
        written.add(f"{kernel.file}.{kernel.name}")
        place = folder / f"{kernel.file}-{real.name}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{len(list(place.iterdir())):04}.{kernel.name}").write_bytes(_packed(grid, block, args))

    emulator.LISTENERS.append(write)
    try:
        yield written
    finally:
        emulator.LISTENERS.remove(write)


def _packed(grid: Shape, block: Shape, args: list[Any]) -> bytes:
    """The launch as ``kernels/emulator.hpp`` reads it: pieces of memory, then arguments that point into them.

    Arguments that share bytes share a piece. It begins where the first of them does, at the same address modulo 16, and
    ends with the last of them: what lies around a view in its owner is no part of the argument.
    """
    spans = sorted((_address(a), _address(a) + a.host.nbytes) for a in args if isinstance(a, EmulatedArray))
    pieces: list[tuple[int, int]] = []
    for start, stop in spans:
        if pieces and start < pieces[-1][1]:
            pieces[-1] = pieces[-1][0], max(stop, pieces[-1][1])
        else:
            pieces.append((start, stop))
    data = [struct.pack("8I", *grid, *block, len(pieces), len(args))]
    for start, stop in pieces:
        data += [struct.pack("2Q", stop - start, start % 16), ctypes.string_at(start, stop - start)]
    for argument in args:
        if isinstance(argument, EmulatedArray):
            at, end = _address(argument), _address(argument) + argument.host.nbytes
            number = next(i for i, (start, stop) in enumerate(pieces) if start <= at and end <= stop)
            data.append(struct.pack("3Q", 1, number, at - pieces[number][0]))
        else:
            value = bytes(8) if argument is None else np.asarray(argument).tobytes()
            data += [struct.pack("3Q", 0, len(value), 0), value]
    return b"".join(data)


def _address(array: EmulatedArray) -> int:
    return int(array.host.__array_interface__["data"][0])


def replay(folder: Path, sanitizer: str) -> list[Finding]:
    """Run everything that :func:`recording` wrote there under ``"thread"`` or ``"address"``."""
    return [replay_file(place, sanitizer) for place in sorted(p for p in folder.iterdir() if p.is_dir())]


def replay_file(place: Path, sanitizer: str) -> Finding:
    """Run the launches of one kernel file and element type, ``folder/<stem>-<dtype>``."""
    stem, _, real = place.name.partition("-")
    program = emulator.build(stem, find_dtype(real), (*_FLAGS, f"-fsanitize={sanitizer}"), f"-{sanitizer}")
    launches = sorted(place.iterdir())
    options = {"TSAN_OPTIONS": "halt_on_error=1", "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0"}
    report = ""
    for together in _runs(launches):
        command = [str(program), *map(str, together)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | options)  # noqa: S603
        if done.returncode:
            report = done.stderr or f"exit code {done.returncode}"
            break
    return Finding(stem, real, sanitizer, len(launches), report)


def _runs(launches: list[Path]) -> Iterator[list[Path]]:
    """The launches that one run of the program replays, one after the other."""
    together: list[Path] = []
    threads = 0
    for launch in launches:
        with launch.open("rb") as file:
            mine = prod(struct.unpack("6I", file.read(24)))  # grid and block
        if together and threads + mine > _THREADS:
            yield together
            together, threads = [], 0
        together.append(launch)
        threads += mine
    if together:
        yield together
