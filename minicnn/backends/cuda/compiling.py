"""Compiling the kernels for architectures that are not here: NVRTC needs no GPU, and its log tells what a kernel takes.

Needs the packages ``cuda-bindings``, ``nvidia-cuda-nvrtc`` and, for the headers of the half types,
``nvidia-cuda-runtime``: the extra ``kernels``.
"""

import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from minicnn.backends.cuda import device, sources
from minicnn.core.device import DeviceUnavailableError
from minicnn.core.dtypes import find as find_dtype

ARCHITECTURES = ("sm_75", "sm_80", "sm_90")  # Turing, Ampere, Hopper: machine code
PORTABLE = "compute_75"  # PTX, which drivers compile for everything later
CUPYS = ("-ftz=true", "--device-as-default-execution-space")  # what CuPy 14 adds for a RawModule (cuda/compiler.py)
REALS = ("float32", "float64", "float16", "bfloat16")

_ENTRY = re.compile(
    r"Compiling entry function '(?P<kernel>\w+)' for '\w+'"
    r".*?(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads"
    r".*?Used (?P<registers>\d+) registers(?:[^\n]*?(?P<shared>\d+) bytes smem)?",
    re.DOTALL,
)


class Resources(NamedTuple):
    """What one thread, and one block, of a kernel takes on one architecture."""

    registers: int
    shared: int  # bytes a block
    spilled: int  # bytes a thread that did not fit into registers, stored and loaded


def compile_file(stem: str, real: str, architecture: str) -> dict[str, Resources]:
    """Compile ``kernels/<stem>.cu`` for one element type and architecture, with the options that CuPy will give.

    Returns
    -------
    dict
        For machine code (``sm_..``) what each kernel takes; for PTX (``compute_..``) an empty one.

    Raises
    ------
    RuntimeError
        With NVRTC's log, where it does not compile.
    """
    try:
        from cuda.bindings import nvrtc
    except ImportError as error:
        message = f"kernels: NVRTC is not installed ({error}); pip install -e '.[kernels]'"
        raise DeviceUnavailableError(message) from None

    includes = [f"-I{path}" for path in headers()]
    options = [f"--gpu-architecture={architecture}", *device.OPTIONS, *CUPYS, *includes]
    if architecture.startswith("sm_"):
        options.append("--ptxas-options=-v")
    text = device.source(stem, find_dtype(real))
    _, program = nvrtc.nvrtcCreateProgram(text.encode(), f"{stem}.cu".encode(), 0, [], [])
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [o.encode() for o in options])
    _, length = nvrtc.nvrtcGetProgramLogSize(program)
    log = b" " * length
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(program)
    said = log.decode(errors="replace").rstrip("\0 \n")
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(f"kernels/{stem}.cu does not compile for {real} on {architecture}:\n{said}")
    found = {m["kernel"]: m for m in _ENTRY.finditer(said)}
    return {
        name: Resources(int(m["registers"]), int(m["shared"] or 0), int(m["stores"]) + int(m["loads"]))
        for name, m in found.items()
    }


def headers() -> list[Path]:
    """Include folders with ``cuda_fp16.h``: those of NVIDIA's wheels, whatever CUDA they are of."""
    found = importlib.util.find_spec("nvidia")
    roots = [Path(p) for p in (found.submodule_search_locations or [])] if found else []
    return [h.parent for root in roots for h in sorted(root.glob("*/include/cuda_fp16.h"))]


class Compiled(NamedTuple):
    """One file, compiled for one element type."""

    stem: str
    real: str
    resources: dict[str, dict[str, Resources]]  # of each kernel, by architecture
    errors: tuple[str, ...]


def compile_all(job: tuple[str, str]) -> Compiled:
    """A file and an element type, for every architecture; errors are collected."""
    stem, real = job
    resources, errors = {}, []
    for architecture in (*ARCHITECTURES, PORTABLE):
        try:
            resources[architecture] = compile_file(stem, real, architecture)
        except RuntimeError as error:
            errors.append(str(error))
    return Compiled(stem, real, resources, tuple(errors))


def version() -> str:
    """NVRTC's, as ``13.0``."""
    from cuda.bindings import nvrtc

    _, major, minor = nvrtc.nvrtcVersion()
    return f"{major}.{minor}"


def said_version(text: str) -> str:
    """The version that a text of :func:`table` was made by, or ""."""
    found = re.search(r"NVRTC (\d+\.\d+), ", text)
    return found[1] if found else ""


def table(compiled: list[Compiled]) -> str:
    """A Markdown table of what every kernel takes in float32; where architectures differ, each one's number."""
    head = f"NVRTC {version()}, {' / '.join(ARCHITECTURES)} where they differ:"
    lines = [head, "", "| kernel | registers | shared bytes | spilled bytes |", "| --- |" + " ---: |" * 3]
    for each in (c for c in compiled if c.real == "float32"):
        for kernel in sources.kernels(each.stem).values():
            taken = (each.resources[a][kernel.name] for a in ARCHITECTURES)
            cells = [" / ".join(map(str, n if len(set(n)) > 1 else n[:1])) for n in zip(*taken, strict=True)]
            label = f"{each.stem}.{kernel.name}" + (" (device only)" if kernel.device_only else "")
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)
