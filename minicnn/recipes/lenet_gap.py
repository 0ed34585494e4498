"""C04 ``lenet-gap``: global average pooling of S4, read in both possible ways, side by side."""

import time
from dataclasses import replace
from functools import partial
from typing import Literal

from minicnn import models
from minicnn.recipes import pictures
from minicnn.recipes.digit_task import Settings, draw, finish, train
from minicnn.recipes.recipe import Options, Recipe
from minicnn.recipes.report import Report

# What each reading multiplies the preset's rate by: the full rate lifts the small head, but shakes the wide one.
MODES: dict[Literal["replace", "concatenate"], float] = {"replace": 1.0, "concatenate": 0.5}


def _run(recipe: Recipe, options: Options) -> Report:
    start = time.perf_counter()
    settings: Settings = recipe.presets[options.preset]
    metrics, facts, drawn = {}, {}, []
    points: dict[str, tuple[int, float]] = {}
    for mode, factor in MODES.items():
        folder = options.out / mode
        folder.mkdir(parents=True, exist_ok=True)
        build = partial(models.LeNetGAP, mode)
        own = replace(settings, lr=settings.lr * factor)
        result = train(f"{recipe.name}/{mode}", build, lambda logits: logits.argmax(1), own, options, folder)
        metrics[f"{mode} accuracy"] = result.accuracy
        facts[f"{mode} parameters"] = result.parameters
        points[mode] = (result.parameters, result.accuracy)
        drawn += [f"{mode}/{name}" for name in draw(result, folder)]
    pictures.draw_costs(points, options.out / "costs.png")
    return finish(recipe, options, metrics, facts, [*drawn, "costs.png"], start)


RECIPE = Recipe(
    name="lenet-gap",
    entry="C04",
    title="LeNet with global average pooling",
    summary="2 742 parameters instead of 61 706, and what that costs",
    presets={
        "tiny": Settings("digits", epochs=30, batch_size=16, lr=0.1, weight_decay=1e-4, shift=2),
        "paper": Settings("mnist", epochs=20, batch_size=32, lr=0.05, weight_decay=1e-4, checkpoint_every=1000),
    },
    runner=_run,
)
