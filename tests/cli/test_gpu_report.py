"""The report of a GPU, tried on the emulated device: stage after stage, each kept when it ends."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import minicnn as mc
from minicnn.backends.cuda.emulator import compiler
from minicnn.bench import machine
from minicnn.bench.conv import Result
from minicnn.bench.result import Row, dump
from minicnn.cli import gpu_child, gpu_kernels, gpu_stages, gpu_works
from minicnn.cli.gpu_task import Task, troubles_of
from minicnn.cli.main import main

emulated = pytest.mark.skipif(compiler() is None, reason="needs a C++20 compiler")


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages see what a test puts in place; that they have processes of their own is tested elsewhere."""

    def run(stage: Any, task: Task, limit: float) -> Any:
        try:
            return stage(task)
        except Exception as error:  # noqa: BLE001 - as the process of a stage does
            raise RuntimeError(f"{type(error).__name__}: {error}") from None

    monkeypatch.setattr(gpu_child, "run", run)


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
    def broken(task: Task) -> Any:
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
        found = gpu_stages.parity(Task("cuda-emulated", ["max_pool2d/default_stride"]))
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


@emulated
def test_half_precision_is_compared_with_single(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, stages = report(tmp_path, "--stages", "half")
    assert code == 0
    for dtype, bound in gpu_stages.HALF.items():
        assert 0 < max(stages["half"]["errors"][dtype].values()) <= bound
    monkeypatch.setitem(gpu_stages.HALF, "bfloat16", 1e-6)
    code, stages = report(tmp_path, "--stages", "half", "--again")
    assert code == 1
    assert "bfloat16, logits" in stages["half"]["troubles"][0]
    assert "above 1e-06" in stages["half"]["troubles"][0]


@emulated
def test_without_its_package_bfloat16_is_told_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    monkeypatch.setattr(gpu_stages, "PROCESSES", 1)
    for facts in (gpu_stages.half(Task("cuda-emulated")), gpu_stages._parity(("relu", "bfloat16", "cuda-emulated"))):
        told = facts["missing"] if isinstance(facts, dict) else facts[-1:]
        assert "not measured: ml_dtypes is not installed" in told[0]


# -- cut off, and going on -----------------------------------------------------------------------------------------


class Parts:
    """Two parts of the stage ``kernels`` of two works each, of which one ends the process when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.measured: list[str] = []
        self.breaks: dict[str, BaseException] = {}
        self.fails: set[str] = set()
        monkeypatch.setattr(gpu_kernels, "PARTS", {"first": self.part("a", "b"), "second": self.part("c", "d")})

    def part(self, *works: str) -> Any:
        def measure(task: Task, kept: Any, told: Any) -> Result:
            result = Result(list(kept))
            for work in works:
                if work in {row.work for row in kept}:
                    continue
                if work in self.breaks:
                    raise self.breaks[work]
                self.measured.append(work)
                verdict = "failed" if work in self.fails else "ok"
                result.rows.append(Row(work, "forward", "minicnn", rounds=[1.0], verdict=verdict, why="boom"))
                told(result.rows[-1:], result)
            return result

        return measure


@emulated
def test_a_stage_that_is_cut_off_goes_on_where_it_stood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(monkeypatch)
    parts.breaks["d"] = KeyboardInterrupt()
    argv = ["gpu-report", "--device", "cuda-emulated", "--out", str(tmp_path / "report.json"), "--stages", "kernels"]
    assert main(argv) == 130
    stage = json.loads((tmp_path / "report.json").read_text())["stages"]["kernels"]
    assert stage["passed"] is None
    assert "cut off" in stage["partial"]
    assert [row["work"] for row in stage["first"]["rows"]] == ["a", "b"]
    assert [row["work"] for row in stage["second"]["rows"]] == ["c"]
    parts.breaks.clear()
    code, stages = report(tmp_path, "--stages", "kernels")
    assert code == 0
    assert parts.measured == ["a", "b", "c", "d"]
    assert [row["work"] for row in stages["kernels"]["second"]["rows"]] == ["c", "d"]
    assert "partial" not in stages["kernels"]


@emulated
def test_what_passed_on_this_machine_is_measured_again_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = Parts(monkeypatch)
    report(tmp_path, "--stages", "kernels")
    assert report(tmp_path, "--stages", "kernels")[0] == 0
    assert "kernels: passed before" in capsys.readouterr().out
    assert parts.measured == list("abcd")
    report(tmp_path, "--stages", "kernels", "--again")
    assert parts.measured == list("abcd") * 2
    assert report(tmp_path, "--stages", "kernels", "--algorithm", "all")[0] == 2  # it would replace what is there
    report(tmp_path, "--stages", "kernels", "--algorithm", "all", "--again")
    assert parts.measured == list("abcd") * 3
    path = tmp_path / "report.json"
    record = json.loads(path.read_text())
    record["stages"]["kernels"]["machine"]["processor"] = "another one"
    path.write_text(json.dumps(record))
    report(tmp_path, "--stages", "kernels", "--algorithm", "all")
    assert parts.measured == list("abcd") * 4


@emulated
def test_nothing_is_kept_that_other_code_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(monkeypatch)
    parts.fails.add("b")
    report(tmp_path, "--stages", "kernels")
    parts.fails.clear()
    monkeypatch.setattr(machine, "code", lambda: "another")
    report(tmp_path, "--stages", "kernels")
    assert parts.measured == list("abcd") * 2


@emulated
def test_works_that_failed_are_tried_again_and_the_others_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(monkeypatch)
    parts.fails.add("b")
    code, stages = report(tmp_path, "--stages", "kernels")
    assert code == 1
    assert stages["kernels"]["troubles"] == ["b forward minicnn: boom"]
    parts.fails.clear()
    code, stages = report(tmp_path, "--stages", "kernels")
    assert code == 0
    assert parts.measured == [*"abcd", "b"]


@emulated
def test_parts_that_were_complete_outlive_a_second_run_that_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Parts(monkeypatch)
    parts.fails.add("b")
    assert report(tmp_path, "--stages", "kernels")[0] == 1
    parts.fails.clear()
    parts.breaks["b"] = KeyboardInterrupt()
    code, stages = report(tmp_path, "--stages", "kernels")
    assert code == 130
    assert len(stages["kernels"]["second"]["rows"]) == 2


@emulated
def test_a_result_of_other_works_is_not_replaced_unless_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--stages", "parity", "--only", "max_pool1d"]
    assert report(tmp_path, *argv)[0] == 0
    code, stages = report(tmp_path, "--stages", "parity", "--only", "max_pool1d/", "softsign")
    assert code == 2
    assert "holds the stage parity of other works" in capsys.readouterr().err
    assert set(stages["parity"]["errors"]) == {"max_pool1d"}
    assert report(tmp_path, *argv[:2], "--only", "softsign", "--again")[0] == 0


@emulated
def test_an_op_that_failed_is_shown_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "parity.md"
    found = [("relu", "float64", 0.0, "other values"), ("relu", "float32", 1e-7, ""), ("relu/x", "float64", 1e-9, "")]
    monkeypatch.setattr(gpu_stages, "spread", lambda *args, **how: iter(found))
    code, stages = report(tmp_path, "--stages", "parity", "--only", "relu", "--markdown", str(page))
    assert code == 1
    assert stages["parity"]["errors"]["relu"]["float64"] is None
    assert "| `relu` | 1e-12 | failed | 1e-05 | 1.0e-07 |" in page.read_text()
    assert main(["gpu-report", "--stages", "smoke", "--out", str(tmp_path / "n.json"), "--markdown", str(page)]) == 2


@emulated
def test_cases_that_were_compared_before_the_cut_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_stages, "SAVED", 0.0)
    saved: list[Any] = []
    only = ["max_pool1d/", "leaky_relu/"]
    whole = gpu_stages.parity(Task("cuda-emulated", only, save=saved.append))
    assert [len(facts["so far"]) for facts in saved] == list(range(1, whole["checks"] + 1))
    some = json.loads(json.dumps(saved[4]))
    some["so far"][0][-1] = "boom"
    tried: list[Any] = []
    monkeypatch.setattr(gpu_stages, "spread", lambda task, jobs, lost, **how: map(task, tried.append(jobs) or jobs))
    again = gpu_stages.parity(Task("cuda-emulated", only, kept=some))
    assert len(tried[0]) == whole["checks"] - 4
    assert again == whole


@emulated
def test_an_error_keeps_the_parts_that_were_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(monkeypatch)
    parts.breaks["b"] = RuntimeError("no luck")
    code, stages = report(tmp_path, "--stages", "kernels")
    assert code == 1
    assert stages["kernels"]["troubles"] == ["first: RuntimeError: no luck"]
    assert [len(stages["kernels"][part]["rows"]) for part in ("first", "second")] == [1, 2]
    parts.breaks.clear()
    assert report(tmp_path, "--stages", "kernels")[0] == 0
    assert parts.measured == list("acdb")


def row(contender: str, verdict: str = "ok", why: str = "") -> dict[str, Any]:
    return dump(Row("vgg", "forward", contender, verdict=verdict, why=why))


def test_a_work_that_nothing_of_ours_ran_of_is_no_success() -> None:
    assert troubles_of([row("minicnn"), row("minicnn", "cannot", "only 3x3"), row("torch")]) == []
    rows = [row("minicnn", "cannot", "only 3x3"), row("torch")]
    assert troubles_of(rows) == ["vgg forward: no result of ours: only 3x3"]
    assert troubles_of([row("torch")]) == ["vgg forward: no result of ours: not tried"]
    assert troubles_of([row("minicnn cpu", "cannot", "numba"), row("minicnn cuda")]) == []
    rows = [row("minicnn cpu"), row("minicnn cuda", "cannot", "x")]
    assert troubles_of(rows) == ["vgg forward: no result of ours: x"]
    assert troubles_of([row("minicnn", "failed", "boom")]) == ["vgg forward minicnn: boom"]


def test_every_part_of_the_kernels_asks_for_works_that_exist() -> None:
    assert set(gpu_works.TF32_LAYERS) <= {layer.name for layer in gpu_works.layers()}
    task = Task("cpu", ["nothing of that name"])
    assert [part(task, [], lambda *_: None) for part in gpu_kernels.PARTS.values()] == [None] * len(gpu_kernels.PARTS)
