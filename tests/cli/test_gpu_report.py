"""The report of a GPU, tried on the emulated device: stage after stage, each kept when it ends."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

import minicnn as mc
from minicnn.backends.cuda.emulator import compiler
from minicnn.cli import gpu_stages
from minicnn.cli.main import main

emulated = pytest.mark.skipif(compiler() is None, reason="needs a C++20 compiler")


def report(tmp_path: Path, *argv: str) -> tuple[int, dict[str, Any]]:
    path = tmp_path / "report.json"
    code = main(["gpu-report", "--device", "cuda-emulated", "--out", str(path), *argv])
    return code, json.loads(path.read_text())["stages"]


@emulated
def test_stages_can_be_run_one_by_one_into_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, stages = report(tmp_path, "--stages", "parity", "--only", "max_pool2d")
    assert code == 0
    assert set(stages) == {"parity"}
    assert stages["parity"]["passed"] is True
    assert stages["parity"]["checks"] >= 10
    assert stages["parity"]["errors"]["max_pool2d"]["float32"] <= 1e-5
    code, stages = report(tmp_path, "--stages", "gradients", "--only", "max_pool2d/default_stride")
    assert code == 0
    assert set(stages) == {"parity", "gradients"}
    assert stages["gradients"]["checks"] == 1
    assert "gradients: passed" in capsys.readouterr().out


@emulated
def test_the_page_has_tolerance_and_error_of_each_op_that_was_compared(tmp_path: Path) -> None:
    page = tmp_path / "parity.md"
    code, stages = report(tmp_path, "--stages", "parity", "--only", "max_pool1d", "conv1d", "--markdown", str(page))
    assert code == 0
    rows = {row.split("`")[1]: row for row in page.read_text().splitlines() if row.startswith("| `")}
    assert set(rows) == set(stages["parity"]["errors"]) >= {"max_pool1d", "conv1d"}
    assert "1e-12" in rows["max_pool1d"]
    assert "4e-05" in rows["conv1d"]
    assert main(["gpu-report", "--out", str(tmp_path / "r.json"), "--markdown", str(tmp_path / "no" / "p.md")]) == 2


@emulated
def test_a_stage_that_fails_is_told_and_the_next_has_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(device: str, only: Any) -> Any:
        raise RuntimeError("no luck")

    monkeypatch.setitem(gpu_stages.STAGES, "smoke", broken)
    code, stages = report(tmp_path, "--stages", "smoke", "parity", "--only", "max_pool1d")
    assert code == 1
    assert stages["smoke"]["troubles"] == ["RuntimeError: no luck"]
    assert stages["parity"]["passed"] is True


@emulated
def test_a_wrong_result_fails_the_parity_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    from minicnn.backends.cuda import pooling

    right = pooling.max_pool2d

    @functools.wraps(right)
    def wrong(*args: Any) -> Any:
        y, index = right(*args)
        return y * 1.01, index

    monkeypatch.setattr(pooling, "max_pool2d", wrong)
    bound = mc.tensor([1.0]).to("cuda-emulated").backend.__dict__
    bound.pop("pooling", None)
    try:
        found = gpu_stages.parity("cuda-emulated", ["max_pool2d/default_stride"])
    finally:
        bound.pop("pooling", None)
    assert not found["passed"]
    assert "above" in found["troubles"][0]


def test_without_a_gpu_the_file_says_not_measured_and_why_and_keeps_what_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if mc.cuda.is_available():
        pytest.skip("there is a GPU")
    path = tmp_path / "r.json"
    path.write_text('{"kind": "minicnn gpu-report", "stages": {"smoke": {"passed": true}}}')
    assert main(["gpu-report", "--out", str(path), "--stages", "smoke", "nets"]) == 2
    said = capsys.readouterr().err
    assert "minicnn: cuda: " in said
    stages = json.loads(path.read_text())["stages"]
    assert stages["smoke"] == {"passed": True}
    assert stages["nets"]["passed"] is None
    assert stages["nets"]["not measured"] in said


@emulated
def test_a_foreign_file_and_an_unknown_stage_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.json").write_text('{"kind": "minicnn bench conv"}')
    argv = ["gpu-report", "--device", "cuda-emulated", "--out", str(tmp_path / "other.json")]
    assert main([*argv, "--stages", "smoke"]) == 2
    assert "no result of this command" in capsys.readouterr().err
    assert main([*argv, "--stages", "magic"]) == 2
    assert "there is no stage magic" in capsys.readouterr().err
