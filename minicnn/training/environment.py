"""What a bit-exact resume depends on besides the checkpoint: libraries, threads, machine, algorithms."""

import hashlib
import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

from minicnn.backends import cpu
from minicnn.backends.cpu import threads
from minicnn.ops.conv_algorithm import current

_LIBRARIES = ("minicnn", "numpy", "numba", "scipy", "llvmlite")


def describe() -> dict[str, str]:
    """Names and values of the present process that must be equal for bit-equal results.

    Returns
    -------
    dict of str to str
    """
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    found["cpu"] = _cpu()
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    found["threads"] = str(threads.get_num_threads())
    found["blas"] = _blas()
    found["algorithms"] = "forward {}, input_grad {}, weight_grad {}, max_error {}".format(*current())
    found["convolution table"] = _convolution_table()
    found["kernels"] = _kernels()
    return found


def differences(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """One line for every entry that changed, such as ``"numpy: 2.4.6 when saved, 2.5.0 now"``."""
    return [
        f"{name}: {then.get(name, 'unknown')} when saved, {now.get(name, 'unknown')} now"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]


def _convolution_table() -> str:
    """Which algorithms ``mc.use_conv_table`` puts before the rules, as a count and a hash."""
    from minicnn.backends.cpu.convolution import table

    entries = sorted(f"{which} {tuple(p)} {name}" for (which, p), name in table().items())
    digest = hashlib.blake2s("\n".join(entries).encode(), digest_size=6).hexdigest()
    return f"{len(entries)} entries, {digest}" if entries else "none"


@cache
def _kernels() -> str:
    """A hash of the CPU backend's sources: its kernels, and the rules that choose an algorithm."""
    digest = hashlib.blake2s(digest_size=6)
    for source in cpu.sources():
        digest.update(source.read_bytes())
    return digest.hexdigest()


@cache
def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith(("model name", "Model", "Hardware")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _blas() -> str:
    """The BLAS libraries in this process, their kernels and threads (a different kernel rounds differently)."""
    import numpy as np  # noqa: F401 -- loads the library that is asked about
    from threadpoolctl import threadpool_info

    found = sorted(
        f"{lib['internal_api']} {lib['version']} {lib.get('architecture', '')} x{lib['num_threads']}"
        for lib in threadpool_info()
        if lib["user_api"] == "blas" and "scipy" not in Path(lib["filepath"]).parts[-2]  # loaded late, or not at all
    )
    return ", ".join(dict.fromkeys(found)) or os.environ.get("OPENBLAS_CORETYPE", "unknown")
