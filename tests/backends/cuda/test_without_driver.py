"""CuPy is installed, a driver is not: one line says so wherever a GPU is asked for."""

from __future__ import annotations

import ctypes
import importlib.util
import subprocess
import sys

import pytest


def has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("cupy") is None or has_driver(), reason="needs CuPy, and no driver"
)
MISSING = "is installed, but the CUDA driver does not answer (cudaErrorInsufficientDriver"


def said(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, timeout=60)


def test_a_tensor_that_shall_go_there_raises_one_error() -> None:
    code = """
import minicnn as mc
assert not mc.cuda.is_available()
try:
    mc.tensor([1.0]).to("cuda")
except RuntimeError as error:
    print(type(error).__name__, error, error.__cause__, error.__suppress_context__ or error.__context__)
"""
    done = said("-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith("DeviceUnavailableError cuda: CuPy 1")
    assert MISSING in line
    assert line.endswith("install NVIDIA's driver None None")


def test_doctor_says_it_in_one_line() -> None:
    done = said("-m", "minicnn", "doctor")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("GPU"))
    assert MISSING in line


def test_a_report_of_the_gpu_says_it_and_ends(tmp_path: object) -> None:
    done = said("-m", "minicnn", "gpu-report", "--out", f"{tmp_path}/report.json")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("minicnn: cuda: CuPy 1")
    assert MISSING in line
