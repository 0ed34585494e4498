"""What CUDA's functions do where there is no device, and how they get into CuPy."""

from __future__ import annotations

import ctypes
import importlib
import itertools
import os
import sys
import time
from typing import Any

import numpy as np

from tests.absent_gpu import programs
from tests.absent_gpu.tables import replace

CAPABILITY = (9, 0)
_ATTRIBUTES = {75: CAPABILITY[0], 76: CAPABILITY[1], 13: 1_000_000}  # cudaDevAttr: compute capability, clock in kHz
_numbers = itertools.count(1 << 20)  # handles of streams, events, modules and functions
_blocks: dict[int, Any] = {}
_events: dict[int, float] = {}
_modules: dict[int, str] = {}
_functions: dict[int, tuple[str, str]] = {}


def _malloc(size: int, *_: Any) -> int:
    block = ctypes.create_string_buffer(b"\xff" * size, size + 512)  # a NaN, or -1, where nothing was written
    at = -(-ctypes.addressof(block) // 512) * 512
    _blocks[at] = block
    return at


def _free(at: int, *_: Any) -> None:
    _blocks.pop(at, None)


def _copy(to: int, source: int, size: int, *_: Any) -> None:
    ctypes.memmove(to, source, size)


def _set(to: int, value: int, size: int, *_: Any) -> None:
    ctypes.memset(to, value, size)


def _record(event: int, *_: Any) -> None:
    _events[event] = time.perf_counter()


def _load(image: bytes) -> int:
    number = next(_numbers)
    _modules[number] = image.decode()
    return number


def _function(module: int, name: str) -> int:
    number = next(_numbers)
    _functions[number] = _modules[module], name
    return number


def _launch(function: int, *rest: int) -> None:
    *sizes, _shared, _stream, arguments, _extra = rest
    programs.run(*_functions[function], sizes, arguments)


def _nothing(*_: Any) -> None:
    pass


RUNTIME: dict[str, Any] = {
    "getDevice": lambda: 0,
    "getDeviceCount": lambda: 1,
    "deviceGetAttribute": lambda attribute, _: _ATTRIBUTES.get(attribute, 0),
    "getDeviceProperties": lambda _: {
        "name": b"no GPU", "major": CAPABILITY[0], "minor": CAPABILITY[1], "warpSize": 32, "totalGlobalMem": 1 << 30,
        "multiProcessorCount": 1,
    },
    "driverGetVersion": lambda: 12090,
    "runtimeGetVersion": lambda: 12090,
    "memGetInfo": lambda: (1 << 29, 1 << 30),
    "malloc": _malloc,
    "hostAlloc": _malloc,
    "free": _free,
    "freeHost": _free,
    "memcpy": _copy,
    "memcpyAsync": _copy,
    "memset": _set,
    "memsetAsync": _set,
    "pointerGetMemoryType": lambda _: 1,
    "eventRecord": _record,
    "eventElapsedTime": lambda begin, end: 1e3 * (_events[end] - _events[begin]),
    **dict.fromkeys(("streamCreateWithPriority", "eventCreateWithFlags"), lambda *_: next(_numbers)),
    **dict.fromkeys(("eventQuery", "streamQuery", "streamIsCapturing"), lambda _: 0),
    **dict.fromkeys(
        (
            "_ensure_context", "setDevice", "deviceSynchronize", "eventSynchronize", "eventDestroy",
            "streamSynchronize", "streamWaitEvent", "streamDestroy",
        ),
        _nothing,
    ),
}  # fmt: skip
DRIVER = {
    "moduleLoadData": _load, "moduleUnload": _nothing, "moduleGetFunction": _function, "launchKernel": _launch,
}  # fmt: skip


def plug_in() -> None:
    """Put them in place of CUDA's, and import CuPy."""
    if "cupy" in sys.modules:
        raise RuntimeError("absent_gpu: CuPy was imported before")
    os.environ["CUPY_ACCELERATORS"] = ""  # CUB and cuTENSOR are machine code
    runtime, driver = (importlib.import_module(f"cupy_backends.cuda.api.{name}") for name in ("runtime", "driver"))
    for module, functions in ((runtime, RUNTIME), (driver, DRIVER)):
        for name, function in functions.items():
            replace(module, name, function)
    import cupy
    from cuda import pathfinder
    from cupy.cuda import compiler, function

    pathfinder.find_nvidia_header_directory = lambda *_: str(programs.HERE / "include")

    def load(source: str, *_: Any, **__: Any) -> Any:
        module = function.Module()
        module.load(source.encode())
        return module

    compiler._compile_module_with_cache = load
    cupy.cuda.thrust.sort, cupy.cuda.thrust.argsort = _sort, _argsort
    _link_cublas()


def _link_cublas() -> None:
    script = programs.built("libcublas.so.12 { global: *; };", ".map", "-E", "-P", "-x", "c")
    text = (programs.HERE / "cublas.cpp").read_text(encoding="utf-8")
    named = ("-shared", "-O2", "-Wl,-soname,libcublas.so.12", f"-Wl,--version-script={script}", "-x", "c++")
    ctypes.CDLL(str(programs.built(text, ".so", *named)), ctypes.RTLD_GLOBAL)
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_LAZY)  # what is not in there is not called
    try:
        importlib.import_module("cupy_backends.cuda.libs.cublas")
    finally:
        sys.setdlopenflags(flags)


def _memory(at: int, shape: Any, dtype: Any) -> Any:
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * count).from_address(at), dtype).reshape(shape)


def _sort(dtype: Any, data: int, _keys: int, shape: Any) -> None:
    _memory(data, shape, dtype).sort(axis=-1, kind="stable")


def _argsort(dtype: Any, places: int, data: int, _keys: int, shape: Any) -> None:
    values = _memory(data, shape, dtype)
    _memory(places, shape, np.int64)[...] = values.argsort(axis=-1, kind="stable")
    values.sort(axis=-1, kind="stable")
