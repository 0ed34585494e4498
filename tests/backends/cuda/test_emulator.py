"""The emulator notices what it is there for, and is quiet about what is right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minicnn.backends.cuda import load_emulated, seam, sources
from minicnn.backends.cuda import recording as recorded
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
    [
        ("divergent_barrier", ()),
        ("returns_before_barrier", (100,)),
        ("divergent_shuffle", ()),
        ("block_sums_at_two_places", ()),
    ],
)
def test_divergent_barriers_are_errors_and_the_next_launch_works(device: Any, kernel: str, more: Any) -> None:
    with pytest.raises(RuntimeError, match="divergent"):
        launched(device, kernel, THREADS * BLOCKS, *more)
    test_threads_of_a_block_exchange_values_through_shared_memory(device)


def test_shared_memory_that_nobody_wrote_is_nan(device: Any) -> None:
    _, y = launched(device, "reads_before_writing")
    assert np.isnan(y).all()


def test_what_nobody_wrote_shows_in_arrays_and_locals(device: Any) -> None:
    y = seam.empty(THREADS, np.float32)
    seam.launch("faults.writes_the_first_half", 1, THREADS, y)
    assert np.isnan(device.to_host(y)).tolist() == [False] * (THREADS // 2) + [True] * (THREADS // 2)
    assert (device.to_host(device.arrays.empty_like(y, dtype=np.int32)) == -1).all()
    seam.launch("faults.uninitialised_local", 1, THREADS, y, 3)
    assert (np.abs(device.to_host(y)) > 1e30).all()


def test_the_greater_of_a_number_and_nan_is_the_number(device: Any) -> None:
    y = seam.empty(2, np.float32)
    for pair in ((np.nan, 2.0), (2.0, np.nan)):
        seam.launch("faults.greater_and_less", 1, 1, *(device.arrays.full(1, v, np.float32) for v in pair), y)
        assert device.to_host(y).tolist() == [2.0, 2.0]


def test_a_divergence_names_file_line_and_caller(device: Any) -> None:
    lines = (Path(__file__).parent / "faults" / "faults.cu").read_text().splitlines()
    first = 1 + next(i for i, line in enumerate(lines) if "? block_sum(v, scratch)" in line)
    barrier = sources._path("common.cuh").read_text().splitlines().index("  __syncthreads();") + 1
    with pytest.raises(RuntimeError) as error:
        launched(device, "block_sums_at_two_places")
    for line in (first, first + 1):
        assert f"common.cuh:{barrier} (called from line {line})" in str(error.value)


def test_shuffles_know_which_lanes_there_are(device: Any) -> None:
    with pytest.raises(RuntimeError, match="mask that leaves out lanes"):
        launched(device, "half_a_mask")
    x = device.arrays.arange(20, dtype=np.float32)
    for source, expected in ((3, 3.0), (32 + 3, 3.0), (25, np.nan)):  # lane 25 of 20 does not exist
        y = seam.empty(20, np.float32)
        seam.launch("faults.from_lanes", 1, 20, x, y, source)
        np.testing.assert_array_equal(device.to_host(y), np.float32(expected))


def test_a_thread_may_have_a_deep_stack(device: Any) -> None:
    y = seam.empty(THREADS, np.float32)
    seam.launch("faults.deep_stack", 1, THREADS, y)
    np.testing.assert_array_equal(device.to_host(y), 24999 - np.arange(THREADS))


@pytest.mark.parametrize("dtype", ["longdouble", "object", "datetime64[s]"])
def test_a_dtype_that_no_gpu_has_is_refused_as_cupy_does(device: Any, dtype: str) -> None:
    with pytest.raises(ValueError, match="no device has arrays of"):
        seam.xp().zeros(3, "float64").astype(dtype)


def test_a_kernel_for_a_gpu_alone_is_refused_by_its_name(device: Any) -> None:
    assert sources.kernel("faults.for_a_gpu").device_only
    with pytest.raises(RuntimeError, match=r"faults\.for_a_gpu is a DEVICE_KERNEL"):
        seam.launch("faults.for_a_gpu", 1, 1, seam.empty(1, np.float32))


def test_a_compiler_that_fortifies_by_default_does_not_stop_the_fibers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fortifying = tmp_path / "g++"
    fortifying.write_text(f'#!/bin/sh\nexec {compiler()} -D_FORTIFY_SOURCE=2 "$@"\n')
    fortifying.chmod(0o755)
    run = (
        "from pathlib import Path; from minicnn.backends.cuda import load_emulated, seam, sources;"
        f"sources.FOLDERS.append(Path({str(Path(__file__).parent / 'faults')!r})); device = load_emulated();"
        "x = device.arrays.zeros(64, 'float32')\n"
        "with seam.on(device.runtime): seam.launch('faults.reversed', 1, 64, x, x)"
    )
    settings = {"CXX": str(fortifying), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", run], env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("KERNEL f(real* y) {}\n  KERNEL g(real* y) {}\n", "2 times KERNEL, but 1 kernels"),
        ("KERNEL f(real* y, real[3] z) {}\n", "a launch cannot fill"),
    ],
)
def test_a_signature_that_is_not_understood_is_an_error(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"odd_{abs(hash(text))}"
    (tmp_path / f"{name}.cu").write_text(text)
    monkeypatch.setattr(sources, "FOLDERS", [*sources.FOLDERS, tmp_path])
    with pytest.raises(ValueError, match=words):
        sources.kernels(name)


def test_comments_and_bounds_are_no_part_of_a_signature(device: Any) -> None:
    assert [p.name for p in sources.kernel("faults.bounded").parameters] == ["x", "y"]


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["thread", "address"])
def test_a_replay_keeps_what_arguments_share(device: Any, tmp_path: Path, sanitizer: str) -> None:
    y = device.arrays.zeros(THREADS, np.float32)
    with recording(tmp_path / "alias"):
        seam.launch("faults.accumulate_twice", 1, THREADS, y, y)
    (finding,) = replay(tmp_path / "alias", sanitizer)
    assert ("data race" in finding.report) == (sanitizer == "thread"), finding.report
    with recording(tmp_path / "view"):
        seam.launch("faults.address_modulo_16", 1, THREADS, device.arrays.zeros(9, np.float32)[1:8], y)
    (finding,) = replay(tmp_path / "view", sanitizer)
    assert finding.clean, finding.report


@pytest.mark.slow
def test_all_blocks_of_a_replay_are_under_way_together(device: Any, tmp_path: Path) -> None:
    with recording(tmp_path):
        seam.launch("faults.between_blocks", 4, 512, device.arrays.zeros(1, np.float32))
    (finding,) = replay(tmp_path, "thread")
    assert "data race" in finding.report


def test_launches_that_differ_in_a_number_or_a_null_pointer_are_recorded(device: Any, tmp_path: Path) -> None:
    x, y = device.arrays.zeros(20, np.float32), device.arrays.zeros(20, np.float32)
    with recording(tmp_path, copies=9):
        for source in (1, 2, 2):
            seam.launch("faults.from_lanes", 1, 20, x, y, source)
        seam.launch("faults.from_lanes", 1, 10, x, y, 1)
    assert len(list((tmp_path / "faults-float32").iterdir())) == 3


@pytest.mark.slow
def test_a_fault_behind_many_launches_is_found(device: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "_THREADS", 200)  # several runs of the program
    x = device.arrays.zeros(64, np.float32)
    with recording(tmp_path, copies=20):
        for source in range(20):
            seam.launch("faults.from_lanes", 1, 20, x, x, source)
        seam.launch("faults.reversed_without_barrier", 1, 64, x, device.arrays.zeros(64, np.float32))
    (finding,) = replay(tmp_path, "thread")
    assert finding.launches == 21
    assert "data race" in finding.report


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sanitizer", "kernel", "word"),
    [
        ("thread", "reversed_without_barrier", "data race"),
        ("thread", "sum_race_between_blocks", "data race"),
        ("address", "overrun_read", "heap-buffer-overflow"),
        ("address", "overrun_write", "heap-buffer-overflow"),
        ("address", "overrun_shared", "heap-buffer-overflow"),
        ("thread", "shared_across_a_shuffle", "data race"),
        ("thread", "shared_across_a_warp_barrier", ""),
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
    for number in (2.7, None, "3"):
        with pytest.raises(TypeError, match="count must be int"):
            seam.launch("faults.returns_before_barrier", 2, 64, x, y, number)
    with pytest.raises(ValueError, match="beyond a device's limits"):
        seam.launch("faults.reversed", 2, 2048, x, y)
    with pytest.raises(ValueError, match="has no kernel 'absent'"):
        seam.launch("faults.absent", 2, 64)


def test_arrays_of_the_device_do_not_mix_with_the_hosts(device: Any) -> None:
    x = device.arrays.zeros((2, 3), np.float32)
    with pytest.raises(TypeError, match="host array"):
        _ = x + np.ones((2, 3))
    for operand in (np.array(1.0), [1.0, 2.0, 3.0]):
        with pytest.raises(TypeError, match="host array|no lists"):
            _ = x + operand
        with pytest.raises(TypeError, match="host array|no lists"):
            device.arrays.add(x, operand)
    fortran = device.arrays.asarray(np.zeros((2, 3), order="F"))
    assert fortran.flags.f_contiguous and not fortran.flags.c_contiguous
    with pytest.raises(TypeError, match="by itself"):
        np.asarray(x)
    assert isinstance(device.to_host(x), np.ndarray)
    assert x.sum().shape == ()
    assert x[0].base is x
