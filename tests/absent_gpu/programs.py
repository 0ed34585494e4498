"""Texts of CUDA kernels as libraries: ours by the emulator, CuPy's by g++ with what ``include/prelude.hpp`` adds."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import subprocess
from collections.abc import Callable
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from minicnn.backends.cuda import device, emulator, sources
from minicnn.core.dtypes import find as find_dtype

HERE = Path(__file__).parent
FLAGS = [*(flag for flag in emulator.FLAGS if flag != "-O1"), "-O0", "-w", "-fPIC", "-fno-gnu-unique"]
_DYNAMIC = re.compile(r"extern __shared__ (\w+) (\w+)\[\]")
_KERNEL = re.compile(r"__global__\s+void\s+(\w+)\s*\(([^)]*)\)")


@cache
def library(text: str) -> ctypes.CDLL:
    """The text, compiled: ``emulate_<kernel>(sizes, arguments)`` launches one of its kernels."""
    if text in ours():
        return emulator.load(*ours()[text])
    text = _DYNAMIC.sub(r"static \1 \2[(48 << 10) / sizeof(\1)]", text)  # of any size up to that of a block
    entries = "".join(_entry(*match) for match in dict.fromkeys(_KERNEL.findall(text)))
    loaded = ctypes.CDLL(str(built(f"{text}\n{entries}", ".so", "-shared", "-x", "c++", include=prelude())))
    loaded.emulator_message.restype = ctypes.c_void_p
    return loaded


def _entry(name: str, parameters: str) -> str:
    """The function that launches a kernel. No templates: they would take most of the time of compiling."""
    types = [part.rpartition(" ")[0] for part in re.split(r",(?![^<]*>)", parameters)]
    passed = ", ".join(f"*({each}*)arguments[{i}]" for i, each in enumerate(types))
    return (
        f'extern "C" const unsigned sizes_{name}[];\n'  # or a constant would be known to this file only
        f"const unsigned sizes_{name}[] = {{{''.join(f'sizeof({each}), ' for each in types)}0}};\n"
        f"static void call_{name}() {{ {name}({passed}); }}\n"
        f'extern "C" int emulate_{name}(unsigned* s, void** a) {{ return launch(call_{name}, s, a); }}\n'
    )


@cache
def ours() -> dict[str, tuple[str, str]]:
    """File and element type of each text that our own kernels are compiled from."""
    reals = [find_dtype(real) for real in ("float16", "bfloat16", "float32", "float64")]
    return {device.source(stem, real): (stem, real.name) for stem in sources.stems() for real in reals}


def folders() -> list[str]:
    """Where headers are: those here stand before CuPy's of the same name."""
    import cupy

    return [str(HERE / "include"), str(sources.folder()), str(Path(cupy.__file__).parent / "_core" / "include")]


@cache
def prelude() -> Path:
    """The prelude, compiled."""
    headers = [path for path in (HERE / "include").rglob("*") if path.is_file()]
    headers += [sources.folder() / "emulator.hpp", *Path(folders()[-1], "cupy").glob("*.cuh")]
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(headers))
    wrapped = f'#include "prelude.hpp"\n// {hashlib.blake2s(text.encode()).hexdigest()}\n'
    return built(wrapped, ".hpp.gch", "-x", "c++-header").with_suffix("")


def built(text: str, suffix: str, *options: str, include: Path | None = None) -> Path:
    """What g++ makes of a text, kept in the cache."""
    command = [emulator.compiler() or "g++", *FLAGS, *options, *(f"-I{folder}" for folder in folders())]
    if include:
        command += ["-include", str(include)]
    digest = hashlib.blake2s("\0".join([text, *command]).encode(), digest_size=12).hexdigest()
    cache_folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minicnn" / "absent-gpu"
    target = cache_folder / f"{digest}{suffix}"
    if not target.exists():
        cache_folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        source = target.with_suffix("")  # a header is compiled from a file, and is looked for beside it
        source.write_text(text, encoding="utf-8")
        command += [str(source), "-o", str(partial)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"g++ does not compile\n{text}\n{done.stderr}")
        partial.replace(target)
    return target


def launch(text: str, name: str, sizes: Any, arguments: int) -> Callable[[], None]:
    """The launch as a call for later. ``arguments`` is an array of addresses, whose values are read now."""
    loaded = library(text)
    addresses = (ctypes.c_void_p * 64).from_address(arguments)
    values = [
        ctypes.create_string_buffer(ctypes.string_at(addresses[i], n), n) for i, n in enumerate(_bytes(text, name))
    ]
    kept = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))

    def run() -> None:
        with emulator._LOCK:
            if loaded[f"emulate_{name}"]((ctypes.c_uint * 6)(*sizes), kept):
                message = ctypes.cast(loaded.emulator_message(), ctypes.c_char_p).value or b""
                raise RuntimeError(f"{name}: {message.decode()} {sizes}")
        values.clear()

    return run


@cache
def _bytes(text: str, name: str) -> list[int]:
    """The size of each parameter."""
    if text not in ours():
        return list(takewhile(bool, (ctypes.c_uint * 64).in_dll(library(text), f"sizes_{name}")))
    stem, real = ours()[text]
    parameters = sources.kernel(f"{stem}.{name}").parameters
    return [8 if p.pointer else sources.dtype_of(p.type, find_dtype(real)).itemsize for p in parameters]
