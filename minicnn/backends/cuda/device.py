"""The device ``cuda``: CuPy's arrays and streams, and our kernels compiled by NVRTC.

Nothing here runs before a Tensor asks for the device; importing CuPy needs no driver, so what is missing is found link
by link and said in one error.
"""

from functools import cache
from typing import Any

import numpy as np

from minicnn.backends.cuda import sources
from minicnn.core.types import Shape


class CupyRuntime:
    """The current CUDA device through CuPy."""

    def __init__(self) -> None:
        missing = missing_link()
        if missing:
            raise RuntimeError(f"cuda: {missing}")
        import cupy

        self.namespace = cupy

    def run(self, kernel: sources.Kernel, real: "np.dtype[Any]", grid: Shape, block: Shape, args: list[Any]) -> None:
        function = load(kernel.file, real.name).get_function(kernel.name)
        function(grid, block, tuple(np.uintp(0) if a is None else a for a in args))

    def to_host(self, array: Any) -> Any:
        return self.namespace.asnumpy(array)

    def is_array(self, value: Any) -> bool:
        return isinstance(value, self.namespace.ndarray)


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


def source(stem: str, real: "np.dtype[Any]") -> str:
    """The CUDA text of one kernel file for one element type: what NVRTC compiles."""
    half = {"float16": "#include <cuda_fp16.h>\n", "bfloat16": "#include <cuda_bf16.h>\n"}.get(real.name, "")
    macros = "".join(f"#define {name} {word}\n" for name, word in sources.spelled(real).items())
    return half + macros + sources.text(stem)


@cache
def load(stem: str, real: str) -> Any:
    """The compiled module (CuPy keeps it on disk as well)."""
    import cupy

    return cupy.RawModule(code=source(stem, np.dtype(real)), options=("--std=c++17",))
