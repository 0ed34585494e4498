"""LeNet-5 on two devices: the recipe's own first step must be equal, and the means of five seeds are judged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minicnn.backends.cuda.emulator import compiler
from minicnn.cli import gpu_lenet
from minicnn.cli.gpu_acceptance import of_nets, told
from minicnn.cli.gpu_task import Task
from minicnn.recipes import RECIPES


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="needs a C++20 compiler")
def test_the_first_step_of_the_recipe_is_the_same_on_the_emulated_device() -> None:
    found = gpu_lenet.first_step("cuda-emulated")
    assert found["troubles"] == []
    assert found["bit-identical"] == {"weights": True, "batches": True, "masks": True}
    assert len(found["first step"]) == 13  # the loss, and a gradient of each of LeNet-5's parameters
    assert 0 < max(found["first step"].values()) < 4e-5


FIRST = {
    "weights": [("weight a", np.ones(3, np.float32))], "batches": [("batch 0", np.ones(3, np.float32))],
    "masks": [("dropout", np.ones(3, np.float32))], "results": [("loss", np.float32([2.0]))],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["weights", "batches", "masks", "results"])
def test_what_differs_in_the_first_step_is_told(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    other = FIRST | {kind: [(FIRST[kind][0][0], FIRST[kind][0][1] * np.float32(1 + 1e-4))]}
    monkeypatch.setattr(gpu_lenet, "_first_step", lambda device: FIRST if device == "cpu" else other)
    found = gpu_lenet.first_step("cuda-emulated")
    assert len(found["troubles"]) == 1
    assert FIRST[kind][0][0] in found["troubles"][0]
    assert [name for name, same in found["bit-identical"].items() if not same] == ([] if kind == "results" else [kind])


@pytest.mark.parametrize(("name", "troubles"), [("numba.core", 0), ("minicnn.nothing", 1)])
def test_without_the_cpus_kernels_nothing_is_compared(
    monkeypatch: pytest.MonkeyPatch, name: str, troubles: int
) -> None:
    def missing(device: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(gpu_lenet, "_first_step", missing)
    found = gpu_lenet.lenets(Task("cuda-emulated"))
    assert len(found["troubles"]) == troubles
    assert {verdict["met"] for verdict in of_nets({"lenet5": found})} == {None}
    assert ("numba is not installed" in found["why"]) is (troubles == 0)


def trained(monkeypatch: pytest.MonkeyPatch, shift: float, kept: Any = None) -> tuple[list[Any], dict[str, Any]]:
    """The trainings, and the result, where the device's accuracies are so many spreads above the CPU's."""
    draw, jobs = np.random.default_rng(0), []
    around = [float(value) for value in draw.standard_normal(gpu_lenet.SEEDS)]
    spread = float(np.std(around, ddof=1))

    def run(options: Any) -> Any:
        jobs.append((options.device, options.seed))
        above = shift * spread if options.device != "cpu" else 0.0
        return SimpleNamespace(metrics={"test accuracy": 0.9 + 0.01 * (around[options.seed] + above)})

    monkeypatch.setitem(RECIPES, "lenet5", SimpleNamespace(run=run, presets=RECIPES["lenet5"].presets))
    monkeypatch.setattr(gpu_lenet, "_first_step", lambda device: FIRST)
    monkeypatch.setattr(gpu_lenet, "spread", lambda task, jobs, lost, **how: map(task, jobs))
    return jobs, gpu_lenet.lenets(Task("cuda-emulated", kept=kept or {}))


@pytest.mark.parametrize(("shift", "met"), [(0.9, True), (1.1, False), (0.0, True)])
def test_means_must_be_less_than_their_pooled_spread_apart(
    monkeypatch: pytest.MonkeyPatch, shift: float, met: bool
) -> None:
    jobs, found = trained(monkeypatch, shift)
    assert len(jobs) == 2 * gpu_lenet.SEEDS
    assert found["troubles"] == []  # a number that misses its bound is a result
    assert of_nets({"lenet5": found})[-1]["met"] is met


def test_a_training_that_was_done_is_not_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"lenet5": {"accuracy": {"cpu": {"0": 0.9, "1": 0.8}, "cuda-emulated": {"3": 0.9}}}}
    jobs, found = trained(monkeypatch, 0.5, kept)
    assert sorted(jobs) == [("cpu", 2), ("cpu", 3), ("cpu", 4), *(("cuda-emulated", seed) for seed in (0, 1, 2, 4))]
    assert found["accuracy"]["cpu"]["1"] == 0.8
    assert "means" in found


def test_a_training_that_fails_is_told_and_leaves_the_means_unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    def boom(options: Any) -> Any:
        raise RuntimeError("boom")

    monkeypatch.setattr(gpu_lenet, "_first_step", lambda device: FIRST)
    monkeypatch.setattr(gpu_lenet, "spread", lambda task, jobs, lost, **how: map(task, jobs))
    monkeypatch.setitem(RECIPES, "lenet5", SimpleNamespace(run=boom, presets=RECIPES["lenet5"].presets))
    found = gpu_lenet.lenets(Task("cuda-emulated"))
    assert len(found["troubles"]) == 10
    assert "lenet5: training on cpu from seed 0: RuntimeError: boom" in found["troubles"]
    assert [verdict["met"] for verdict in of_nets({"lenet5": found})[1:]] == [True, True, None]
    assert told(of_nets({}))[-1] == "not measured lenet5: means of five seeds apart by less than their pooled spread"
