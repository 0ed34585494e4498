"""Whole training steps, ours beside PyTorch eager: ``python benchmarks/training_steps.py``.

Each library runs in a process of its own with two threads; they take turns, one sleeping while the other works.
A step is: forward, cross-entropy, backward, SGD with momentum 0.9 and decay 1e-4, on one batch of 64 that lies in
memory. The ratio is PyTorch's time over ours, above 1 where we are faster.

Workloads: ``lenet`` (the 61 706-parameter LeNet-5 of today: full C3, average pooling, tanh) on 64x1x32x32, and
``mlp`` 784-256-10 with ReLU on 64x784.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

THREADS = 2
WORKLOADS = ("lenet", "mlp")
CLASSES = 10


def batch(workload: str) -> tuple[np.ndarray, np.ndarray]:
    """The same float32 images and int64 labels for both libraries."""
    draw = np.random.default_rng(0)
    shape = (64, 1, 32, 32) if workload == "lenet" else (64, 784)
    return draw.normal(size=shape).astype(np.float32), draw.integers(0, CLASSES, 64)


def minicnn_step(workload: str) -> Callable[[], object]:
    """One step in our library."""
    import minicnn as mc
    from minicnn import nn, ops, optim
    from minicnn.models import LeNet5Softmax

    mc.set_num_threads(THREADS)
    if workload == "lenet":
        model: nn.Module = LeNet5Softmax()
    else:
        model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, CLASSES))
    images, labels = (mc.tensor(a) for a in batch(workload))
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        loss = ops.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def torch_step(workload: str) -> Callable[[], object]:
    """The same step in PyTorch eager."""
    import torch
    from torch import nn

    torch.set_num_threads(THREADS)
    if workload == "lenet":
        model = nn.Sequential(
            *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
            *(nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, CLASSES)),
        )
    else:
        model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, CLASSES))
    images, labels = (torch.from_numpy(a) for a in batch(workload))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


STEPS = {"minicnn": minicnn_step, "torch": torch_step}


def main() -> None:
    """Measure the workloads asked for and print a row for each."""
    from minicnn import bench

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", default=WORKLOADS, metavar="|".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", type=Path, help="write the result, with date and machine, to this file")
    parser.add_argument("--serve", nargs=2, metavar=("LIBRARY", "WORKLOAD"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        library, workload = args.serve
        bench.serve(STEPS[library](workload))
        return
    unknown = set(args.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"unknown workload {', '.join(sorted(unknown))}; choose from {', '.join(WORKLOADS)}")
    result = {"machine": bench.stamp(), "threads": THREADS, "steps": {}}
    print(f"{'step':8} {'minicnn ms':>22} {'torch ms':>22} {'ratio':>7}")
    for workload in args.workloads:
        contenders = [bench.Contender(name, [sys.executable, __file__, "--serve", name, workload]) for name in STEPS]
        timings = bench.alternate(contenders, rounds=args.rounds)
        row = {name: {"median": t.median, "interval": t.spread} for name, t in timings.items()}
        ratio = timings["torch"].median / timings["minicnn"].median
        result["steps"][workload] = {**row, "ratio": ratio}
        cells = [f"{t.median * 1e3:8.3f} [{t.spread[0] * 1e3:.3f}, {t.spread[1] * 1e3:.3f}]" for t in timings.values()]
        print(f"{workload:8} {cells[0]:>22} {cells[1]:>22} {ratio:7.2f}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
