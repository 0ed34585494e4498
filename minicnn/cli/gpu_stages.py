"""The stages of ``minicnn gpu-report``: each measures one thing on a device and returns plain values for the file."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from minicnn.cli.gpu_kernels import kernels
from minicnn.cli.gpu_nets import nets
from minicnn.cli.gpu_pool import PROCESSES, give_up, spread
from minicnn.cli.gpu_task import ABSENT, Facts, Task, absent, host

SO_FAR, SAVED = "so far", 10.0  # under this name, and so often in seconds, results of cases are saved
RIGHT = {"", "PASS", "no gradient"}  # what a result of a case ends with if nothing is wrong
HALF = {"float16": 1e-2, "bfloat16": 8e-2}  # largest difference from float32, over the largest number of a result


def smoke(task: Task) -> Facts:
    """Whether anything works at all: memory, a product, a convolution and its gradient."""
    import minicnn as mc

    device = task.device
    x = mc.randn(2, 3, 8, 8).to(device).requires_grad_()
    w = mc.randn(4, 3, 3, 3).to(device).requires_grad_()
    (mc.ops.conv2d(x, w, padding=1) ** 2.0).mean().backward()
    found: Facts = {"conv2d": bool(np.isfinite(host(x.grad)).all() and np.isfinite(host(w.grad)).all())}
    a = mc.eye(64).to(device)
    found["matmul"] = bool((host(a @ a) == np.eye(64)).all())
    if device == "cuda":
        from minicnn.backends.cuda.detection import description

        found |= {"device": description(), "memory": mc.cuda.memory_stats()}
    return found | {"passed": found["conv2d"] and found["matmul"]}


def parity(task: Task) -> Facts:
    """Every case of every op against the CPU, values and first gradients, in four dtypes: each op's largest error."""
    from minicnn.testing.parity import ABSOLUTE, LOOSER, LOOSER_IN_HALVES, RELATIVE

    _compile_for_the_cpu(task)
    jobs = [(case, dtype, task.device) for case in _cases(task) for dtype in RELATIVE]
    found = _results(task, _parity, jobs, lambda job, why: (*job[:2], 0.0, why))
    missing = Counter(trouble for *_, trouble in found if trouble.startswith(ABSENT))
    found = [result for result in found if not result[-1].startswith(ABSENT)]
    errors: dict[str, dict[str, float | None]] = {}  # None: a case failed
    for case, dtype, error, trouble in found:
        op = errors.setdefault(case.partition("/")[0], {})
        worst = op.get(dtype, 0.0)
        op[dtype] = None if trouble or worst is None else max(worst, error)
    troubles = [f"{case} {dtype}: {trouble}" for case, dtype, _, trouble in found if trouble]
    bounds = {"relative": RELATIVE, "absolute": ABSOLUTE, "looser": LOOSER, "looser in halves": LOOSER_IN_HALVES}
    facts = {"checks": len(found), "troubles": troubles, "tolerance": bounds, "errors": errors}
    return facts | _judged(facts, missing, len(jobs))


def _parity(job: tuple[str, str, str]) -> tuple[str, str, float, str]:
    from minicnn.testing import parity as room
    from minicnn.testing.cases.case import CASES, all_cases

    case, dtype, device = job
    all_cases()
    try:
        found = room.compare(CASES[case], dtype, device)
    except ModuleNotFoundError as error:
        return case, dtype, 0.0, absent(error)
    except Exception as error:  # noqa: BLE001 - one op that fails must not end the report
        return case, dtype, 0.0, _said(error, device)
    return case, dtype, found.error, found.trouble


def gradients(task: Task) -> Facts:
    """The gradient checker on every differentiable case, computed on the device, to its declared order."""
    _compile_for_the_cpu(task)
    jobs = [(case, task.device) for case in _cases(task)]
    found = _results(task, _gradient, jobs, lambda job, why: (job[0], why))
    judged = [(case, verdict) for case, verdict in found if verdict != "no gradient"]
    missing = Counter(verdict for _, verdict in judged if verdict.startswith(ABSENT))
    judged = [(case, verdict) for case, verdict in judged if not verdict.startswith(ABSENT)]
    troubles = [f"{case}: {verdict}" for case, verdict in judged if verdict != "PASS"]
    return _judged({"checks": len(judged), "troubles": troubles}, missing, len(jobs))


def _judged(facts: Facts, missing: Counter[str], jobs: int) -> Facts:
    """A stage passes where nothing is wrong; if nothing could be compared, it says nothing."""
    if missing:
        facts["missing"] = [f"{count} cases {why}" for why, count in missing.items()]
    if jobs and not facts["checks"]:
        facts["troubles"] = [*facts["troubles"], *facts.get("missing", [])]
    return {**facts, "passed": not facts["troubles"]}


def _gradient(job: tuple[str, str]) -> tuple[str, str]:
    from minicnn.testing.cases.case import CASES, all_cases
    from minicnn.testing.gradcheck import gradcheck
    from minicnn.testing.parity import moved

    name, device = job
    all_cases()
    case = CASES[name]
    if not case.differentiable or case.writes:
        return name, "no gradient"
    sample = case.sample(0)
    try:
        report = gradcheck(
            moved(case.function, device), sample.args, kwargs=sample.kwargs, order=case.order, seed=0,
            constants=case.constants, flat=bool(case.flat),
        )  # fmt: skip
    except ModuleNotFoundError as error:
        return name, absent(error)
    except Exception as error:  # noqa: BLE001 - idem
        return name, _said(error, device)
    return name, str(report.verdict)


def _results(task: Task, work: Callable[[Any], Any], jobs: Sequence[Any], lost: Callable[[Any, str], Any]) -> list[Any]:
    """A result of each job, which begins as the job does and ends with what is wrong.

    What there is so far is saved now and then; an earlier run's is kept where nothing is wrong in it.
    """
    kept = {tuple(result[: len(jobs[0]) - 1]): result for result in task.kept.get(SO_FAR, ()) if result[-1] in RIGHT}
    found = [kept[job[:-1]] for job in jobs if job[:-1] in kept]
    saved = time.monotonic()
    missing = [job for job in jobs if job[:-1] not in kept]
    for result in spread(work, missing, lost, alone=task.device == "cuda"):
        found.append(result)
        if time.monotonic() > saved + SAVED:
            task.save({SO_FAR: list(found)})
            saved = time.monotonic()
    return found


def _cases(task: Task) -> list[str]:
    """The cases asked for, in turns over what they test: neighbours in time then compile other kernels."""
    from minicnn.testing.cases.case import all_cases
    from minicnn.testing.warmup import stem_of

    met = Counter[str]()
    turns = {}
    for case in all_cases():
        stem = stem_of(case)
        turns[case.id] = met[stem]
        met[stem] += 1
    return sorted(task.chosen(list(turns)), key=lambda name: turns[name])


def _compile_for_the_cpu(task: Task) -> None:
    """From a cold cache, before all cases: each process would compile for itself what it meets first."""
    from minicnn.testing.warmup import is_warm, warm_up

    with suppress(ModuleNotFoundError):  # what it cannot compile, the cases cannot use either, and they say so
        if not task.only and not is_warm():
            for _ in warm_up(min(PROCESSES, os.cpu_count() or 1)):
                pass


def _said(error: Exception, device: str) -> str:
    """The error as text. One that took the device's context with it ends the worker, once it has told."""
    if device == "cuda":
        import minicnn as mc

        try:
            mc.cuda.synchronize()
        except Exception:  # noqa: BLE001 - an illegal access, say: CUDA reports it for ever after
            give_up()
    return f"{type(error).__name__}: {error}"


def half(task: Task) -> Facts:
    """A small net under autocast against itself in float32: loss, logits and gradients; and a step of the scaler."""
    import minicnn as mc

    single = _half_step(task.device, None)
    errors: dict[str, dict[str, float]] = {}
    troubles, missing = [], Counter[str]()
    for dtype, bound in HALF.items():
        try:
            mixed, those = _half_step(task.device, dtype), errors.setdefault(dtype, {})
        except ModuleNotFoundError as error:
            missing[absent(error)] += 1
            continue
        for name, expected in single.items():
            found = mixed[name]
            scale = float(np.abs(expected).max())
            those[name] = float(np.abs(found - expected).max()) / scale if np.isfinite(found).all() else 1e300
            if not those[name] <= bound:
                troubles.append(f"{dtype}, {name}: error {those[name]:.1e} above {bound:.0e}")
        if not any(those.values()):
            troubles.append(f"autocast changed nothing: no product was computed in {dtype}")
    w = mc.tensor([1.0], device=task.device, requires_grad=True)
    scaler, optimizer = mc.GradScaler(task.device, init_scale=1024.0), mc.optim.SGD([w], lr=0.5)
    scaler.scale((w * w).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    if w.item() != 0.0:
        troubles.append(f"GradScaler: a step by 0.5 * 2 from 1.0 went to {w.item()}")
    facts = {"checks": len(errors), "tolerance": HALF, "errors": errors, "troubles": troubles}
    return _judged(facts, missing, len(HALF))


def _half_step(device: str, half: str | None) -> dict[str, Any]:
    """Logits, loss and gradients of the same small net on the same batch, as float64 host arrays."""
    import minicnn as mc

    mc.manual_seed(0)
    net = mc.nn.Sequential(  # smooth: at a maximum or a kink rounding sends the gradient elsewhere
        mc.nn.Conv2d(3, 16, 3, padding=1, bias=False), mc.nn.BatchNorm2d(16), mc.nn.Tanh(), mc.nn.AvgPool2d(2),
        mc.nn.Conv2d(16, 24, 3), mc.nn.Tanh(), mc.nn.AvgPool2d(2), mc.nn.Flatten(), mc.nn.Linear(24 * 4, 10),
    ).to(device)  # fmt: skip
    draw = np.random.default_rng(0)
    x = mc.tensor(draw.standard_normal((16, 3, 12, 12)), dtype="float32", device=device)
    labels = mc.tensor(draw.integers(0, 10, 16), device=device)
    with mc.autocast(device, half, enabled=half is not None):
        logits = net(x)
        loss = mc.ops.cross_entropy(logits, labels)
    loss.backward()
    gradients = {f"gradient of {name}": p.grad for name, p in net.named_parameters() if p.grad is not None}
    dtypes = {str(gradient.dtype) for gradient in gradients.values()}
    if logits.dtype.name != (half or "float32") or dtypes != {"float32"}:
        raise TypeError(f"autocast: logits are {logits.dtype}, gradients {', '.join(sorted(dtypes))}")
    named: dict[str, Any] = {"logits": logits, "loss": loss, **gradients}
    return {name: host(value).astype(np.float64) for name, value in named.items()}


STAGES: dict[str, Callable[[Task], Facts]] = {
    "smoke": smoke, "parity": parity, "gradients": gradients, "half": half, "kernels": kernels, "nets": nets,
}  # fmt: skip
LIMITS = {"smoke": 120.0, "parity": 300.0, "gradients": 300.0, "half": 120.0, "kernels": 480.0, "nets": 480.0}
