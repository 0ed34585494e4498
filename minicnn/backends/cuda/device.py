"""The device ``cuda``: CuPy's arrays and streams, and our kernels compiled by NVRTC.

Nothing here runs before a Tensor asks for the device.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from typing import Any

import numpy as np

from minicnn.backends.cuda import clock, sources
from minicnn.backends.cuda.detection import missing_link
from minicnn.backends.cuda.uploading import PinnedUploader
from minicnn.core.device import DeviceUnavailableError
from minicnn.core.types import Shape

_SPIN = """
extern "C" __global__ void spin(long long cycles) {
  const long long begin = clock64();
  while (clock64() - begin < cycles) {}
}
"""


class CupyRuntime:
    """The current CUDA device through CuPy."""

    def __init__(self) -> None:
        missing = missing_link()
        if missing:
            raise DeviceUnavailableError(f"cuda: {missing}")
        import cupy

        self.namespace = cupy
        self._uploads: Any = None
        self._timed = _Timed(cupy)

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
        """Seconds that so many calls take on the device, by its events."""
        return clock.seconds(self._timed, call, count)

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
        try:
            with inner:
                yield inner
        finally:
            before.wait_event(inner.record())

    def uploader(self) -> PinnedUploader:
        if self._uploads is None:  # one stream for all: the pool keeps the memory of each stream apart
            self._uploads = self.namespace.cuda.Stream(non_blocking=True)
        import cupyx

        return PinnedUploader(self.namespace, cupyx.empty_pinned, self._uploads)


class _Timed:
    """The current stream as :mod:`clock` wants it."""

    def __init__(self, cupy: Any) -> None:
        self._cuda, self._spin = cupy.cuda, cupy.RawKernel(_SPIN, "spin")  # compiled at its first launch

    def synchronize(self) -> None:
        self._cuda.Device().synchronize()

    def wait(self, seconds: float) -> None:
        self._spin((1,), (1,), (np.int64(seconds * self._hertz),))

    @cached_property
    def _hertz(self) -> float:
        return float(self._cuda.Device().attributes["ClockRate"]) * 1e3

    def mark(self) -> Any:
        return self._cuda.get_current_stream().record()

    def between(self, begin: Any, end: Any) -> float:
        end.synchronize()
        return float(self._cuda.get_elapsed_time(begin, end)) / 1e3


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
