"""Stage ``kernels`` of ``minicnn gpu-report``: convolutions, the way to the device and back, memory-bound ops.

Its parts are saved after each pass of each layer and each op. A run that is cut off goes on where it stood.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from minicnn.cli.gpu_acceptance import of_kernels
from minicnn.cli.gpu_task import Facts, Part, Task, measured, peers, troubles_of
from minicnn.cli.gpu_works import OPS, TF32_ALGORITHMS, TF32_LAYERS, layers

if TYPE_CHECKING:
    from minicnn.bench.conv import Report, Result
    from minicnn.bench.layers import Layer
    from minicnn.bench.result import Row

KIND = "minicnn gpu-report"
THREADS = 8  # of each process, most of all for what results are compared with; those that wait sleep


def _threads() -> int:
    return min(THREADS, os.cpu_count() or 1)


def _convolutions(
    task: Task, chosen: Sequence[Layer], algorithms: Sequence[str], tf32: bool, kept: Sequence[Row], report: Report
) -> Result:
    from minicnn.bench import conv

    plan = conv.Plan(
        chosen, algorithms=algorithms, peers=peers(task.device), device=task.device, threads=_threads(), rounds=3,
        seconds=0.02, steady=0.2, samples=200, tf32=tf32,
    )  # fmt: skip
    return conv.measure(plan, report, kept)


def suite(task: Task, kept: Sequence[Row], report: Report) -> Result | None:
    """Every layer of the suite, by the algorithms asked for and by cuDNN."""
    chosen = [layer for layer in layers() if task.chosen([layer.name])]
    return _convolutions(task, chosen, task.algorithms, False, kept, report) if chosen else None


def suite_with_tf32(task: Task, kept: Sequence[Row], report: Report) -> Result | None:
    """Large layers once more, where all may round factors to 10 bits."""
    chosen = [layer for layer in layers() if layer.name in TF32_LAYERS and task.chosen([layer.name])]
    return _convolutions(task, chosen, TF32_ALGORITHMS, True, kept, report) if chosen else None


def crossover(task: Task, kept: Sequence[Row], report: Report) -> Result | None:
    """The smallest layer at growing batches on the CPU, on the device, and with both transfers counted."""
    from minicnn.bench import across

    if not task.chosen(["crossover"]):
        return None
    return across.measure(
        across.growing(layers()), ("forward", "weight_grad"), task.device, threads=2, rounds=3, seconds=0.02,
        samples=200, report=report, kept=kept,
    )  # fmt: skip


def ops(task: Task, kept: Sequence[Row], report: Report) -> Result | None:
    """The memory-bound ops beside PyTorch's."""
    from minicnn.bench import tables
    from minicnn.cli.bench_works import ops as works

    chosen = task.chosen(OPS)
    table = tables.Table(
        KIND, chosen, works.passes, "minicnn.cli.bench_works.ops:provide", peers(task.device), _threads(), rounds=5,
        seconds=0.03, steady=0.2, device=task.device,
    )  # fmt: skip
    return tables.measure(table, report, kept) if chosen else None


PARTS: dict[str, Part] = {"suite": suite, "crossover": crossover, "ops": ops, "suite with TF32": suite_with_tf32}


def kernels(task: Task) -> Facts:
    """Convolution and memory-bound ops beside PyTorch on the same device, in turns, by events; and the crossover."""
    found: Facts = {}
    saved = dict(task.kept)
    troubles = []

    def save(facts: Facts) -> None:
        saved.update(facts)
        task.save(facts)

    for name, part in PARTS.items():
        try:
            record = measured(replace(task, save=save), name, part, found)
        except Exception as error:  # noqa: BLE001 - the other parts must still have their turn
            troubles.append(f"{name}: {type(error).__name__}: {error}")
            record = saved.get(name)  # what it had so far, without the mark that it is complete
        if record is not None:
            found[name] = record
            task.save(found)
            troubles += troubles_of(record["rows"])
    asked = {"only": list(task.only), "algorithms": list(task.algorithms)}
    judged = of_kernels({**found, "asked": asked})
    return {**found, "acceptance": judged, "troubles": troubles, "passed": not troubles}
