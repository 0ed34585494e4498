"""What CUDA's functions do where there is no device, and how they get into CuPy."""

from __future__ import annotations

import ctypes
import importlib
import itertools
import os
import sys
from typing import Any

import numpy as np

from tests.absent_gpu import programs, streams
from tests.absent_gpu.tables import replace

CAPABILITY = (9, 0)
_TO_DEVICE, _TO_HOST = 1, 2  # cudaMemcpyKind
_ATTRIBUTES = {75: CAPABILITY[0], 76: CAPABILITY[1], 13: 1_000_000}  # cudaDevAttr: compute capability, clock in kHz
_numbers = itertools.count(1 << 20)  # handles of streams, events, modules and functions
_blocks: dict[int, Any] = {}
_locked: dict[int, int] = {}  # page-locked memory of the host: address and bytes
_modules: dict[int, str] = {}
_functions: dict[int, tuple[str, str]] = {}


def _malloc(size: int, *_: Any) -> int:
    block = ctypes.create_string_buffer(b"\xff" * size, size + 512)  # a NaN, or -1, where nothing was written
    at = -(-ctypes.addressof(block) // 512) * 512
    _blocks[at] = block
    return at


def _host_alloc(size: int, *_: Any) -> int:
    at = _malloc(size)
    _locked[at] = size
    return at


def _free(at: int) -> None:
    streams.finish_all()
    _locked.pop(at, None)
    _blocks.pop(at, None)


def _copy(to: int, source: int, size: int, _kind: int) -> None:
    streams.finish(0)
    ctypes.memmove(to, source, size)


def _copy_later(to: int, source: int, size: int, kind: int, stream: int) -> None:
    """Ordinary memory of the host is read at once, and written before the call returns; only page-locked one is not."""
    if kind == _TO_DEVICE and not _is_locked(source):
        staged = ctypes.string_at(source, size)
        streams.add(stream, lambda: ctypes.memmove(to, staged, size))
        return
    streams.add(stream, lambda: ctypes.memmove(to, source, size))
    if kind == _TO_HOST and not _is_locked(to):
        streams.finish(stream)


def _is_locked(at: int) -> bool:
    return any(start <= at < start + size for start, size in _locked.items())


def _load(image: bytes) -> int:
    number = next(_numbers)
    _modules[number] = image.decode()
    return number


def _function(module: int, name: str) -> int:
    number = next(_numbers)
    _functions[number] = _modules[module], name
    return number


def _launch(function: int, *rest: int) -> None:
    *sizes, _shared, stream, arguments, _extra = rest
    streams.add(stream, programs.launch(*_functions[function], sizes, arguments))


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
    "hostAlloc": _host_alloc,
    "free": _free,
    "freeHost": _free,
    "memcpy": _copy,
    "memcpyAsync": _copy_later,
    "memsetAsync": lambda to, value, size, stream: streams.add(stream, lambda: ctypes.memset(to, value, size)),
    "pointerGetMemoryType": lambda at: 1 if _is_locked(at) else 0,  # of the host and known to CUDA, or not
    "eventRecord": streams.record,
    "eventQuery": streams.query,
    "eventSynchronize": streams.wait,
    "eventElapsedTime": streams.milliseconds,
    "streamWaitEvent": streams.wait_event,
    "streamSynchronize": streams.finish,
    "deviceSynchronize": streams.finish_all,
    "streamIsCapturing": lambda _: 0,
    **dict.fromkeys(("streamCreateWithPriority", "eventCreateWithFlags"), lambda *_: next(_numbers)),
    **dict.fromkeys(("_ensure_context", "setDevice", "streamDestroy", "eventDestroy"), _nothing),
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


_FINISH = ctypes.CFUNCTYPE(None, ctypes.c_size_t)(streams.finish)


def _link_cublas() -> None:
    script = programs.built("libcublas.so.12 { global: *; };", ".map", "-E", "-P", "-x", "c")
    text = (programs.HERE / "cublas.cpp").read_text(encoding="utf-8")
    named = ("-shared", "-O2", "-Wl,-soname,libcublas.so.12", f"-Wl,--version-script={script}", "-x", "c++")
    library = ctypes.CDLL(str(programs.built(text, ".so", *named)), ctypes.RTLD_GLOBAL)
    ctypes.c_void_p.in_dll(library, "before_work").value = ctypes.cast(_FINISH, ctypes.c_void_p).value
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
    _finish_current()
    _memory(data, shape, dtype).sort(axis=-1, kind="stable")


def _argsort(dtype: Any, places: int, data: int, _keys: int, shape: Any) -> None:
    _finish_current()
    values = _memory(data, shape, dtype)
    _memory(places, shape, np.int64)[...] = values.argsort(axis=-1, kind="stable")
    values.sort(axis=-1, kind="stable")


def _finish_current() -> None:
    import cupy

    streams.finish(cupy.cuda.get_current_stream().ptr)
