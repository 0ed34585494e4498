"""Whole training steps, ours beside PyTorch eager: ``python benchmarks/training_steps.py``.

Each library runs in a process of its own with two threads; they take turns, one sleeping while the other works.
A step is: forward, cross-entropy, backward, SGD with momentum 0.9 and decay 1e-4, on one batch that lies in memory.
The ratio is PyTorch's time over ours, above 1 where we are faster. Both nets start from the same weights, and their
losses over the first three steps must agree before anything is timed.

=============  ==================================================================================  ================
workload       network                                                                             batch
=============  ==================================================================================  ================
``lenet``      the 61 706-parameter LeNet-5 of today: full C3, average pooling, tanh               64 x 1 x 32 x 32
``mlp``        784-256-10 with ReLU                                                                64 x 784
``vgg11``      VGG A, no dropout (its masks would differ), 1000 classes                            8 x 3 x 224 x 224
``resnet18``   ResNet-18, 1000 classes                                                             8 x 3 x 224 x 224
``unet``       U-Net with padding, 32 maps at the top, 10 classes for each pixel                   2 x 3 x 256 x 256
=============  ==================================================================================  ================

``--memory`` measures instead how far the peak of resident memory rises in a process of its own: over what is resident
once a step on small images has loaded the code and made gradients and momenta.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

THREADS = 2
BATCHES = {  # shape of the images, number of classes
    "lenet": ((64, 1, 32, 32), 10),
    "mlp": ((64, 784), 10),
    "vgg11": ((8, 3, 224, 224), 1000),
    "resnet18": ((8, 3, 224, 224), 1000),
    "unet": ((2, 3, 256, 256), 10),
}
WORKLOADS = tuple(BATCHES)
SMALL = {"lenet": (2, 1, 32, 32), "mlp": (2, 784), "vgg11": (2, 3, 32, 32), "resnet18": (2, 3, 32, 32)}
RATES = {"vgg11": 1e-4}  # where 0.01 diverges
MOMENTUM, DECAY = 0.9, 1e-4
AGREE = 1e-3  # relative difference of the first losses that float32 explains
Step = Callable[[], Any]


def batch(workload: str, shape: tuple[int, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The same float32 images and int64 labels for both libraries."""
    draw = np.random.default_rng(0)
    full, classes = BATCHES[workload]
    shape = shape or full
    labels = (shape[0], *shape[2:]) if workload == "unet" else shape[:1]
    return draw.standard_normal(shape, np.float32), draw.integers(0, classes, labels)


def weights(parameters: Iterable[tuple[str, tuple[int, ...]]]) -> Iterator[np.ndarray]:
    """The same starting values for both libraries, whose parameters come in the same order."""
    draw = np.random.default_rng(1)
    for name, shape in parameters:
        if len(shape) > 1:
            yield draw.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / math.prod(shape[1:])))
        else:  # the scale of a normalisation, or a bias
            yield np.full(shape, float(name.endswith("weight")), np.float32)


def minicnn_step(workload: str, shape: tuple[int, ...] | None = None) -> tuple[Step, Callable[..., None]]:
    """One step in our library, which returns the loss; and a function that puts another batch in its place."""
    import minicnn as mc
    from minicnn import models, nn, ops, optim

    mc.set_num_threads(THREADS)
    classes = BATCHES[workload][1]
    with nn.init.skip():
        model: nn.Module = {
            "lenet": models.LeNet5Softmax,
            "mlp": lambda: nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, classes)),
            "vgg11": lambda: models.vgg11(classes, dropout=0.0),
            "resnet18": lambda: models.resnet18(classes),
            "unet": lambda: models.UNet(3, classes, base=32, padding="same"),
        }[workload]()
    named = list(model.named_parameters())
    with mc.no_grad():
        for (_, p), values in zip(named, weights((name, p.shape) for name, p in named), strict=True):
            p.copy_(values)
    optimizer = optim.SGD(model.parameters(), lr=RATES.get(workload, 0.01), momentum=MOMENTUM, weight_decay=DECAY)
    data: list[Any] = []

    def use(shape: tuple[int, ...] | None = None) -> None:
        data[:] = [mc.tensor(a) for a in batch(workload, shape)]

    def step() -> mc.Tensor:
        images, labels = data
        loss = ops.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    use(shape)
    return step, use


def torch_step(workload: str, shape: tuple[int, ...] | None = None) -> tuple[Step, Callable[..., None]]:
    """The same in PyTorch eager."""
    import torch

    torch.set_num_threads(THREADS)
    model = torch_model(workload)
    named = list(model.named_parameters())
    with torch.no_grad():
        for (_, p), values in zip(named, weights((name, tuple(p.shape)) for name, p in named), strict=True):
            p.copy_(torch.from_numpy(values))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATES.get(workload, 0.01), momentum=MOMENTUM, weight_decay=DECAY)
    data: list[Any] = []

    def use(shape: tuple[int, ...] | None = None) -> None:
        data[:] = [torch.from_numpy(a) for a in batch(workload, shape)]

    def step() -> torch.Tensor:
        images, labels = data
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    use(shape)
    return step, use


def torch_model(workload: str) -> Any:
    """The nets of `minicnn_step` as torch modules, with parameters in the same order."""
    import torch
    from torch import nn

    classes = BATCHES[workload][1]
    if workload == "lenet":
        return nn.Sequential(
            *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
            *(nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, classes)),
        )
    if workload == "mlp":
        return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, classes))
    if workload == "vgg11":
        layers: list[nn.Module] = []
        channels = 3
        for maps in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0):
            layers += [nn.Conv2d(channels, maps, 3, padding=1), nn.ReLU(inplace=True)] if maps else [nn.MaxPool2d(2)]
            channels = maps or channels
        head = (nn.Linear(25088, 4096), nn.ReLU(inplace=True), nn.Linear(4096, 4096), nn.ReLU(inplace=True))
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten(), *head, nn.Linear(4096, classes))

    class Block(nn.Module):
        def __init__(self, inputs: int, maps: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, maps, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(maps)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(maps, maps, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(maps)
            self.downsample = None
            if stride > 1 or inputs != maps:
                self.downsample = nn.Sequential(nn.Conv2d(inputs, maps, 1, stride, bias=False), nn.BatchNorm2d(maps))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            y += x if self.downsample is None else self.downsample(x)
            return self.relu(y)

    if workload == "resnet18":
        stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
        sizes = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2)]
        blocks = [Block(*size) for size in [*sizes, (512, 512, 1)]]
        return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))

    def pair(inputs: int, maps: int) -> nn.Sequential:
        convs = [nn.Conv2d(inputs, maps, 3, padding=1), nn.Conv2d(maps, maps, 3, padding=1)]
        return nn.Sequential(convs[0], nn.ReLU(inplace=True), convs[1], nn.ReLU(inplace=True))

    class UNet(nn.Module):
        def __init__(self, base: int = 32) -> None:
            super().__init__()
            widths = [base << level for level in range(5)]
            self.down = nn.ModuleList(pair(i, o) for i, o in zip([3, *widths[:-1]], widths, strict=True))
            self.rise = nn.ModuleList(nn.ConvTranspose2d(2 * o, o, 2, 2) for o in widths[-2::-1])
            self.up = nn.ModuleList(pair(2 * o, o) for o in widths[-2::-1])
            self.head = nn.Conv2d(base, classes, 1)
            self.pool = nn.MaxPool2d(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            skips = []
            for level, down in enumerate(self.down):
                x = down(x if level == 0 else self.pool(x))
                skips.append(x)
            skips.pop()
            for rise, up in zip(self.rise, self.up, strict=True):
                x = up(torch.cat([skips.pop(), rise(x)], 1))
            return self.head(x)

    return UNet()


STEPS = {"minicnn": minicnn_step, "torch": torch_step}


def losses(library: str, workload: str) -> list[float]:
    """Losses of the first three steps."""
    step, _ = STEPS[library](workload)
    return [step().item() for _ in range(3)]


def resident(library: str, workload: str) -> dict[str, float]:
    """Resident MiB of this process: after a step on small images, and at most during three full steps."""
    step, use = STEPS[library](workload, SMALL.get(workload, (2, 3, 32, 32)))
    step()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    use()
    for _ in range(3):
        step()
    return {"before": before, "peak": _status("VmHWM"), "rise": _status("VmHWM") - before}


def _status(key: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def _ask(question: str, library: str, workload: str) -> Any:
    """What this file answers in a process of its own."""
    command = [sys.executable, __file__, f"--{question}", library, workload]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def _measure_memory(workloads: list[str]) -> dict[str, Any]:
    print(f"{'step':10} {'minicnn MiB':>30} {'torch MiB':>30} {'ours / theirs':>14}")
    found: dict[str, Any] = {}
    for workload in workloads:
        row = found[workload] = {name: _ask("resident", name, workload) for name in STEPS}
        row["ratio"] = row["minicnn"]["rise"] / row["torch"]["rise"]
        cells = ["{before:.0f} + {rise:.0f} = {peak:.0f}".format(**row[name]) for name in STEPS]
        print(f"{workload:10} {cells[0]:>30} {cells[1]:>30} {row['ratio']:14.2f}", flush=True)
    return found


def _measure_time(workloads: list[str], rounds: int) -> dict[str, Any]:
    from minicnn import bench

    print(f"{'step':10} {'minicnn ms':>26} {'torch ms':>26} {'ratio':>7}  first losses")
    found: dict[str, Any] = {}
    for workload in workloads:
        first = {name: _ask("losses", name, workload) for name in STEPS}
        if not np.allclose(first["minicnn"], first["torch"], rtol=AGREE):
            raise SystemExit(f"{workload}: the losses of the first steps differ: {first}")
        contenders = [bench.Contender(name, [sys.executable, __file__, "--serve", name, workload]) for name in STEPS]
        timings = bench.alternate(contenders, rounds=rounds)
        row = {name: {"median": t.median, "interval": t.spread, "losses": first[name]} for name, t in timings.items()}
        ratio = timings["torch"].median / timings["minicnn"].median
        found[workload] = {**row, "ratio": ratio}
        cells = [f"{t.median * 1e3:8.3f} [{t.spread[0] * 1e3:.3f}, {t.spread[1] * 1e3:.3f}]" for t in timings.values()]
        gate = ", ".join(f"{a:.5f}/{b:.5f}" for a, b in zip(first["minicnn"], first["torch"], strict=True))
        print(f"{workload:10} {cells[0]:>26} {cells[1]:>26} {ratio:7.2f}  {gate}", flush=True)
    return found


def main() -> None:
    """Measure the workloads asked for and print a row for each."""
    from minicnn import bench

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", default=WORKLOADS, metavar="|".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument("--json", type=Path, help="write the result, with date and machine, to this file")
    for question in ("serve", "losses", "resident"):
        parser.add_argument(f"--{question}", nargs=2, metavar=("LIBRARY", "WORKLOAD"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        bench.serve(STEPS[args.serve[0]](args.serve[1])[0])
        return
    if args.losses or args.resident:
        print(json.dumps(losses(*args.losses) if args.losses else resident(*args.resident)))
        return
    unknown = set(args.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"unknown workload {', '.join(sorted(unknown))}; choose from {', '.join(WORKLOADS)}")
    result: dict[str, Any] = {"machine": bench.stamp(), "threads": THREADS}
    if args.memory:
        result["memory"] = _measure_memory(args.workloads)
    else:
        result["steps"] = _measure_time(args.workloads, args.rounds)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
