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
from minicnn.backends.cuda.products import Product
from minicnn.backends.cuda.uploading import PinnedUploader
from minicnn.core.device import DeviceUnavailableError
from minicnn.core.dtypes import find as find_dtype
from minicnn.core.types import Shape

OPTIONS = ("--std=c++17",)  # of NVRTC; CuPy adds some of its own (``compiling.CUPYS``)
_KINDS = {  # cuBLAS's names of element types
    "float16": "CUDA_R_16F", "bfloat16": "CUDA_R_16BF", "float32": "CUDA_R_32F", "float64": "CUDA_R_64F",
}  # fmt: skip
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
        self._uploads: dict[int, Any] = {}  # by the stream that uses what they bring
        self._timed = _Timed(cupy)

    @cached_property
    def has_tf32(self) -> bool:
        return int(self.namespace.cuda.Device().compute_capability) >= 80

    def run(self, kernel: sources.Kernel, real: "np.dtype[Any]", grid: Shape, block: Shape, args: list[Any]) -> None:
        function = compiled(kernel.file, real.name, kernel.name)
        function(grid, block, tuple(np.uintp(0) if a is None else a for a in args))

    def multiply(self, product: Product) -> None:
        cuda, p, real = self.namespace.cuda, product, product.a.array.dtype
        blas, types = cuda.cublas, cuda.runtime
        letters = [blas.CUBLAS_OP_T if x.transposed else blas.CUBLAS_OP_N for x in (p.a, p.b)]
        a, b, c = (
            (x.array.data.ptr + x.offset * x.array.itemsize, getattr(types, _KINDS[x.array.dtype.name]), x.leading)
            for x in (p.a, p.b, p.c)
        )
        one, kept = (np.array(number, sources.sum_type(real)) for number in (1, p.add))  # read by the call
        before = (cuda.get_cublas_handle(), *letters, p.m, p.n, p.k, one.ctypes.data)
        how = self._sums(real, p.exact), blas.CUBLAS_GEMM_DEFAULT
        if p.batch == 1:  # which cuBLAS may cut into parts of a long sum
            blas.gemmEx(*before, *a, *b, kept.ctypes.data, *c, *how)
        else:
            blas.gemmStridedBatchedEx(
                *before, *a, p.a.stride, *b, p.b.stride, kept.ctypes.data, *c, p.c.stride, p.batch, *how
            )

    def _sums(self, real: "np.dtype[Any]", exact: bool) -> int:
        """How cuBLAS shall add: as it does for CuPy's own products of two matrices."""
        from cupy._core import _routines_linalg as linalg

        blas = self.namespace.cuda.cublas
        if real.itemsize == 8:
            return int(blas.CUBLAS_COMPUTE_64F)
        rounded = real.itemsize == 4 and not exact and linalg.get_compute_type(real) == linalg.COMPUTE_TYPE_TF32
        return int(blas.CUBLAS_COMPUTE_32F_FAST_TF32 if rounded else blas.CUBLAS_COMPUTE_32F)

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
        import cupyx

        cuda, caller = self.namespace.cuda, self.namespace.cuda.get_current_stream().ptr
        if caller not in self._uploads:  # the pool keeps the memory of each stream apart, so what they reuse is theirs
            self._uploads[caller] = cuda.Stream(non_blocking=True)
        return PinnedUploader(self.namespace, cupyx.empty_pinned, self._uploads[caller])


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

    return cupy.RawModule(code=source(stem, find_dtype(real)), options=OPTIONS)


@cache
def compiled(stem: str, real: str, name: str) -> Any:
    """One kernel of the module; CuPy keeps in it what it loads on each device."""
    return load(stem, real).get_function(name)
