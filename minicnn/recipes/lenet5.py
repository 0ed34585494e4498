"""C01 ``lenet5``: LeNet-5 as published in 1998, with its connection table, subsampling layers and RBF outputs.

Plain SGD with momentum stands for the paper's stochastic diagonal Levenberg-Marquardt; the ``paper`` preset follows
its 20 passes and the fall of its global rate.
"""

from pathlib import Path

from minicnn import models
from minicnn.recipes import pictures
from minicnn.recipes.digit_task import Result, Settings, judge, run_one
from minicnn.recipes.recipe import Options, Recipe
from minicnn.recipes.report import Report


def _codes(result: Result, folder: Path) -> list[str]:
    model = result.model
    outputs = judge(model, result.images, model.features)
    pictures.draw_codes(model.output.codes.numpy(), outputs, result.labels, folder / "codes.png")
    return ["codes.png"]


def _run(recipe: Recipe, options: Options) -> Report:
    return run_one(recipe, options, models.LeNet5, lambda distances: distances.argmin(1), _codes)


RECIPE = Recipe(
    name="lenet5",
    entry="C01",
    title="LeNet-5 (1998)",
    summary="the paper's network reads real handwritten digits",
    presets={
        "tiny": Settings("digits", epochs=30, batch_size=16, lr=0.001, shift=2),  # at 0.002 some starts learn badly
        "paper": Settings(
            "mnist", epochs=20, batch_size=1, lr=5e-4, momentum=0.0,
            rates=(*[5e-4] * 2, *[2e-4] * 3, *[1e-4] * 3, *[5e-5] * 4, 1e-5), checkpoint_every=5000,
        ),
    },
    runner=_run,
)  # fmt: skip
