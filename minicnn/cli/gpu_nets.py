"""Stage ``nets`` of ``minicnn gpu-report``: trainings compared with the CPU's, and training steps of large nets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minicnn.cli.gpu_acceptance import of_nets
from minicnn.cli.gpu_lenet import lenets
from minicnn.cli.gpu_task import Facts, Task, measured, peers, troubles_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minicnn.bench.conv import Report, Result
    from minicnn.bench.result import Row

NETS = ("resnet18", "resnet50")


def nets(task: Task) -> Facts:
    """LeNet-5 from the same seeds on both devices, and training steps of ResNets beside PyTorch."""
    found: Facts = {}
    troubles: list[str] = []
    if task.chosen(["lenet5"]):
        kept = task.kept.get("lenet5", {})
        found["lenet5"] = kept if kept.get("troubles") == [] and "means" in kept else lenets(task)
        troubles += found["lenet5"]["troubles"]
        task.save(found)
    steps = measured(task, "steps", _steps, found)
    if steps is not None:
        found["steps"] = steps
        troubles += troubles_of(steps["rows"])
    return {**found, "acceptance": of_nets(found), "troubles": troubles, "passed": not troubles}


def _steps(task: Task, kept: Sequence[Row], report: Report) -> Result | None:
    from minicnn.bench import tables

    works = task.chosen(NETS)
    table = tables.Table(
        "minicnn gpu-report", works, lambda work: ("step",), "minicnn.cli.bench_works.steps:provide",
        peers(task.device), rounds=5, seconds=0.5, steady=0.2, roof=False, device=task.device,
    )  # fmt: skip
    return tables.measure(table, report, kept) if works else None
