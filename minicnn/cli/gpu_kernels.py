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

if TYPE_CHECKING:
    from minicnn.bench.conv import Report, Result
    from minicnn.bench.layers import Layer
    from minicnn.bench.result import Row

KIND = "minicnn gpu-report"
OPS = (  # memory-bound ops whose speed is compared
    "relu 16x64x112x112", "add 32x64x56x56", "dropout 32x64x56x56", "batch_norm 16x64x112x112", "batch_norm 32x512x7x7",
    "layer_norm 64x197x768", "group_norm 32x64x56x56", "max_pool3x3/2 16x64x112x112", "avg_pool2x2 64x64x56x56",
    "global_pool 64x512x7x7", "resize_bilinear 16x64x56x56", "resize_nearest 16x64x56x56", "roi_align 1x256x50x75",
    "roi_pool 1x256x50x75", "softmax 64x1000", "cross_entropy 64x1000", "sgd resnet18",
)  # fmt: skip
TF32_LAYERS = ("vgg-3_2", "resnet-128@28", "resnet-512@7", "resnet-1x1", "resnet-stride2")  # products that are large
TF32_ALGORITHMS = ("auto", "im2col", "pointwise", "implicit_gemm_tf32")  # all but the last by cuBLAS, which then rounds
THREADS = 8  # of each process, most of all for what results are compared with; those that wait sleep


def _suite() -> list[Layer]:
    from minicnn.bench import layers

    return layers.load(["suite"])


def _threads() -> int:
    return min(THREADS, os.cpu_count() or 1)


def _convolutions(
    task: Task, layers: Sequence[Layer], algorithms: Sequence[str], tf32: bool, kept: Sequence[Row], report: Report
) -> Result:
    from minicnn.bench import conv

    plan = conv.Plan(
        layers, algorithms=algorithms, peers=peers(task.device), device=task.device, threads=_threads(), rounds=3,
        seconds=0.02, steady=0.2, samples=200, tf32=tf32,
    )  # fmt: skip
    return conv.measure(plan, report, kept)


def suite(task: Task, kept: Sequence[Row], report: Report) -> Result | None:
    """Every layer of the suite, by the algorithms asked for and by cuDNN."""
    chosen = [layer for layer in _suite() if task.chosen([layer.name])]
    return _convolutions(task, chosen, task.algorithms, False, kept, report) if chosen else None


def suite_with_tf32(task: Task, kept: Sequence[Row], report: Report) -> Result | None:
    """Large layers once more, where all may round factors to 10 bits."""
    chosen = [layer for layer in _suite() if layer.name in TF32_LAYERS and task.chosen([layer.name])]
    return _convolutions(task, chosen, TF32_ALGORITHMS, True, kept, report) if chosen else None


def crossover(task: Task, kept: Sequence[Row], report: Report) -> Result | None:
    """The smallest layer at growing batches on the CPU, on the device, and with both transfers counted."""
    from minicnn.bench import across

    if not task.chosen(["crossover"]):
        return None
    return across.measure(
        across.growing(_suite()), ("forward", "weight_grad"), task.device, threads=2, rounds=3, seconds=0.02,
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
    return {**found, "acceptance": of_kernels(found), "troubles": troubles, "passed": not troubles}
