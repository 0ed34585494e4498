"""What a number was measured on: stored with every result."""

import hashlib
import os
import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from minicnn.core.device import device as find_device

_LIBRARIES = ("OPENBLAS_", "OMP_", "MKL_", "ONEDNN_", "NUMBA_")


def processor() -> str:
    """The processor's own name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


PACKAGES = ("numpy", "numba", "scipy", "torch", "tinygrad", "mygrad", "autograd")


@cache
def code() -> str:
    """A hash of the package's sources and the CUDA kernels: two results with the same one measured the same code."""
    from minicnn.backends.cuda import sources

    digest = hashlib.blake2s(digest_size=6)
    for source in [*sorted(Path(__file__).parents[1].rglob("*.py")), *sorted(sources.folder().glob("*.cu*"))]:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def stamp(packages: tuple[str, ...] = PACKAGES, device: str = "cpu") -> dict[str, object]:
    """Date, processor, cores, system, Python, our code and versions of the packages named (``None``: not installed).

    For a device other than the CPU also what it is, in words, with CuPy's, CUDA's and the driver's versions.

    ``environment`` holds the variables that choose kernels or threads of NumPy's, SciPy's and PyTorch's libraries.
    ``load`` is the average number of running processes in the minute before: what else the machine was doing.
    """
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    place: dict[str, object] = {}
    if device != "cpu":
        _ = find_device(device).backend  # says what is missing, if anything is
    if device == "cuda":
        from minicnn.backends.cuda.detection import description

        place = {"device": description()}
    elif device != "cpu":
        place = {"device": device}
    return place | {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": cores,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "minicnn": code(),
        "packages": found,
        "environment": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(_LIBRARIES)},
    }
