"""The stages of ``minicnn gpu-report``: each measures one thing on a device and returns plain values for the file."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

Facts = dict[str, Any]
PROCESSES = 8  # at most: the CPU's kernels compile in them, and each holds a context on the device
OPS = (  # memory-bound ops whose speed is compared
    "relu 32x64x112x112", "add 32x64x56x56", "batch_norm 32x64x112x112", "batch_norm 32x512x7x7",
    "max_pool3x3/2 32x64x112x112", "avg_pool2x2 64x64x56x56", "global_pool 64x512x7x7", "softmax 64x1000",
    "cross_entropy 64x1000", "roi_align 1x256x50x75", "roi_pool 1x256x50x75", "sgd resnet18",
)  # fmt: skip
NETS = ("resnet18", "resnet50")


def smoke(device: str, only: Sequence[str]) -> Facts:
    """Whether anything works at all: memory, a product, a convolution and its gradient."""
    import minicnn as mc

    del only
    x = mc.randn(2, 3, 8, 8).to(device).requires_grad_()
    w = mc.randn(4, 3, 3, 3).to(device).requires_grad_()
    (mc.ops.conv2d(x, w, padding=1) ** 2.0).mean().backward()
    found: Facts = {"conv2d": bool(np.isfinite(_host(x.grad)).all() and np.isfinite(_host(w.grad)).all())}
    a = mc.eye(64).to(device)
    found["matmul"] = bool((_host(a @ a) == np.eye(64)).all())
    if device == "cuda":
        from minicnn.backends.cuda.detection import description

        found |= {"device": description(), "memory": mc.cuda.memory_stats()}
    return found | {"passed": found["conv2d"] and found["matmul"]}


def _host(tensor: Any) -> Any:
    return tensor.detach().numpy()


def parity(device: str, only: Sequence[str]) -> Facts:
    """Every case of every op against the CPU, values and first gradients: the largest error of each op."""
    from minicnn.testing.parity import TOLERANCE

    jobs = [(case, dtype, device) for case in _cases(only) for dtype in ("float64", "float32")]
    found = list(_spread(_parity, jobs))
    errors: dict[str, dict[str, float]] = {}
    for case, dtype, error, _ in found:
        op = errors.setdefault(case.partition("/")[0], {})
        op[dtype] = max(op.get(dtype, 0.0), error)
    troubles = [f"{case} {dtype}: {trouble}" for case, dtype, _, trouble in found if trouble]
    return {"checks": len(jobs), "troubles": troubles, "tolerance": TOLERANCE, "errors": errors, "passed": not troubles}


def _parity(job: tuple[str, str, str]) -> tuple[str, str, float, str]:
    from minicnn.testing import parity as room
    from minicnn.testing.cases.case import CASES

    case, dtype, device = job
    _cases(())
    try:
        found = room.compare(CASES[case], dtype, device)
    except Exception as error:  # noqa: BLE001 - one op that fails must not end the report
        return case, dtype, 0.0, f"{type(error).__name__}: {error}"
    return case, dtype, found.error, found.trouble


def gradients(device: str, only: Sequence[str]) -> Facts:
    """The gradient checker on every differentiable case, computed on the device, to its declared order."""
    found = list(_spread(_gradient, [(case, device) for case in _cases(only)]))
    judged = [(case, verdict) for case, verdict in found if verdict != "no gradient"]
    troubles = [f"{case}: {verdict}" for case, verdict in judged if verdict != "PASS"]
    return {"checks": len(judged), "troubles": troubles, "passed": not troubles}


def _gradient(job: tuple[str, str]) -> tuple[str, str]:
    from minicnn.testing.cases.case import CASES
    from minicnn.testing.gradcheck import gradcheck
    from minicnn.testing.parity import moved

    name, device = job
    _cases(())
    case = CASES[name]
    if not case.differentiable or case.writes:
        return name, "no gradient"
    sample = case.sample(0)
    try:
        report = gradcheck(
            moved(case.function, device), sample.args, kwargs=sample.kwargs, order=case.order, seed=0,
            constants=case.constants, flat=bool(case.flat),
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - idem
        return name, f"{type(error).__name__}: {error}"
    return name, str(report.verdict)


def _cases(only: Sequence[str]) -> list[str]:
    from minicnn.testing.cases.case import all_cases

    return [case.id for case in all_cases() if not only or any(text in case.id for text in only)]


def _spread(task: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterator[Any]:
    """The task on all jobs, in several processes where there are many."""
    count = min(PROCESSES, os.cpu_count() or 1, len(jobs) // 16)
    if count < 2:
        yield from map(task, jobs)
        return
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(task, jobs, chunksize=4)


def kernels(device: str, only: Sequence[str]) -> Facts:
    """The convolution suite and the memory-bound ops beside PyTorch on the same device, in turns, by events."""
    from minicnn.bench import conv, layers, tables
    from minicnn.cli.bench_works import ops

    others = _peers()
    chosen = [layer for layer in layers.load(["suite"]) if not only or any(text in layer.name for text in only)]
    plan = conv.Plan(
        chosen, algorithms=("auto",), peers=others, device=device, rounds=5, seconds=0.03, steady=0.2, samples=200
    )
    suite = conv.measure(plan).record()
    works = [work for work in OPS if not only or any(text in work for text in only)]
    table = tables.Table(
        "minicnn gpu-report", works, ops.passes, "minicnn.cli.bench_works.ops:provide", others, rounds=5, seconds=0.03,
        steady=0.2, device=device,
    )  # fmt: skip
    bound = tables.measure(table).record()
    rows = [*suite["rows"], *bound["rows"]]
    troubles = [f"{r['work']} {r['which']} {r['contender']}: {r['why']}" for r in rows if r["verdict"] not in _FINE]
    return {"suite": suite, "ops": bound, "troubles": troubles, "passed": not troubles}


_FINE = {"ok", "cannot"}


def _peers() -> tuple[str, ...]:
    from minicnn.bench import peers

    return () if peers.missing("torch") else ("torch",)


def nets(device: str, only: Sequence[str]) -> Facts:
    """LeNet-5 from the same seed on both devices, and training steps of ResNets beside PyTorch."""
    from minicnn.bench import tables
    from minicnn.recipes import RECIPES
    from minicnn.recipes.recipe import Options

    found: Facts = {}
    with tempfile.TemporaryDirectory() as name:
        for place in ("cpu", device):
            options = Options(device=place, out=Path(name) / place)
            found[f"lenet5 on {place}"] = RECIPES["lenet5"].run(options).as_dict()["metrics"]
    works = [net for net in NETS if not only or net in only]
    table = tables.Table(
        "minicnn gpu-report", works, lambda work: ("step",), "minicnn.cli.bench_works.steps:provide", _peers(),
        rounds=5, seconds=0.5, steady=0.2, roof=False, device=device,
    )  # fmt: skip
    steps = tables.measure(table).record() if works else {"rows": []}
    troubles = [f"{r['work']} {r['contender']}: {r['why']}" for r in steps["rows"] if r["verdict"] not in _FINE]
    return found | {"steps": steps, "troubles": troubles, "passed": not troubles}


STAGES: dict[str, Callable[[str, Sequence[str]], Facts]] = {
    "smoke": smoke, "parity": parity, "gradients": gradients, "kernels": kernels, "nets": nets,
}  # fmt: skip
