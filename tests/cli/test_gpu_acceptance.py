"""What is promised of a GPU is judged from the rows: met, not met, and not measured where rows are missing."""

from __future__ import annotations

from typing import Any

import pytest

from minicnn.bench.result import Row, dump
from minicnn.cli import gpu_kernels, gpu_works
from minicnn.cli.gpu_acceptance import MEMORY_BOUND, of_kernels, of_nets, of_suite, told
from minicnn.cli.gpu_task import ALGORITHMS, Task


def row(work: str, which: str, contender: str, seconds: float, **more: Any) -> dict[str, Any]:
    return dump(Row(work, which, contender, rounds=[seconds] * 3, **more))


def pair(work: str, which: str, ratio: float, **more: Any) -> list[dict[str, Any]]:
    return [row(work, which, "minicnn", 1e-3, **more), row(work, which, "torch", ratio * 1e-3)]


def full_list(monkeypatch: pytest.MonkeyPatch, name: str, rows: list[dict[str, Any]]) -> None:
    """Let the works of these rows be all that there are."""
    works = list(dict.fromkeys((row["work"], row["which"]) for row in rows))
    monkeypatch.setattr(gpu_works, name, lambda: works)


def whole(works: list[tuple[str, str]], ratio: float = 2.0, **more: Any) -> list[dict[str, Any]]:
    return [row for work in works for row in pair(*work, ratio, **more)]


def line(verdicts: list[dict[str, Any]], text: str) -> dict[str, Any]:
    (found,) = (verdict for verdict in verdicts if text in verdict["line"])
    return found


def best(work: str, which: str, ratio: float) -> list[dict[str, Any]]:
    slower = row(work, which, "minicnn", 1.0, algorithm="im2col", marks=["named"])
    return [*pair(work, which, ratio, algorithm="winograd", marks=["best of ours"]), slower]


@pytest.mark.parametrize(("ratio", "met"), [(0.81, True), (0.79, False)])
def test_the_suite_is_judged_by_the_fastest_of_ours_over_all_layers_and_passes(
    monkeypatch: pytest.MonkeyPatch, ratio: float, met: bool
) -> None:
    rows = [*best("a", "forward", 2 * ratio), *best("b", "input_grad", ratio / 2)]
    full_list(monkeypatch, "of_suite", rows)
    found = line(of_kernels({"suite": {"rows": rows}}), "TF32 off")
    assert found["number"] == pytest.approx(ratio)
    assert found["at least"] == 0.8
    assert found["met"] is met


def test_a_layer_without_a_time_of_both_leaves_the_suite_unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*best("a", "forward", 2.0), row("b", "forward", "torch", 1.0)]
    full_list(monkeypatch, "of_suite", rows)
    found = line(of_kernels({"suite": {"rows": rows}}), "TF32 off")
    assert found["met"] is None
    assert found["note"] == "geometric mean of 1, least 2, without b forward"


def test_1x1_and_im2col_are_judged_with_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        *pair("one", "forward", 0.9, algorithm="pointwise"), row("one", "forward", "minicnn", 2e-3, algorithm="im2col"),
        *pair("three", "forward", 0.5, algorithm="im2col"),
        dump(Row("three", "forward", "minicnn", algorithm="pointwise", verdict="cannot", why="only 1x1")),
    ]  # fmt: skip
    full_list(monkeypatch, "with_tf32", rows)
    full_list(monkeypatch, "single", rows[:3])
    verdicts = of_kernels({"suite with TF32": {"rows": rows}})
    single, named = line(verdicts, "1x1 layers"), line(verdicts, "im2col on")
    assert (single["number"], single["met"]) == (pytest.approx(0.9), True)
    assert (named["number"], named["met"]) == (pytest.approx((0.45 * 0.5) ** 0.5), False)


def test_every_size_and_pass_of_an_op_must_reach_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    large, small = int(2 * MEMORY_BOUND * 1e9), int(0.5 * MEMORY_BOUND * 1e9)
    rows = [
        row("resize_nearest 1", "forward", "minicnn", 5e-5, bytes=large),
        row("resize_nearest 1", "forward", "torch", 1e-4),
        row("resize_bilinear 1", "backward", "minicnn", 1e-4, bytes=large),
        row("resize_bilinear 1", "backward", "torch", 9e-5),
        row("resize_nearest 2", "forward", "minicnn", 1, bytes=small),
        row("resize_nearest 2", "forward", "torch", 2),
    ]  # fmt: skip
    full_list(monkeypatch, "of_ops", rows)
    verdicts = of_kernels({"ops": {"rows": rows, "roofline": {"bytes": 1e9}}})
    speed, bandwidth = line(verdicts, "resize, PyTorch"), line(verdicts, "resize, share")
    assert (speed["number"], speed["met"], speed["note"]) == (pytest.approx(0.9), False, "resize_bilinear 1 backward")
    assert (bandwidth["number"], bandwidth["met"]) == (pytest.approx(0.4), False)
    assert line(verdicts, "batch norm, PyTorch")["met"] is None
    full_list(monkeypatch, "of_ops", rows[:2])
    assert line(of_kernels({"ops": {"rows": rows[:2], "roofline": {"bytes": 1e9}}}), "resize, share")["met"] is True


def test_an_op_without_a_peers_time_of_one_size_is_not_met(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*pair("roi_align 1", "forward", 2.0), row("roi_align 1", "backward", "minicnn", 1.0)]
    full_list(monkeypatch, "of_ops", rows)
    found = line(of_kernels({"ops": {"rows": rows}}), "RoIAlign, PyTorch")
    assert (found["met"], found["note"]) == (None, "roi_align 1 forward, without roi_align 1 backward")


def test_a_size_that_was_not_timed_leaves_the_bandwidth_unmeasured_unless_another_misses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large, small = int(2 * MEMORY_BOUND * 1e9), int(0.5 * MEMORY_BOUND * 1e9)
    rows = [
        row("resize_nearest 1", "forward", "minicnn", 5e-5, bytes=large),
        row("resize_nearest 2", "forward", "minicnn", 1.0, bytes=small),
        dump(Row("resize_bilinear 1", "forward", "minicnn", verdict="failed")),
    ]
    full_list(monkeypatch, "of_ops", [*rows, row("resize_bilinear 1", "backward", "minicnn", 1.0)])

    def judged() -> dict[str, Any]:
        return line(of_kernels({"ops": {"rows": rows, "roofline": {"bytes": 1e9}}}), "resize, share")

    without = "without resize_bilinear 1 forward, resize_bilinear 1 backward"
    assert (judged()["met"], judged()["note"]) == (None, f"resize_nearest 1 forward, {without}")
    rows[0] = row("resize_nearest 1", "forward", "minicnn", 1e-4, bytes=large)
    assert (judged()["met"], judged()["number"]) == (False, pytest.approx(0.4))


def everything(ratio: float = 2.0) -> dict[str, Any]:
    """What the stage ``kernels`` leaves when nothing is missing."""
    suite = whole(gpu_works.of_suite(), ratio, marks=["best of ours"])
    tf32 = [*whole(gpu_works.with_tf32(), ratio, algorithm="im2col")]
    tf32 += [row(*work, "minicnn", 1e-3, algorithm="pointwise") for work in gpu_works.single()]
    ops = {"rows": whole(gpu_works.of_ops(), ratio, bytes=10**6), "roofline": {"bytes": 1e9}}
    return {"suite": {"rows": suite}, "suite with TF32": {"rows": tf32}, "ops": ops}


def test_a_line_is_met_only_by_the_full_list() -> None:
    assert len(gpu_works.of_suite()) == 42
    assert {verdict["met"] for verdict in of_kernels(everything())} == {True}
    for part in ("suite", "suite with TF32", "ops"):
        found = everything()
        found[part]["rows"] = found[part]["rows"][: -len(found[part]["rows"]) // 2]
        assert None in {verdict["met"] for verdict in of_kernels(found)}, part
    found = everything()
    found["suite"]["rows"] = found["suite"]["rows"][:2]
    judged = line(of_kernels(found), "TF32 off")
    assert (judged["met"], judged["note"]) == (None, "geometric mean of 1, least 2, without 41 of 42")


def test_a_stage_that_was_asked_for_a_part_meets_nothing() -> None:
    asked = {"only": ["resnet", "roi"], "algorithms": list(ALGORITHMS)}
    verdicts = of_kernels({**everything(), "asked": asked})
    assert {verdict["met"] for verdict in verdicts} == {None}
    assert all(verdict["note"].endswith(", only resnet roi") for verdict in verdicts)
    missed = of_kernels({**everything(0.5), "asked": asked})
    assert line(missed, "TF32 off")["met"] is None  # a mean of a part says nothing
    assert line(missed, "RoIAlign, PyTorch")["met"] is False  # more rows cannot raise the least
    stages = {"parity": {"passed": True}, "gradients": {"passed": True}}
    assert of_suite(stages)[0]["met"] is True
    stages["parity"]["asked"] = {"only": ["relu"]}  # type: ignore[assignment]
    (found,) = of_suite(stages)
    assert (found["met"], found["note"]) == (None, "only relu")


@pytest.mark.parametrize(("algorithms", "met"), [(["auto"], None), (["all"], True), ([*ALGORITHMS, "other"], True)])
def test_the_best_of_fewer_algorithms_is_not_the_best_of_ours(algorithms: list[str], met: bool | None) -> None:
    verdicts = of_kernels({**everything(), "asked": {"only": [], "algorithms": algorithms}})
    found = line(verdicts, "TF32 off")
    assert found["met"] is met
    assert ("without im2col, implicit_gemm" in found["note"]) is (met is None)
    assert {verdict["met"] for verdict in verdicts if verdict is not found} == {True}


def test_the_stage_tells_what_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_kernels, "PARTS", {})
    monkeypatch.setattr(gpu_kernels, "of_kernels", lambda found: [found["asked"]])
    judged = gpu_kernels.kernels(Task("cpu", ["relu"], ["auto"]))["acceptance"]
    assert judged == [{"only": ["relu"], "algorithms": ["auto"]}]


def test_the_training_step_of_resnet_50_is_judged() -> None:
    steps = [*pair("resnet18", "step", 0.1), *pair("resnet50", "step", 0.61)]
    found = line(of_nets({"steps": {"rows": steps}}), "ResNet-50")
    assert (found["number"], found["met"]) == (pytest.approx(0.61), True)


def test_what_was_not_measured_says_so() -> None:
    verdicts = [*of_suite({}), *of_kernels({}), *of_nets({})]
    assert {verdict["met"] for verdict in verdicts} == {None}
    assert all(text.startswith("not measured ") for text in told(verdicts))
    assert of_suite({"parity": {"passed": True}, "gradients": {"passed": False}})[0]["met"] is False
    met = told(of_nets({"steps": {"rows": pair("resnet50", "step", 0.5)}}))[0]
    assert met.startswith("NOT MET      ResNet-50 training step")
    assert "; 0.5; at least 0.6; geometric mean of 1" in met
