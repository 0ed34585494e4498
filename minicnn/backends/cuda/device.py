"""The device ``cuda``: CuPy's arrays and streams, and our kernels compiled by NVRTC.

Nothing here runs before a Tensor asks for the device; importing CuPy needs no driver, so what is missing is found link
by link and said in one error.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from minicnn.backends.cuda import sources
from minicnn.core.device import DeviceUnavailableError
from minicnn.core.types import Array, Shape


class CupyRuntime:
    """The current CUDA device through CuPy."""

    def __init__(self) -> None:
        missing = missing_link()
        if missing:
            raise DeviceUnavailableError(f"cuda: {missing}")
        import cupy

        self.namespace = cupy

    def run(self, kernel: sources.Kernel, real: "np.dtype[Any]", grid: Shape, block: Shape, args: list[Any]) -> None:
        function = load(kernel.file, real.name).get_function(kernel.name)
        function(grid, block, tuple(np.uintp(0) if a is None else a for a in args))

    def to_host(self, array: Any) -> Any:
        return self.namespace.asnumpy(array)

    def is_array(self, value: Any) -> bool:
        return isinstance(value, self.namespace.ndarray)

    def synchronize(self) -> None:
        self.namespace.cuda.Device().synchronize()

    def clock(self, call: Callable[[], object], count: int) -> float:
        """Seconds that so many calls take on the device: between two events on its stream."""
        begin, end = self.namespace.cuda.Event(), self.namespace.cuda.Event()
        self.synchronize()
        begin.record()
        for _ in range(count):
            call()
        end.record()
        end.synchronize()
        return float(self.namespace.cuda.get_elapsed_time(begin, end)) / 1e3

    def memory_stats(self) -> dict[str, int]:
        pool, pinned = self.namespace.get_default_memory_pool(), self.namespace.get_default_pinned_memory_pool()
        free, total = self.namespace.cuda.Device().mem_info
        return {
            "used": pool.used_bytes(), "pooled": pool.total_bytes(), "pinned_blocks": pinned.n_free_blocks(),
            "free": free, "total": total,
        }  # fmt: skip

    def empty_cache(self) -> None:
        self.namespace.get_default_memory_pool().free_all_blocks()
        self.namespace.get_default_pinned_memory_pool().free_all_blocks()

    @contextmanager
    def stream(self, of: Any = None) -> Iterator[Any]:
        before = self.namespace.cuda.get_current_stream()
        inner = self.namespace.cuda.Stream(non_blocking=True) if of is None else of
        inner.wait_event(before.record())
        with inner:
            yield inner
        before.wait_event(inner.record())

    def uploader(self) -> "PinnedUploader":
        return PinnedUploader(self.namespace)


class PinnedUploader:
    """Copies to the device beside the work that goes on there: page-locked memory and a stream of its own."""

    def __init__(self, namespace: Any) -> None:
        self._cupy = namespace
        self._stream = namespace.cuda.Stream(non_blocking=True)

    def start(self, hosts: Sequence[Any]) -> Any:
        """Begin to copy; what it returns is for :meth:`finish`.

        The copies wait for what is under way now: memory that the pool hands out again may still be read by it.
        """
        import cupyx

        self._stream.wait_event(self._cupy.cuda.get_current_stream().record())
        arrays, pinned = [], []
        with self._stream:
            for host in hosts:
                locked = cupyx.empty_pinned(host.shape, host.dtype)
                locked[...] = host
                array = self._cupy.empty(host.shape, host.dtype)
                array.set(locked, stream=self._stream)
                arrays.append(array)
                pinned.append(locked)
        return arrays, pinned, self._stream.record()

    def finish(self, started: Any) -> list[Array]:
        """The arrays; the device, not the host, waits for the copies."""
        arrays, _, copied = started
        self._cupy.cuda.get_current_stream().wait_event(copied)
        return arrays  # type: ignore[no-any-return]


def missing_link() -> str | None:
    """The first link of the chain library, driver, device, compiler that is missing, and what to do; else ``None``."""
    try:
        import cupy
    except ImportError as error:
        return f"CuPy is not installed ({error}); pip install 'minicnn[cuda12]' or 'minicnn[cuda13]'"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # noqa: BLE001 - CuPy has an error class for each library below it
        return f"CuPy {cupy.__version__} is installed, but the driver does not answer ({error}); install the driver"
    if not count:
        return f"CuPy {cupy.__version__} and a driver are there, but no CUDA device is visible (CUDA_VISIBLE_DEVICES?)"
    try:
        from cupy.cuda import nvrtc

        nvrtc.getVersion()
    except Exception as error:  # noqa: BLE001 - idem
        return f"a device is there, but NVRTC does not load ({error}); install CuPy with its [ctk] extra"
    return None


def description() -> str:
    """The device in words: name, compute capability, memory, and the versions that serve it."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(0)
    runtime = cupy.cuda.runtime.runtimeGetVersion()
    toolkit = f"CuPy {cupy.__version__}, CUDA {runtime // 1000}.{runtime % 1000 // 10}"
    name, capability = properties["name"].decode(), f"sm_{properties['major']}{properties['minor']}"
    return f"{name}, {capability}, {properties['totalGlobalMem'] / 2**30:.0f} GiB; {toolkit}"


def source(stem: str, real: Any) -> str:
    """The CUDA text of one kernel file for one element type: what NVRTC compiles."""
    half = {"float16": "#include <cuda_fp16.h>\n", "bfloat16": "#include <cuda_bf16.h>\n"}.get(real.name, "")
    macros = "".join(f"#define {name} {word}\n" for name, word in sources.spelled(real).items())
    return half + macros + sources.text(stem)


@cache
def load(stem: str, real: str) -> Any:
    """The compiled module (CuPy keeps it on disk as well)."""
    import cupy

    return cupy.RawModule(code=source(stem, np.dtype(real)), options=("--std=c++17",))
