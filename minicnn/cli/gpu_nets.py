"""Stage ``nets`` of ``minicnn gpu-report``: trainings compared with the CPU's, and training steps of large nets."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.cli.gpu_task import Facts, Task, host, measured, peers, troubles_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minicnn.bench.conv import Report, Result
    from minicnn.bench.result import Row

NETS = ("resnet18", "resnet50")
SEEDS, EPOCHS = 5, 4  # of the trainings whose means are compared
FALSE_ALARM = 0.04  # at most, of equal devices: t of 2 * SEEDS independent trainings above sqrt(SEEDS), 18 degrees


def nets(task: Task) -> Facts:
    """LeNet-5 from the same seeds on both devices, and training steps of ResNets beside PyTorch."""
    found: Facts = {}
    troubles: list[str] = []
    if task.chosen(["lenet5"]):
        kept = task.kept.get("lenet5", {})
        found["lenet5"] = kept if kept.get("troubles") == [] else lenets(task.device)
        troubles += found["lenet5"]["troubles"]
        task.save(found)
    steps = measured(task, "steps", _steps, found)
    if steps is not None:
        found["steps"] = steps
        troubles += troubles_of(steps["rows"])
    return {**found, "troubles": troubles, "passed": not troubles}


def _steps(task: Task, kept: Sequence[Row], report: Report) -> Result | None:
    from minicnn.bench import tables

    works = task.chosen(NETS)
    table = tables.Table(
        "minicnn gpu-report", works, lambda work: ("step",), "minicnn.cli.bench_works.steps:provide",
        peers(task.device), rounds=5, seconds=0.5, steady=0.2, roof=False, device=task.device,
    )  # fmt: skip
    return tables.measure(table, report, kept) if works else None


def lenets(device: str) -> Facts:
    """The first step compared number by number, then short trainings from several seeds by their mean accuracy.

    Means of five seeds must be less than one pooled spread apart. Chance alone puts them further apart in 15 of 100
    comparisons of independent trainings; so five seeds more are trained where they are, and all ten must be apart too.
    """
    troubles = _first_step_troubles(device)
    reached: dict[str, list[float]] = {"cpu": [], device: []}
    means, spread = {}, 0.0
    for seeds in (range(SEEDS), range(SEEDS, 2 * SEEDS)):
        for place, values in reached.items():
            values += [_accuracy(place, seed) for seed in seeds]
        means = {place: float(np.mean(values)) for place, values in reached.items()}
        spread = float(np.sqrt(np.mean([np.var(values, ddof=1) for values in reached.values()])))
        if abs(means["cpu"] - means[device]) < max(spread, 1e-3):
            break
    else:
        troubles.append(
            f"lenet5: mean accuracies {means} of {2 * SEEDS} seeds are further apart than their pooled spread "
            f"{spread:.4f} (by chance in at most {FALSE_ALARM:.0%} of all comparisons)"
        )
    return {
        "accuracy": reached, "means": means, "pooled spread": spread, "epochs": EPOCHS, "troubles": troubles,
    }  # fmt: skip


def _accuracy(device: str, seed: int) -> float:
    """What a short training of LeNet-5 reaches."""
    from minicnn.recipes import RECIPES
    from minicnn.recipes.recipe import Options

    with tempfile.TemporaryDirectory() as folder:
        options = Options(device=device, seed=seed, epochs=EPOCHS, out=Path(folder) / "run")
        return float(RECIPES["lenet5"].run(options).metrics["test accuracy"])


def _first_step_troubles(device: str) -> list[str]:
    from minicnn.testing.parity import difference

    troubles = []
    for (name, here), (_, there) in zip(_first_step("cpu"), _first_step(device), strict=True):
        if name.startswith("weight") and not np.array_equal(here, there):
            troubles.append(f"lenet5: {name} differs from the CPU's")
        error, trouble = difference(there, here, "conv2d")
        if trouble:
            troubles.append(f"lenet5: {name}: {trouble} (error {error:.1e})")
    return troubles


def _first_step(device: str) -> list[tuple[str, Any]]:
    """Weights, loss and gradients of LeNet-5's first step from seed 0, as host arrays."""
    import minicnn as mc

    mc.manual_seed(0)
    net = mc.models.LeNet5().to(device)
    draw = np.random.default_rng(0)
    x = mc.tensor(draw.standard_normal((16, 1, 32, 32)).astype(np.float32), device=device)
    labels = mc.tensor(draw.integers(0, 10, 16), device=device)
    found = [(f"weight {name}", host(p).copy()) for name, p in net.named_parameters()]
    loss = net.loss(net(x), labels)
    loss.backward()
    found.append(("loss", host(loss)))
    return found + [(f"gradient of {name}", host(p.grad)) for name, p in net.named_parameters() if p.grad is not None]
