"""The device ``cuda-emulated``: the kernels' own text compiled with g++ and run on the CPU (``kernels/emulator.hpp``).

It is for trust, not for speed: the launch code is the GPU's, every launch goes through the same checks, divergent
barriers are errors. Its arrays hide their NumPy memory as a GPU's do: mixing them with host arrays raises.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minicnn.backends.cuda import emulated_arrays, sources
from minicnn.backends.cuda.emulated_arrays import EmulatedArray
from minicnn.backends.cuda.products import Matrices, Product
from minicnn.core.device import DeviceUnavailableError
from minicnn.core.dtypes import find as find_dtype
from minicnn.core.types import Array, Shape

FLAGS = (
    "-std=c++20", "-O1", "-fno-strict-aliasing", "-ffp-contract=off", "-Wno-unknown-pragmas",
    "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=0",  # or longjmp to another fiber is taken for an attack
)  # fmt: skip
_PATTERN = "-ftrivial-auto-var-init=pattern"  # locals that nobody wrote hold 0xFE; of g++ 12 and later
_HALVES = {  # CUDA's names for the half types, in the terms of g++ 12
    "float16": "typedef _Float16 __half;\n",
    "bfloat16": """
#include <bit>
struct __nv_bfloat16 {  // the upper half of a float
  unsigned short bits;
  __nv_bfloat16() = default;
  __nv_bfloat16(float value) {
    const unsigned whole = std::bit_cast<unsigned>(value);  // rounded to the nearest, half to even; a NaN stays one
    bits = value != value ? (whole >> 16) | 64 : (whole + 0x7fff + (whole >> 16 & 1)) >> 16;
  }
  operator float() const { return std::bit_cast<float>((unsigned)bits << 16); }
};
""",
}
_LOCK = threading.Lock()  # fibers take turns on one CPU thread


class EmulatedRuntime:
    """A CPU that runs CUDA kernels."""

    namespace: Any = emulated_arrays
    has_tf32 = True  # so that the kernels of tensor cores are run, whose fragments a loop multiplies here

    def __init__(self) -> None:
        if compiler() is None:
            raise DeviceUnavailableError("cuda-emulated: needs a C++20 compiler; found neither g++ nor $CXX")

    def run(self, kernel: sources.Kernel, real: "np.dtype[Any]", grid: Shape, block: Shape, args: list[Any]) -> None:
        if kernel.device_only:
            raise RuntimeError(f"{kernel.file}.{kernel.name} is a DEVICE_KERNEL: it needs a GPU, not cuda-emulated")
        library = load(kernel.file, real.name)
        values = [_value(a) for a in args]
        pointers = (ctypes.c_void_p * len(values))(*[v.ctypes.data for v in values])
        sizes = (ctypes.c_uint * 6)(*grid, *block)
        with _LOCK:
            for listener in LISTENERS:
                listener(kernel, real, grid, block, args)
            failed = library[f"emulate_{kernel.name}"](sizes, pointers)
            if failed:
                message = ctypes.cast(library.emulator_message(), ctypes.c_char_p).value or b""
                raise RuntimeError(f"{kernel.file}.{kernel.name}: {message.decode()} [grid={grid}, block={block}]")

    def multiply(self, product: Product) -> None:
        p, sums = product, sources.sum_type(product.a.array.dtype)
        a = _columns(p.a, p.m, p.k, p.batch).astype(sums, copy=False)
        b = _columns(p.b, p.k, p.n, p.batch).astype(sums, copy=False)
        c = _columns(p.c, p.m, p.n, p.batch)
        with np.errstate(all="ignore"):  # as a device, which says nothing of infinities
            c[...] = np.matmul(a, b) + c if p.add else np.matmul(a, b)

    def to_host(self, array: Any) -> Any:
        return np.array(array.host)

    def is_array(self, value: Any) -> bool:
        return isinstance(value, EmulatedArray)

    def clock(self, call: Callable[[], object], count: int) -> float:
        """Seconds of the CPU, which say nothing about a GPU."""
        start = time.perf_counter()
        for _ in range(count):
            call()
        return time.perf_counter() - start

    def uploader(self) -> "Uploader":
        return Uploader()


class Uploader:
    """Copies to the device, at once: there is nothing here that could go on meanwhile."""

    _namespace: Any = emulated_arrays

    def mark(self) -> None:
        """Nothing is under way."""

    def start(self, hosts: Sequence[Any], mark: None) -> list[Array]:
        """Copy."""
        return [self._namespace.array(host) for host in hosts]

    def finish(self, started: list[Array]) -> list[Array]:
        """The arrays."""
        return started

    def close(self) -> None:
        """Nothing to wait for."""


LISTENERS: list[Any] = []  # called with every launch before it runs, as ``run`` is (``recording.py``)


def _value(argument: Any) -> Any:
    """A NumPy value that holds the argument as the kernel takes it: a scalar, or an address."""
    if argument is None:
        return np.array(0, np.uint64)
    if isinstance(argument, EmulatedArray):
        return np.array(argument.host.ctypes.data, np.uint64)
    return np.asarray(argument)


def _columns(of: Matrices, rows: int, columns: int, batch: int) -> Any:
    """A view (batch, rows, columns) of column-major matrices, transposed where they say so."""
    item = of.array.itemsize
    stored = (columns, rows) if of.transposed else (rows, columns)
    memory = as_strided(of.array.host, (of.offset + 1,), (item,))[of.offset :]
    view = as_strided(memory, (batch, *stored), (of.stride * item, item, of.leading * item))
    return view.swapaxes(1, 2) if of.transposed else view


def compiler() -> str | None:
    """The C++ compiler: ``$CXX``, or g++."""
    return shutil.which(os.environ.get("CXX", "g++"))


@cache
def _identity(path: str) -> tuple[str, ...]:
    """What tells compilers apart, and the flags that this one knows besides FLAGS."""

    def said(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([path, *arguments], capture_output=True, text=True, input="", check=False)  # noqa: S603

    known = said(_PATTERN, "-x", "c++", "-fsyntax-only", "-").returncode == 0
    return path, said("--version").stdout, *((_PATTERN,) if known else ())


def translation(stem: str, real: "np.dtype[Any]") -> str:
    """The C++ text of one kernel file: the emulator, the file itself, and an entry point for each kernel."""
    macros = "".join(f"#define {name} {word}\n" for name, word in sources.spelled(real).items())
    macros += _HALVES.get(real.name, "")
    entries, table = [], []
    for kernel in sources.kernels(stem).values():
        if kernel.device_only:
            continue
        passed = ", ".join(
            f"*({'const ' if p.const else ''}{p.type}{'*' if p.pointer else ''}*)a[{i}]"
            for i, p in enumerate(kernel.parameters)
        )
        entries.append(
            f"static int launch_{kernel.name}(dim3 g, dim3 b, void** a) {{"
            f" return emulator::run(g, b, [=] {{ {kernel.name}({passed}); }}); }}\n"
            f'extern "C" int emulate_{kernel.name}(unsigned* s, void** a) {{'
            f" return launch_{kernel.name}({{s[0], s[1], s[2]}}, {{s[3], s[4], s[5]}}, a); }}\n"
        )
        table.append(f'if (name == "{kernel.name}") return launch_{kernel.name};')
    return (
        f'{macros}#include "emulator.hpp"\n{sources.text(stem)}\n#line 1 "entries"\n'
        + "".join(entries)
        + 'extern "C" const char* emulator_message() { return emulator::message; }\n'
        + "#ifdef EMULATE_REPLAY\n"
        + "static emulator::Entry find(const std::string& name) { " + " ".join(table) + " return nullptr; }\n"
        + "int main(int count, char** paths) { return emulator::replay(count - 1, paths + 1, find); }\n#endif\n"
    )  # fmt: skip


def build(stem: str, real: "np.dtype[Any]", flags: tuple[str, ...], suffix: str) -> Path:
    """Compile a kernel file, or find it compiled, in the cache; its name holds a hash of all that went in."""
    source = translation(stem, real)
    header = (sources.folder() / "emulator.hpp").read_text(encoding="utf-8")
    path, version, *more = _identity(compiler() or "g++")
    options = [*FLAGS, *more, *flags, "-I", str(sources.folder())]
    command = [path, *options, "-x", "c++", "-", "-o"]
    digest = hashlib.blake2s("\0".join([source, header, path, version, *options]).encode(), digest_size=8).hexdigest()
    cache_folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minicnn" / "emulated"
    target = cache_folder / f"{stem}-{real.name}-{digest}{suffix}"
    if not target.exists():
        cache_folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}.{threading.get_ident()}")
        done = subprocess.run([*command, str(partial)], input=source, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise RuntimeError(f"cuda-emulated: kernels/{stem}.cu does not compile for {real.name}:\n{done.stderr}")
        partial.replace(target)  # at once, so that two processes may build side by side
    return target


@cache
def load(stem: str, real: str) -> ctypes.CDLL:
    """The compiled file as a library."""
    library = ctypes.CDLL(str(build(stem, find_dtype(real), ("-shared", "-fPIC"), ".so")))
    library.emulator_message.restype = ctypes.c_void_p
    return library
