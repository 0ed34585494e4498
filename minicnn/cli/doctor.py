"""``minicnn doctor``: what this machine can do, and what it cannot and why."""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "numpy", "numba", "scipy", "pillow", "matplotlib", "rich", "safetensors", "ml_dtypes", "cupy-cuda12x",
    "cupy-cuda13x", "torch",
)  # fmt: skip


def add_to(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "doctor", help="say what this machine can do", description="Cores, BLAS, numba, GPU and versions."
    )
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Print one fact per line."""
    facts = [*_machine(), *_blas(), *_numba(), ("GPU", gpu()), ("cuda-emulated", emulated()), *_versions()]
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        print(f"{name:<{width}}  {value}")
    return 0


def _machine() -> list[tuple[str, str]]:
    import minicnn

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        ("minicnn", f"{minicnn.__version__} in {Path(minicnn.__file__).parent}"),
        ("Python", f"{platform.python_version()} on {platform.platform()}"),
        ("cores", f"{allowed} usable of {os.cpu_count()}; {minicnn.get_num_threads()} threads per operation"),
        ("memory", _memory()),
    ]


def _memory() -> str:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return "unknown"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"


def _blas() -> list[tuple[str, str]]:
    import scipy.linalg.cython_blas  # noqa: F401 - loads SciPy's own BLAS, so that it is listed
    from threadpoolctl import threadpool_info

    return [("BLAS", _describe(found)) for found in threadpool_info() if found["user_api"] == "blas"]


def _describe(blas: dict[str, Any]) -> str:
    name = f"{blas['internal_api']} {blas['version']} ({blas.get('architecture', '?')})"
    return f"{name}, {blas['num_threads']} threads, {Path(blas['filepath']).name}"


def _numba() -> list[tuple[str, str]]:
    os.environ.setdefault("MINICNN_QUIET", "1")  # the probe compiles one small kernel
    import numba

    from minicnn.backends.cpu.probe import threading_layer

    layer = threading_layer()
    folder = numba.config.CACHE_DIR
    return [("numba threads", f"{numba.get_num_threads()}, layer {layer}"), ("kernel cache", folder)]


def gpu() -> str:
    """The GPU in words, or the link that is missing."""
    from minicnn.backends.cuda.detection import description, missing_link

    try:
        return missing_link() or description()
    except Exception as error:  # noqa: BLE001 - whatever is broken there, the rest of the report must appear
        return f"CuPy fails ({type(error).__name__}: {error})"


def emulated() -> str:
    """What compiles the kernels for the emulated device."""
    from minicnn.backends.cuda.emulator import compiler

    return compiler() or "no C++ compiler: install g++ to run the CUDA kernels on the CPU"


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "not installed"))
    return found
