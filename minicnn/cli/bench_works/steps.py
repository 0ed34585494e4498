"""One training step of a network in either library: forward, cross-entropy, backward, SGD with momentum and decay.

Both nets start from the same weights and see the same batch, so their losses of the first steps must agree. A new
network is one more entry of ``WORKS`` and its torch form in ``torch_nets``.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.bench import process_memory
from minicnn.bench.desk import Answer, Cannot
from minicnn.bench.worker import Handler, Work
from minicnn.cli.bench_works import libraries
from minicnn.core.types import Array

MOMENTUM, DECAY = 0.9, 1e-4
STEPS = 3  # whose losses must agree
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Net:
    """A network's batch, its small batch for a warm-up that shows no memory, and our model."""

    images: Shape
    classes: int
    small: Shape
    ours: Callable[[int], Any]  # classes -> module
    rate: float = 0.01
    dense: bool = False  # a class for each pixel


def _models() -> Any:
    from minicnn import models

    return models


def _mlp(classes: int) -> Any:
    from minicnn import nn

    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, classes))


WORKS = {
    "lenet": Net((64, 1, 32, 32), 10, (2, 1, 32, 32), lambda classes: _models().LeNet5Softmax()),
    "mlp": Net((64, 784), 10, (2, 784), _mlp),
    "vgg11": Net(
        (8, 3, 224, 224), 1000, (2, 3, 32, 32), lambda classes: _models().vgg11(classes, dropout=0.0), rate=1e-4
    ),
    "resnet18": Net((8, 3, 224, 224), 1000, (2, 3, 32, 32), lambda classes: _models().resnet18(classes)),
    "resnet50": Net(
        (64, 3, 224, 224), 1000, (2, 3, 32, 32), lambda classes: _models().resnet50(classes), rate=1e-3
    ),
    "unet": Net(
        (2, 3, 256, 256), 10, (2, 3, 32, 32), lambda classes: _models().UNet(3, classes, base=32, padding="same"),
        dense=True,
    ),
}


def provide(name: str, threads: int) -> Mapping[str, Handler]:
    """The requests that the process of a library answers."""
    library = libraries.load(name, threads)

    def prepare(work: str, which: str) -> Work:
        step, _ = _step(library, work)
        losses = [float(step().item()) for _ in range(STEPS)]
        return Work(step, {"shown": losses}, library.clock)

    def memory(work: str) -> Answer:
        """Rise of the peak over what is resident after a warm-up step: on a small batch, and on a full one."""
        step, use = _step(library, work, WORKS[work].small)
        found: Answer = {}
        for warm in ("small", "full"):
            step()
            before = process_memory.resident()
            if before is None or not process_memory.forget_peak():
                raise Cannot("the system does not tell a process its memory")
            use(WORKS[work].images)
            for _ in range(STEPS):
                step()
            found[warm] = {"before": before, "peak": process_memory.peak()}
        return found

    return {"prepare": prepare, "memory": memory, "alive": library.alive}


def _step(lib: Any, work: str, images: Shape | None = None) -> tuple[Callable[[], Any], Callable[[Shape], None]]:
    """One step, which returns the loss; and a function that puts another batch in its place."""
    net = WORKS[work]
    model = lib.place(_net(lib.name, work))
    named = list(model.named_parameters())
    with lib.no_grad():
        shapes = ((name, tuple(p.shape)) for name, p in named)
        for (_, parameter), values in zip(named, _weights(shapes), strict=True):
            parameter.copy_(lib.tensor(values, False))
    optimizer = lib.sgd(model.parameters(), lr=net.rate, momentum=MOMENTUM, weight_decay=DECAY)
    data: list[Any] = []

    def use(shape: Shape) -> None:
        data[:] = [lib.tensor(array, False) for array in batch(net, shape)]

    def step() -> Any:
        x, labels = data
        loss = lib.F.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    use(images or net.images)
    return step, use


def batch(net: Net, shape: Shape) -> tuple[Array, Array]:
    """The same float32 images and int64 labels for both libraries."""
    draw = np.random.default_rng(0)
    labels = (shape[0], *shape[2:]) if net.dense else shape[:1]
    return draw.standard_normal(shape, np.float32), draw.integers(0, net.classes, labels)


def _weights(parameters: Iterable[tuple[str, Shape]]) -> Iterator[Array]:
    """The same starting values for both libraries, whose parameters come in the same order."""
    draw = np.random.default_rng(1)
    for name, shape in parameters:
        if len(shape) > 1:
            yield draw.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / math.prod(shape[1:])))
        else:  # the scale of a normalisation, or a bias
            yield np.full(shape, float(name.endswith("weight")), np.float32)


def _net(library: str, work: str) -> Any:
    if library == "minicnn":
        return WORKS[work].ours(WORKS[work].classes)
    from minicnn.cli.bench_works import torch_nets

    return torch_nets.NETS[work](WORKS[work].classes)
