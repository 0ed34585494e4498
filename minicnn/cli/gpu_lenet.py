"""LeNet-5 on a device beside the CPU, from the same seeds: its first step number by number, then whole trainings.

The recipe's own data, loader, net and loss. After the first step rounding takes the trainings apart, so of them only
the accuracies are compared.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.cli.gpu_pool import PROCESSES, spread
from minicnn.cli.gpu_task import ABSENT, Facts, Task, absent, host

if TYPE_CHECKING:
    from minicnn.recipes.recipe import Options

Job = tuple[str, int, int | None]  # device, seed, epochs
SEEDS = 5
EPOCHS = {"cuda-emulated": 1}  # where the recipe's thirty would take hours
LIMIT = {"cuda": 300.0, "cuda-emulated": 3600.0}  # seconds of a training
MASKS = ((0.5, (16, 120)), (0.25, (7, 3, 5, 5)))  # dropout's rate and a shape


def lenets(task: Task) -> Facts:
    """First step and trainings; what an earlier run of the stage trained is not trained again."""
    kept = task.kept.get("lenet5", {})
    try:
        found = first_step(task.device)
    except ModuleNotFoundError as error:
        why = absent(error)
        return {"why": why, "troubles": [] if why.startswith(ABSENT) else [f"lenet5: {why}"]}
    found["epochs"] = EPOCHS.get(task.device) or _settings().epochs
    accuracy: dict[str, dict[str, float]] = {"cpu": {}, task.device: {}} | kept.get("accuracy", {})
    found["accuracy"] = accuracy
    task.save({"lenet5": found})
    jobs: list[Job] = [
        (place, seed, EPOCHS.get(task.device))
        for seed in range(SEEDS) for place in (task.device, "cpu") if str(seed) not in accuracy[place]
    ]  # fmt: skip
    found["troubles"] = list(found["troubles"])
    limit = LIMIT.get(task.device, 3600.0)
    for place, seed, value, trouble in spread(_train, jobs, _lost, share=1, limit=limit):
        if value is None:
            found["troubles"].append(f"lenet5: training on {place} from seed {seed}: {trouble}")
        else:
            accuracy[place][str(seed)] = value
            task.save({"lenet5": found})
    reached = [list(values.values()) for values in accuracy.values()]
    if all(len(values) == SEEDS for values in reached):
        found["means"] = {place: float(np.mean(list(values.values()))) for place, values in accuracy.items()}
        found["pooled spread"] = float(np.sqrt(np.mean([np.var(values, ddof=1) for values in reached])))
    return found


def _lost(job: Job, why: str) -> tuple[str, int, float | None, str]:
    return *job[:2], None, why


def _train(job: Job) -> tuple[str, int, float | None, str]:
    """The accuracy that a training reaches on the held-out digits."""
    import minicnn as mc
    from minicnn.recipes import RECIPES
    from minicnn.recipes.recipe import Options

    place, seed, epochs = job
    mc.set_num_threads(max(1, (os.cpu_count() or 1) // PROCESSES))
    try:
        with tempfile.TemporaryDirectory() as folder:
            options = Options(device=place, seed=seed, epochs=epochs, out=Path(folder) / "run")
            return place, seed, float(RECIPES["lenet5"].run(options).metrics["test accuracy"]), ""
    except Exception as error:  # noqa: BLE001 - the other trainings must still have their turn
        return place, seed, None, f"{type(error).__name__}: {error}"


def first_step(device: str) -> Facts:
    """What must be equal to the bit, the errors of loss and gradients, and what is wrong with either."""
    from minicnn.testing.parity import difference

    here, there = _first_step("cpu"), _first_step(device)
    troubles, errors = [], {}
    identical = dict.fromkeys(("weights", "batches", "masks"), True)
    for kind in identical:
        for (name, mine), (_, theirs) in zip(there[kind], here[kind], strict=True):
            if mine.dtype != theirs.dtype or mine.tobytes() != theirs.tobytes():
                identical[kind] = False
                troubles.append(f"lenet5: {name} differs from the CPU's")
    for (name, mine), (_, theirs) in zip(there["results"], here["results"], strict=True):
        errors[name], trouble = difference(mine, theirs, "conv2d")
        if trouble:
            troubles.append(f"lenet5: first step, {name}: {trouble}")
    return {"bit-identical": identical, "first step": errors, "troubles": troubles}


def _first_step(device: str) -> dict[str, list[tuple[str, Any]]]:
    """Weights, the first epoch's batches, dropout masks, and the first batch's loss and gradients, on the host."""
    import minicnn as mc
    from minicnn.recipes import digit_task

    net, batches, _ = digit_task.prepare(mc.models.LeNet5, _settings(), _options(device))
    state = net.state_dict()
    found: dict[str, list[tuple[str, Any]]] = {"batches": [], "masks": [], "results": []}
    found["weights"] = [(f"weight {name}", _values(value)) for name, value in state.items()]
    for number, (images, labels) in enumerate(batches):
        found["batches"] += [(f"batch {number}", _values(images)), (f"labels {number}", _values(labels))]
        if not number:
            loss = net.loss(net(_on(images, device)), _on(labels, device))
            loss.backward()
            graded = [(name, p.grad) for name, p in net.named_parameters() if p.grad is not None]
            found["results"] = [("loss", host(loss)), *((f"gradient of {name}", host(g)) for name, g in graded)]
    mc.manual_seed(0)
    for rate, shape in MASKS:
        mask = mc.ops.dropout(mc.ones(shape).to(device), rate)
        found["masks"].append((f"dropout {rate} of {shape}", host(mask)))
    return found


def _settings() -> Any:
    from minicnn.recipes import RECIPES

    return RECIPES["lenet5"].presets["tiny"]


def _options(device: str) -> Options:
    from minicnn.recipes.recipe import Options

    return Options(device=device)


def _on(value: Any, device: str) -> Any:
    """The recipe's trainer gets host arrays on the CPU, and Tensors of the device elsewhere."""
    import minicnn as mc

    return value if isinstance(value, mc.Tensor) else mc.tensor(value, device=device)


def _values(value: Any) -> Any:
    return np.array(host(value) if hasattr(value, "detach") else value)
