"""The emulator notices what it is there for, and is quiet about what is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minicnn.backends.cuda import load_emulated, seam, sources
from minicnn.backends.cuda.emulator import compiler
from minicnn.backends.cuda.recording import recording, replay

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C++20 compiler")
THREADS, BLOCKS = 64, 2


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sources, "FOLDERS", [*sources.FOLDERS, Path(__file__).parent / "faults"])
    backend = load_emulated()
    with seam.on(backend.runtime):
        yield backend


def launched(device: Any, kernel: str, outputs: int = THREADS * BLOCKS, *more: Any) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).standard_normal(THREADS * BLOCKS).astype(np.float32)
    y = device.arrays.zeros(outputs, np.float32)
    parameters = sources.kernel(f"faults.{kernel}").parameters
    args = [device.arrays.array(x), y, *more] if parameters[0].const else [y]
    seam.launch(f"faults.{kernel}", BLOCKS, THREADS, *args)
    return x, device.to_host(y)


def test_threads_of_a_block_exchange_values_through_shared_memory(device: Any) -> None:
    x, y = launched(device, "reversed")
    np.testing.assert_array_equal(y, x.reshape(BLOCKS, THREADS)[:, ::-1].ravel())


def test_warps_and_blocks_add_up(device: Any) -> None:
    x, y = launched(device, "warp_sum", THREADS * BLOCKS // 32)
    np.testing.assert_allclose(y, x.reshape(-1, 32).sum(1), rtol=1e-5)
    x, y = launched(device, "block_total", BLOCKS)
    np.testing.assert_allclose(y, x.reshape(BLOCKS, -1).sum(1), rtol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "more"),
    [("divergent_barrier", ()), ("returns_before_barrier", (100,)), ("divergent_shuffle", ())],
)
def test_divergent_barriers_are_errors_and_the_next_launch_works(device: Any, kernel: str, more: Any) -> None:
    with pytest.raises(RuntimeError, match="divergent"):
        launched(device, kernel, THREADS * BLOCKS, *more)
    test_threads_of_a_block_exchange_values_through_shared_memory(device)


def test_shared_memory_that_nobody_wrote_is_nan(device: Any) -> None:
    _, y = launched(device, "reads_before_writing")
    assert np.isnan(y).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sanitizer", "kernel", "word"),
    [
        ("thread", "reversed_without_barrier", "data race"),
        ("thread", "sum_race_between_blocks", "data race"),
        ("address", "overrun_read", "heap-buffer-overflow"),
        ("address", "overrun_write", "heap-buffer-overflow"),
        ("address", "overrun_shared", "use-after-poison"),
        ("thread", "reversed", ""),
        ("thread", "sum_atomic", ""),
        ("thread", "warp_sum", ""),
        ("address", "reversed", ""),
        ("address", "block_total", ""),
    ],
)
def test_sanitizers_find_planted_faults_and_nothing_else(
    device: Any, tmp_path: Path, sanitizer: str, kernel: str, word: str
) -> None:
    outputs = {"sum_race_between_blocks": 1, "sum_atomic": 1, "warp_sum": 4, "block_total": 2}.get(kernel, 128)
    with recording(tmp_path):
        launched(device, kernel, outputs)
    (finding,) = replay(tmp_path, sanitizer)
    assert finding.launches == 1
    assert word in finding.report
    assert finding.clean == (not word), finding.report


def test_a_launch_is_checked_against_the_signature_in_the_source(device: Any) -> None:
    xp = device.arrays
    x, y = xp.zeros(128, np.float32), xp.zeros(128, np.float32)
    with pytest.raises(TypeError, match="takes 2 arguments, got 1"):
        seam.launch("faults.reversed", 2, 64, x)
    with pytest.raises(TypeError, match="y must be float32"):
        seam.launch("faults.reversed", 2, 64, x, y.astype(np.float64))
    with pytest.raises(TypeError, match="array of the device, got ndarray"):
        seam.launch("faults.reversed", 2, 64, x, np.zeros(128, np.float32))
    with pytest.raises(ValueError, match="contiguous"):
        seam.launch("faults.reversed", 2, 64, x, xp.zeros(256, np.float32)[::2])
    with pytest.raises(ValueError, match="does not fit int"):
        seam.launch("faults.returns_before_barrier", 2, 64, x, y, 2**31)
    with pytest.raises(ValueError, match="beyond a device's limits"):
        seam.launch("faults.reversed", 2, 2048, x, y)
    with pytest.raises(ValueError, match="has no kernel 'absent'"):
        seam.launch("faults.absent", 2, 64)


def test_arrays_of_the_device_do_not_mix_with_the_hosts(device: Any) -> None:
    x = device.arrays.zeros((2, 3), np.float32)
    with pytest.raises(TypeError, match="host array"):
        _ = x + np.ones((2, 3))
    with pytest.raises(TypeError, match="by itself"):
        np.asarray(x)
    assert isinstance(device.to_host(x), np.ndarray)
    assert x.sum().shape == ()
    assert x[0].base is x
