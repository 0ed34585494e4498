"""A stage or a job that dies or hangs takes neither the others nor what was measured before with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from minicnn.backends.cuda.emulator import compiler
from minicnn.cli import gpu_child, gpu_pool
from minicnn.cli.gpu_task import Task
from tests.cli import gpu_stages_that_fail as failing


def spread(tmp_path: Path, kinds: dict[int, str], count: int, limit: float = 60.0) -> tuple[dict[int, Any], Counter]:
    """Results by job, and how often each job was begun."""
    jobs = [(kinds.get(number, "plain"), number, str(tmp_path)) for number in range(count)]
    found = dict(gpu_pool.spread(failing.job, jobs, failing.lost, alone=True, limit=limit))
    assert sorted(found) == list(range(count))
    return found, Counter(int(path.name.split(".")[0]) for path in tmp_path.iterdir())


def test_a_process_that_dies_takes_only_the_job_that_it_was_at(tmp_path: Path) -> None:
    found, begun = spread(tmp_path, {5: "dies", 40: "dies once"}, 64)
    assert found[5] == "the process died, exit code 1, twice"
    assert begun == {number: 2 if number in {5, 40} else 1 for number in range(64)}
    assert len({pid for number, pid in found.items() if number != 5}) <= gpu_pool.PROCESSES + 3


def test_a_job_that_hangs_is_ended_and_told(tmp_path: Path) -> None:
    start = time.monotonic()
    found, begun = spread(tmp_path, {1: "hangs"}, 4, limit=5.0)
    assert found[1] == "no result in 5 s"
    assert set(begun.values()) == {1}
    assert time.monotonic() - start < 60


def test_a_process_whose_device_is_lost_tells_its_result_and_is_replaced(tmp_path: Path) -> None:
    found, begun = spread(tmp_path, {1: "spends"}, 4)
    assert set(begun.values()) == {1}
    assert found[0] == found[1] != found[2] == found[3]


def test_where_every_process_dies_the_rest_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_pool, "STARTS", 2)
    found, begun = spread(tmp_path, dict.fromkeys(range(8), "dies"), 8)
    assert begun.total() == 3
    assert found[7] == "not tried: 2 processes died before it"


def test_few_jobs_stay_in_this_process(tmp_path: Path) -> None:
    jobs = [("plain", number, str(tmp_path)) for number in range(3)]
    assert dict(gpu_pool.spread(failing.job, jobs, failing.lost)) == dict.fromkeys(range(3), os.getpid())


# -- packages that are absent --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="needs a C++20 compiler")
@pytest.mark.parametrize("name", ["numba", "scipy", "threadpoolctl"])
def test_without_a_package_of_the_cpus_kernels_the_others_go_on(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('No module named {name}', name={name!r})\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    command = [sys.executable, "-m", "minicnn", "gpu-report", "--device", "cuda-emulated"]
    only = ["--stages", "smoke", "parity", "--only", "conv2d/wide", "leaky_relu/", "--out", str(tmp_path / "r.json")]
    done = subprocess.run([*command, *only], env=environment, capture_output=True, text=True, check=False)
    stages = json.loads((tmp_path / "r.json").read_text())["stages"]
    assert done.returncode == 0, done.stdout + done.stderr
    assert stages["smoke"]["passed"]
    assert stages["parity"]["missing"] == [f"4 cases not measured: {name} is not installed"]
    assert set(stages["parity"]["errors"]) == {"leaky_relu"}


# -- stages --------------------------------------------------------------------------------------------------------


def staged(stage: Any, limit: float = 60.0) -> tuple[Any, list[Any]]:
    saved: list[Any] = []
    task = Task("cuda-emulated", kept={"before": 1}, save=saved.append)
    try:
        return gpu_child.run(stage, task, limit), saved
    except RuntimeError as error:
        return str(error), saved


def test_a_stage_runs_in_a_process_of_its_own() -> None:
    facts, _ = staged(failing.tells)
    assert facts["kept"] == {"before": 1}
    assert facts["pid"] != os.getpid()


def test_a_stage_that_dies_leaves_what_it_saved() -> None:
    assert staged(failing.dies) == ("its process died, exit code 7", [{"first": 1}])


def test_a_stage_that_fails_says_why() -> None:
    assert staged(failing.raises) == ("ValueError: no luck", [])


def test_a_stage_that_hangs_is_ended_and_leaves_what_it_saved() -> None:
    why, (saved,) = staged(failing.hangs, limit=8.0)
    assert why == "it took longer than 8 s and was ended"
    with pytest.raises(ProcessLookupError):
        os.kill(saved["pid"], 0)
