"""What a contender's process does for ``minicnn bench ops``: one op at one size, forward with its graph, or backward.

A work is named ``OP SIZE``, as ``relu 8x64x112x112``. Both libraries get the same numbers, and show of every result
some of its numbers, its sums and a projection, which must agree: that the ops are right is what the gradient sweep
shows; here it shows that both do the same thing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import numpy as np

from minicnn.bench.desk import Cannot
from minicnn.bench.worker import Handler, Work
from minicnn.cli.bench_works import libraries
from minicnn.core.types import Array

SHOWN = 64  # numbers of a result that are compared, besides its ends, sums and projection
AGREE = 1e-5  # how far two libraries may differ in what they show of an op, unless it only moves numbers or has its own
BLOCK = 1 << 20  # numbers that are projected at a time
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Op:
    """How to make the inputs that get gradients, the inputs that do not, and the result."""

    inputs: Callable[[Shape, np.random.Generator], Sequence[Array]]
    apply: Callable[..., Any]  # (library, constants, *inputs) -> result
    constants: Callable[[Shape, np.random.Generator], Sequence[Array]] = lambda shape, draw: ()
    agree: float = AGREE
    exact: bool = False  # both libraries only choose, copy, or add two numbers: they must agree to the bit
    reads: str = ""  # what a gradient reads beside gy: numbers as many as its "input" has, or its "output", or nothing
    drops: bool = False  # at random, each library others: of ones they show the least and the largest number


def _normal(*shapes: Callable[[Shape], Shape]) -> Callable[[Shape, np.random.Generator], list[Array]]:
    return lambda shape, draw: [draw.standard_normal(make(shape), np.float32) for make in shapes]


def _same(shape: Shape) -> Shape:
    return shape


def _channels(shape: Shape) -> Shape:
    return shape[1:2]


def _last(shape: Shape) -> Shape:
    return shape[-1:]


def _ones(shape: Shape, draw: np.random.Generator) -> list[Array]:
    return [np.ones(shape, np.float32)]


def _labels(shape: Shape, draw: np.random.Generator) -> list[Array]:
    return [draw.integers(0, shape[1], (shape[0], *shape[2:]))]


def _boxes(shape: Shape, draw: np.random.Generator) -> list[Array]:
    """128 boxes on the first image, in cells of the map."""
    corner = draw.uniform(0, 0.7, (128, 2)) * shape[:1:-1]
    far = corner + draw.uniform(0.05, 0.3, (128, 2)) * shape[:1:-1]
    return [np.concatenate([np.zeros((128, 1)), corner, far], axis=1).astype(np.float32)]


def _batch_norm(lib: Any, constants: Any, x: Any, w: Any, b: Any) -> Any:
    return lib.F.batch_norm(x, None, None, w, b, True, 0.1, 1e-5)


def _layer_norm(lib: Any, constants: Any, x: Any, w: Any, b: Any) -> Any:
    return lib.F.layer_norm(x, tuple(x.shape[-1:]), w, b)


def _group_norm(lib: Any, constants: Any, x: Any, w: Any, b: Any) -> Any:
    return lib.F.group_norm(x, math.gcd(32, x.shape[1]), w, b)


def _bilinear(lib: Any, constants: Any, x: Any) -> Any:
    return lib.F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


_IMAGE = _normal(_same)
OPS = {
    "relu": Op(_IMAGE, lambda lib, _, x: lib.F.relu(x), exact=True, reads="output"),
    "sigmoid": Op(_IMAGE, lambda lib, _, x: lib.sigmoid(x), reads="output"),
    "tanh": Op(_IMAGE, lambda lib, _, x: lib.tanh(x), reads="output"),
    "add": Op(_normal(_same, _same), lambda lib, _, a, b: a + b, exact=True),
    "cat": Op(_normal(_same, _same), lambda lib, _, a, b: lib.cat([a, b], 1), exact=True),
    "batch_norm": Op(_normal(_same, _channels, _channels), _batch_norm, reads="input"),
    "layer_norm": Op(_normal(_same, _last, _last), _layer_norm, reads="input"),
    "group_norm": Op(_normal(_same, _channels, _channels), _group_norm, reads="input"),
    "dropout": Op(_ones, lambda lib, _, x: lib.F.dropout(x, 0.5, True), drops=True),
    "resize_bilinear": Op(_IMAGE, _bilinear),
    "resize_nearest": Op(_IMAGE, lambda lib, _, x: lib.F.interpolate(x, scale_factor=2, mode="nearest")),
    "max_pool2x2": Op(_IMAGE, lambda lib, _, x: lib.F.max_pool2d(x, 2), exact=True, reads="output"),
    "max_pool3x3/2": Op(_IMAGE, lambda lib, _, x: lib.F.max_pool2d(x, 3, 2, 1), reads="output"),
    "avg_pool2x2": Op(_IMAGE, lambda lib, _, x: lib.F.avg_pool2d(x, 2)),
    "global_pool": Op(_IMAGE, lambda lib, _, x: lib.F.adaptive_avg_pool2d(x, 1)),
    "softmax": Op(_IMAGE, lambda lib, _, x: lib.F.softmax(x, 1), reads="output"),
    "cross_entropy": Op(_IMAGE, lambda lib, c, x: lib.F.cross_entropy(x, c[0]), _labels, reads="input"),
    "roi_pool": Op(_IMAGE, lambda lib, c, x: lib.roi("roi_pool")(x, c[0], 7), _boxes, reads="output"),
    "roi_align": Op(_IMAGE, lambda lib, c, x: lib.roi("roi_align")(x, c[0], 7, sampling_ratio=2), _boxes, agree=1e-4),
}
UPDATES = {"sgd": {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}}
STEPS = 2  # of an optimiser before its parameters are compared: the velocity shows in the second
PASSES = ("forward", "backward")
SIZES = (  # those of ResNet-18 and VGG-11 at 8x3x224x224, U-Net at 2x3x256x256, LeNet at 64x1x32x32
    "relu 8x64x224x224", "relu 8x64x112x112", "relu 8x64x56x56", "relu 8x256x14x14", "relu 2x32x256x256",
    "tanh 64x6x28x28", "add 8x64x56x56", "add 8x512x7x7", "cat 2x32x256x256", "batch_norm 8x64x112x112",
    "batch_norm 8x64x56x56", "batch_norm 8x128x28x28", "batch_norm 8x512x7x7", "max_pool3x3/2 8x64x112x112",
    "max_pool2x2 8x64x224x224", "max_pool2x2 2x32x256x256", "avg_pool2x2 64x6x28x28", "global_pool 8x512x7x7",
    "roi_pool 1x256x50x75", "roi_align 1x256x50x75", "softmax 64x1000", "cross_entropy 8x1000",
    "cross_entropy 2x2x256x256", "sgd resnet18", "sgd vgg11",
)
_PARAMETERS: dict[str, list[Shape]] = {
    "resnet18": [
        (64, 3, 7, 7), *[(64, 64, 3, 3)] * 4, (128, 64, 3, 3), *[(128, 128, 3, 3)] * 3, (256, 128, 3, 3),
        *[(256, 256, 3, 3)] * 3, (512, 256, 3, 3), *[(512, 512, 3, 3)] * 3, (128, 64), (256, 128), (512, 256),
        *[(64,)] * 10, *[(128,)] * 10, *[(256,)] * 10, *[(512,)] * 10, (1000, 512), (1000,),
    ],
    "vgg11": [
        (64, 3, 3, 3), (128, 64, 3, 3), (256, 128, 3, 3), (256, 256, 3, 3), (512, 256, 3, 3), *[(512, 512, 3, 3)] * 3,
        (64,), (128,), *[(256,)] * 2, *[(512,)] * 4, (4096, 25088), (4096, 4096), (1000, 4096), *[(4096,)] * 2, (1000,),
    ],
}


def passes(work: str) -> tuple[str, ...]:
    """What is measured of a work: forward and backward, or an update."""
    return ("update",) if work.partition(" ")[0] in UPDATES else PASSES


def provide(name: str, threads: int) -> Mapping[str, Handler]:
    """The requests that the process of a library answers."""
    library = libraries.load(name, threads)

    def prepare(work: str, which: str) -> Work:
        op, _, size = work.partition(" ")
        if op in UPDATES:
            return _update(library, op, size)
        return _op(library, OPS[op], tuple(int(n) for n in size.split("x")), which)

    return {"prepare": prepare, "alive": library.alive}


def _op(lib: SimpleNamespace, op: Op, shape: Shape, which: str) -> Work:
    draw = np.random.default_rng(0)
    arrays, fixed = op.inputs(shape, draw), op.constants(shape, draw)

    def operands() -> tuple[list[Any], list[Any]]:
        return [lib.tensor(array, True) for array in arrays], [lib.tensor(array, False) for array in fixed]

    inputs, constants = operands()
    result = op.apply(lib, constants, *inputs)
    sent = draw.standard_normal(tuple(result.shape), np.float32)
    show = _ends if op.drops else shown
    if op.drops:
        sent = np.ones_like(sent)
    moved = sum(array.nbytes for array in arrays) + sent.nbytes
    copies = [(inputs, constants), *[operands() for _ in range(lib.copies(moved) - 1)]]
    if which == "forward":
        facts = {"shown": show(lib.array(result)), "bytes": moved, "agree": 0.0 if op.exact else op.agree}
        around = cycle(copies)

        def forward() -> None:
            inputs, constants = next(around)
            op.apply(lib, constants, *inputs)

        return Work(forward, facts, lib.clock)
    results = [(op.apply(lib, constants, *inputs), inputs, lib.tensor(sent, False)) for inputs, constants in copies]
    graphs = cycle(results)
    result, inputs, gradient = next(graphs)
    found = lib.grad(result, inputs, gradient)
    moved += {"input": arrays[0].nbytes, "output": sent.nbytes, "": 0}[op.reads]
    if any(lib.shares_memory(g, gradient) for g in found):  # handed on, not moved
        moved = 0
    facts = {"shown": [group for g in found for group in show(lib.array(g))], "bytes": moved}
    facts["agree"] = 0.0 if op.exact else op.agree
    return Work(lambda: lib.grad(*next(graphs)), facts, lib.clock)


def _update(lib: SimpleNamespace, op: str, net: str) -> Work:
    """One step of the optimiser, with gradients that stay. Read: weight, gradient, velocity; written: two of them."""
    if net not in _PARAMETERS:
        raise Cannot(f"no parameter shapes of {net!r}")
    draw = np.random.default_rng(0)
    parameters = []
    for shape in _PARAMETERS[net]:
        parameters.append(lib.tensor(draw.standard_normal(shape, np.float32), True))
        lib.set_grad(parameters[-1], draw.standard_normal(shape, np.float32))
    optimizer = lib.sgd(parameters, **UPDATES[op])
    for _ in range(STEPS):
        optimizer.step()
    moved = 5 * 4 * sum(int(np.prod(shape)) for shape in _PARAMETERS[net])
    facts = {"shown": [group for one in parameters for group in shown(lib.array(one))], "bytes": moved}
    return Work(optimizer.step, facts, lib.clock)


def _ends(array: Array) -> list[list[float]]:
    return [[float(array.min()), float(array.max())]]


def shown(array: Array) -> list[list[float]]:
    """What is compared of a result, in groups, each beside the number that differences in it are measured by.

    Numbers at equal distances, the first and the last rows and columns, and the largest; the sum beside the sum of
    absolute values; a projection on random signs beside the norm.
    """
    flat = np.ascontiguousarray(array).reshape(-1)
    if not flat.size:
        return [[0.0]]
    rows = array.reshape(-1, array.shape[-1]) if array.ndim else flat.reshape(1, 1)
    ends = [part[:: max(1, part.size // SHOWN)] for part in (rows[0], rows[-1], rows[:, 0], rows[:, -1])]
    places = np.linspace(0, flat.size - 1, SHOWN).astype(np.int64)
    total = absolute = projection = square = 0.0
    draw = np.random.default_rng(1)
    for start in range(0, flat.size, BLOCK):
        part = flat[start : start + BLOCK].astype(np.float64)
        signs = draw.integers(0, 2, part.size, np.int8) * 2 - 1
        total += float(part.sum())
        absolute += float(np.abs(part).sum())
        projection += float(part @ signs)
        square += float(part @ part)
    numbers = [*flat[places], *np.concatenate(ends), np.max(np.abs(flat))]
    return [[float(number) for number in numbers], [total, absolute], [projection, math.sqrt(square)]]
