"""The stages of ``minicnn gpu-report``: each measures one thing on a device and returns plain values for the file."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
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
SEEDS, EPOCHS = range(5), 4  # of the trainings whose means are compared


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
    from minicnn.testing.parity import ABSOLUTE, LOOSER, RELATIVE

    jobs = [(case, dtype, device) for case in _cases(only) for dtype in ("float64", "float32")]
    found = list(_spread(_parity, jobs, lambda job: (*job[:2], 0.0, "the process died")))
    errors: dict[str, dict[str, float]] = {}
    for case, dtype, error, _ in found:
        op = errors.setdefault(case.partition("/")[0], {})
        op[dtype] = max(op.get(dtype, 0.0), error)
    troubles = [f"{case} {dtype}: {trouble}" for case, dtype, _, trouble in found if trouble]
    bounds = {"relative": RELATIVE, "absolute": ABSOLUTE, "looser": LOOSER}
    return {"checks": len(jobs), "troubles": troubles, "tolerance": bounds, "errors": errors, "passed": not troubles}


def _parity(job: tuple[str, str, str]) -> tuple[str, str, float, str]:
    from minicnn.testing import parity as room
    from minicnn.testing.cases.case import CASES

    case, dtype, device = job
    _cases(())
    try:
        found = room.compare(CASES[case], dtype, device)
    except Exception as error:  # noqa: BLE001 - one op that fails must not end the report
        return case, dtype, 0.0, _said(error, device)
    return case, dtype, found.error, found.trouble


def gradients(device: str, only: Sequence[str]) -> Facts:
    """The gradient checker on every differentiable case, computed on the device, to its declared order."""
    jobs = [(case, device) for case in _cases(only)]
    found = list(_spread(_gradient, jobs, lambda job: (job[0], "the process died")))
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
        return name, _said(error, device)
    return name, str(report.verdict)


def _cases(only: Sequence[str]) -> list[str]:
    from minicnn.testing.cases.case import all_cases

    return [case.id for case in all_cases() if not only or any(text in case.id for text in only)]


def _said(error: Exception, device: str) -> str:
    """The error as text. One that took the device's context with it ends the process: nothing works there again."""
    if device == "cuda":
        import minicnn as mc

        try:
            mc.cuda.synchronize()
        except Exception:  # noqa: BLE001 - an illegal access, say: CUDA reports it for ever after
            os._exit(1)
    return f"{type(error).__name__}: {error}"


def _spread(task: Callable[[Any], Any], jobs: Sequence[Any], lost: Callable[[Any], Any]) -> Iterator[Any]:
    """The task on all jobs, in several processes; one that ends its process is tried once more alone, then ``lost``."""
    count = min(PROCESSES, os.cpu_count() or 1, len(jobs) // 16)
    if count < 2:
        yield from map(task, jobs)
        return
    again = []
    for job, result in _in_pool(task, jobs, count):
        if result is None:
            again.append(job)
        else:
            yield result
    for job in again:
        ((_, result),) = _in_pool(task, [job], 1)
        yield lost(job) if result is None else result


def _in_pool(task: Callable[[Any], Any], jobs: Sequence[Any], count: int) -> list[tuple[Any, Any]]:
    """Jobs with their results, None where the process died (a dead process takes the jobs that wait with it)."""
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as pool:
        tasks = [(job, pool.submit(task, job)) for job in jobs]
        return [(job, _result(future)) for job, future in tasks]


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except BrokenExecutor:
        return None


def kernels(device: str, only: Sequence[str]) -> Facts:
    """The convolution suite and the memory-bound ops beside PyTorch on the same device, in turns, by events."""
    from minicnn.bench import conv, layers, tables
    from minicnn.cli.bench_works import ops

    others = _peers()
    chosen = [layer for layer in layers.load(["suite"]) if not only or any(text in layer.name for text in only)]
    suites = {
        name: conv.measure(
            conv.Plan(
                chosen, algorithms=("all",), peers=others, device=device, rounds=3, seconds=0.02, steady=0.2,
                samples=200, tf32=rounded,
            )
        ).record()
        for name, rounded in (("suite", False), ("suite with TF32", True))
    }  # fmt: skip
    works = [work for work in OPS if not only or any(text in work for text in only)]
    table = tables.Table(
        "minicnn gpu-report", works, ops.passes, "minicnn.cli.bench_works.ops:provide", others, rounds=5, seconds=0.03,
        steady=0.2, device=device,
    )  # fmt: skip
    bound = tables.measure(table).record()
    rows = [row for found in (*suites.values(), bound) for row in found["rows"]]
    troubles = [f"{r['work']} {r['which']} {r['contender']}: {r['why']}" for r in rows if r["verdict"] not in _FINE]
    return {**suites, "ops": bound, "troubles": troubles, "passed": not troubles}


_FINE = {"ok", "cannot"}


def _peers() -> tuple[str, ...]:
    from minicnn.bench import peers

    return () if peers.missing("torch") else ("torch",)


def nets(device: str, only: Sequence[str]) -> Facts:
    """LeNet-5 from the same seeds on both devices, and training steps of ResNets beside PyTorch."""
    from minicnn.bench import tables

    found, troubles = _lenets(device)
    works = [net for net in NETS if not only or net in only]
    table = tables.Table(
        "minicnn gpu-report", works, lambda work: ("step",), "minicnn.cli.bench_works.steps:provide", _peers(),
        rounds=5, seconds=0.5, steady=0.2, roof=False, device=device,
    )  # fmt: skip
    steps = tables.measure(table).record() if works else {"rows": []}
    troubles += [f"{r['work']} {r['contender']}: {r['why']}" for r in steps["rows"] if r["verdict"] not in _FINE]
    return found | {"steps": steps, "troubles": troubles, "passed": not troubles}


def _lenets(device: str) -> tuple[Facts, list[str]]:
    """The first step compared number by number, then short trainings from several seeds by their mean accuracy."""
    from minicnn.recipes import RECIPES
    from minicnn.recipes.recipe import Options
    from minicnn.testing.parity import difference

    troubles = []
    for (name, here), (_, there) in zip(_first_step("cpu"), _first_step(device), strict=True):
        if name.startswith("weight") and not np.array_equal(here, there):
            troubles.append(f"lenet5: {name} differs from the CPU's")
        error, trouble = difference(there, here, "conv2d")
        if trouble:
            troubles.append(f"lenet5: {name}: {trouble} (error {error:.1e})")
    reached: dict[str, list[float]] = {"cpu": [], device: []}
    with tempfile.TemporaryDirectory() as name:
        for place, values in reached.items():
            for seed in SEEDS:
                options = Options(device=place, seed=seed, epochs=EPOCHS, out=Path(name) / f"{place}-{seed}")
                values.append(RECIPES["lenet5"].run(options).metrics["test accuracy"])
    means = {place: float(np.mean(values)) for place, values in reached.items()}
    spread = float(np.sqrt(np.mean([np.var(values, ddof=1) for values in reached.values()])))
    if abs(means["cpu"] - means[device]) >= max(spread, 1e-3):
        troubles.append(f"lenet5: mean accuracies {means} are further apart than the pooled spread {spread:.4f}")
    return {"lenet5": {"accuracy": reached, "means": means, "pooled spread": spread, "epochs": EPOCHS}}, troubles


def _first_step(device: str) -> list[tuple[str, Any]]:
    """Weights, loss and gradients of LeNet-5's first step from seed 0, as host arrays."""
    import minicnn as mc

    mc.manual_seed(0)
    net = mc.models.LeNet5().to(device)
    draw = np.random.default_rng(0)
    x = mc.tensor(draw.standard_normal((16, 1, 32, 32)).astype(np.float32), device=device)
    labels = mc.tensor(draw.integers(0, 10, 16), device=device)
    found = [(f"weight {name}", _host(p).copy()) for name, p in net.named_parameters()]
    loss = net.loss(net(x), labels)
    loss.backward()
    found.append(("loss", _host(loss)))
    return found + [(f"gradient of {name}", _host(p.grad)) for name, p in net.named_parameters() if p.grad is not None]


STAGES: dict[str, Callable[[str, Sequence[str]], Facts]] = {
    "smoke": smoke, "parity": parity, "gradients": gradients, "kernels": kernels, "nets": nets,
}  # fmt: skip
