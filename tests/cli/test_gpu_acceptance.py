"""What is promised of a GPU is judged from the rows: met, not met, and not measured where rows are missing."""

from __future__ import annotations

from typing import Any

import pytest

from minicnn.bench.result import Row, dump
from minicnn.cli.gpu_acceptance import MEMORY_BOUND, of_kernels, of_nets, of_suite, told


def row(work: str, which: str, contender: str, seconds: float, **more: Any) -> dict[str, Any]:
    return dump(Row(work, which, contender, rounds=[seconds] * 3, **more))


def pair(work: str, which: str, ratio: float, **more: Any) -> list[dict[str, Any]]:
    return [row(work, which, "minicnn", 1e-3, **more), row(work, which, "torch", ratio * 1e-3)]


def line(verdicts: list[dict[str, Any]], text: str) -> dict[str, Any]:
    (found,) = (verdict for verdict in verdicts if text in verdict["line"])
    return found


def best(work: str, which: str, ratio: float) -> list[dict[str, Any]]:
    slower = row(work, which, "minicnn", 1.0, algorithm="im2col", marks=["named"])
    return [*pair(work, which, ratio, algorithm="winograd", marks=["best of ours"]), slower]


@pytest.mark.parametrize(("ratio", "met"), [(0.81, True), (0.79, False)])
def test_the_suite_is_judged_by_the_fastest_of_ours_over_all_layers_and_passes(ratio: float, met: bool) -> None:
    rows = [*best("a", "forward", 2 * ratio), *best("b", "input_grad", ratio / 2)]
    found = line(of_kernels({"suite": {"rows": rows}}), "TF32 off")
    assert found["number"] == pytest.approx(ratio)
    assert found["at least"] == 0.8
    assert found["met"] is met


def test_a_layer_without_a_time_of_both_leaves_the_suite_unmeasured() -> None:
    rows = [*best("a", "forward", 2.0), row("b", "forward", "torch", 1.0)]
    found = line(of_kernels({"suite": {"rows": rows}}), "TF32 off")
    assert found["met"] is None
    assert found["note"] == "geometric mean of 1, least 2, without b forward"


def test_1x1_and_im2col_are_judged_with_tf32() -> None:
    rows = [
        *pair("one", "forward", 0.9, algorithm="pointwise"), row("one", "forward", "minicnn", 2e-3, algorithm="im2col"),
        *pair("three", "forward", 0.5, algorithm="im2col"),
        dump(Row("three", "forward", "minicnn", algorithm="pointwise", verdict="cannot", why="only 1x1")),
    ]  # fmt: skip
    verdicts = of_kernels({"suite with TF32": {"rows": rows}})
    single, named = line(verdicts, "1x1 layers"), line(verdicts, "im2col on")
    assert (single["number"], single["met"]) == (pytest.approx(0.9), True)
    assert (named["number"], named["met"]) == (pytest.approx((0.45 * 0.5) ** 0.5), False)


def test_every_size_and_pass_of_an_op_must_reach_its_bounds() -> None:
    large, small = int(2 * MEMORY_BOUND * 1e9), int(0.5 * MEMORY_BOUND * 1e9)
    rows = [
        row("resize_nearest 1", "forward", "minicnn", 5e-5, bytes=large),
        row("resize_nearest 1", "forward", "torch", 1e-4),
        row("resize_bilinear 1", "backward", "minicnn", 1e-4, bytes=large),
        row("resize_bilinear 1", "backward", "torch", 9e-5),
        row("resize_nearest 2", "forward", "minicnn", 1, bytes=small),
        row("resize_nearest 2", "forward", "torch", 2),
    ]  # fmt: skip
    verdicts = of_kernels({"ops": {"rows": rows, "roofline": {"bytes": 1e9}}})
    speed, bandwidth = line(verdicts, "resize, PyTorch"), line(verdicts, "resize, share")
    assert (speed["number"], speed["met"], speed["note"]) == (pytest.approx(0.9), False, "resize_bilinear 1 backward")
    assert (bandwidth["number"], bandwidth["met"]) == (pytest.approx(0.4), False)
    assert line(verdicts, "batch norm, PyTorch")["met"] is None
    assert line(of_kernels({"ops": {"rows": rows[:2], "roofline": {"bytes": 1e9}}}), "resize, share")["met"] is True


def test_an_op_without_a_peers_time_of_one_size_is_not_met() -> None:
    rows = [*pair("roi_align 1", "forward", 2.0), row("roi_align 1", "backward", "minicnn", 1.0)]
    found = line(of_kernels({"ops": {"rows": rows}}), "RoIAlign, PyTorch")
    assert (found["met"], found["note"]) == (None, "roi_align 1 forward, without roi_align 1 backward")


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
