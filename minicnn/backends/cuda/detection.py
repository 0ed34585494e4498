"""Whether there is a GPU: the chain CuPy, driver, device, headers and NVRTC, cuBLAS, link by link.

Importing CuPy needs no driver, so what is missing can be found and named.
"""

_LEAST = 14  # CuPy's version: what this backend asks of it means something else, or is absent, in earlier ones
_INSTALL = f"pip install 'cupy-cuda12x[ctk]>={_LEAST}', or 'cupy-cuda13x[ctk]>={_LEAST}' for CUDA 13"
_NO_DEVICE = 100  # cudaErrorNoDevice
_PROBE = '#include <cuda_fp16.h>\nextern "C" __global__ void probe(__half* x) { x[0] = __float2half(1.0f); }'


def missing_link() -> str | None:
    """The first link that is missing, and what to do; else ``None``."""
    try:
        import cupy
    except ImportError as error:
        return f"CuPy is not installed ({error}); {_INSTALL}"
    here = f"CuPy {cupy.__version__}"
    if int(cupy.__version__.partition(".")[0]) < _LEAST:
        return f"{here} is too old, {_LEAST} or later is needed; {_INSTALL}"
    unseen = f"{here} and a driver are there, but no CUDA device is visible (CUDA_VISIBLE_DEVICES?)"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        if error.status == _NO_DEVICE:
            return unseen
        return f"{here} is installed, but the CUDA driver does not answer ({error}); install NVIDIA's driver"
    if not count:
        return unseen
    try:
        cupy.RawModule(code=_PROBE).get_function("probe")
    except Exception as error:  # noqa: BLE001 - CuPy has an error class for each library below it
        said = str(error).strip().splitlines()[:1]
        return f"a device is there, but NVRTC compiles nothing ({said}); install CuPy with its [ctk] extra"
    try:
        from cupy.cuda import cublas

        cublas.getVersion(cupy.cuda.device.get_cublas_handle())
    except Exception as error:  # noqa: BLE001 - idem
        return f"a device is there, but cuBLAS does not load ({error}); install CuPy with its [ctk] extra"
    return None


def description() -> str:
    """The current device in words: name, compute capability, memory, and the versions that serve it."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    runtime, driver = cupy.cuda.runtime.runtimeGetVersion(), cupy.cuda.runtime.driverGetVersion()
    versions = f"CuPy {cupy.__version__}, CUDA {_dotted(runtime)}, driver for {_dotted(driver)}"
    name, capability = properties["name"].decode(), f"sm_{properties['major']}{properties['minor']}"
    return f"{name}, {capability}, {properties['totalGlobalMem'] / 2**30:.0f} GiB; {versions}"


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"
