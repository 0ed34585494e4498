"""C02 ``lenet5-softmax``: the lecture's table, which ends in ten fully connected outputs and a softmax."""

from pathlib import Path

from minicnn import models, nn
from minicnn.recipes.digit_task import Result, Settings, run_one
from minicnn.recipes.recipe import Options, Recipe
from minicnn.recipes.report import Report


def accountings() -> list[tuple[str, int, int]]:
    """The four ways to count LeNet-5: name, parameters, connections."""
    nets = {
        "paper: C3 table, trainable subsampling, RBF": models.LeNet5(),
        "slide: C3 table, trainable subsampling, FC 10": models.LeNet5Softmax(full_c3=False, pooling="trainable"),
        "full C3, trainable subsampling, FC 10": models.LeNet5Softmax(pooling="trainable"),
        "full C3, average pooling, FC 10": models.LeNet5Softmax(),
    }
    rows = []
    for name, net in nets.items():
        counted = nn.summary(net, (1, 32, 32))
        rows.append((name, counted.parameters, counted.connections))
    return rows


def _table(result: Result, folder: Path) -> list[str]:
    lines = ["| accounting | parameters | connections |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {parameters} | {connections} |" for name, parameters, connections in accountings()]
    (folder / "accountings.md").write_text("\n".join(lines) + "\n")
    return ["accountings.md"]


def _run(recipe: Recipe, options: Options) -> Report:
    return run_one(recipe, options, models.LeNet5Softmax, lambda logits: logits.argmax(1), _table)


RECIPE = Recipe(
    name="lenet5-softmax",
    entry="C02",
    title="LeNet-5 with softmax",
    summary="the lecture's variant, and the four ways to count its parameters",
    presets={
        "tiny": Settings("digits", epochs=20, batch_size=32, lr=0.05, weight_decay=1e-4, shift=1),
        "paper": Settings("mnist", epochs=20, batch_size=32, lr=0.02, weight_decay=1e-4, checkpoint_every=1000),
    },
    runner=_run,
)
