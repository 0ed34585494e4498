"""What the project promises of a GPU, line by line, with the number that was measured.

A number that misses its bound is a result: no stage fails by it. A line is met only where all its rows were measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from minicnn.bench.result import BEST, CANNOT, OK
from minicnn.bench.stats import geometric_mean

Row = Mapping[str, Any]
Verdict = dict[str, Any]
OPS = {  # by the beginning of their names
    "RoIAlign": ("roi_align",), "pooling": ("max_pool", "avg_pool", "global_pool"), "RoI pooling": ("roi_pool",),
    "batch norm": ("batch_norm",), "resize": ("resize",),
}  # fmt: skip
MEMORY_BOUND = 20e-6  # seconds that its bytes take at the copy's bandwidth, at least; below, launching decides


def of_suite(stages: Mapping[str, Any]) -> list[Verdict]:
    """The line that the stages ``parity`` and ``gradients`` show."""
    both = [stages.get(name, {}) for name in ("parity", "gradients")]
    passed = [stage.get("passed") for stage in both]
    missing = [text for stage in both for text in stage.get("missing", [])]
    met = False if False in passed else None if None in passed or missing else True
    line = "every op against the CPU, and the gradient checker on all of them"
    return [{"line": line, "met": met, "note": ", ".join(missing)}]


def of_kernels(found: Mapping[str, Any]) -> list[Verdict]:
    """The lines that the stage ``kernels`` measures."""
    suite, tf32, ops = (found.get(name, {}) for name in ("suite", "suite with TF32", "ops"))
    plain, rounded = suite.get("rows", []), tf32.get("rows", [])
    best = [row for row in plain if BEST in row["marks"]]
    tried = [row for row in rounded if row["verdict"] != CANNOT]
    named = [row for row in tried if row["algorithm"] == "im2col"]
    single = [row for row in tried if row["algorithm"] == "pointwise"]
    verdicts = [
        _mean("convolution suite, TF32 off, PyTorch's time over the best of ours", 0.8, best, plain, _works(plain)),
        _mean("1x1 layers, TF32 on, PyTorch's time over ours", 0.7, single, rounded, _works(single)),
        _mean("im2col on large layers, TF32 on, PyTorch's time over ours", 0.7, named, rounded, _works(named)),
    ]
    rows, roof = ops.get("rows", []), ops.get("roofline", {}).get("bytes")
    for name, begin in OPS.items():
        of_it = [row for row in rows if row["work"].startswith(begin)]
        verdicts += [_speed(name, of_it), _bandwidth(name, of_it, roof)]
    return verdicts


def of_nets(found: Mapping[str, Any]) -> list[Verdict]:
    """The lines that the stage ``nets`` measures."""
    steps = [row for row in found.get("steps", {}).get("rows", []) if row["work"] == "resnet50"]
    ours = [row for row in steps if row["contender"] == "minicnn"]
    line = "ResNet-50 training step at batch 64, PyTorch's time over ours"
    return [_mean(line, 0.6, ours, steps, _works(steps)), *_lenet(found.get("lenet5", {}))]


def _lenet(found: Mapping[str, Any]) -> list[Verdict]:
    lines = [
        "lenet5: weights, batches and masks bit-identical to the CPU's",
        "lenet5: first loss and gradients within the tolerance",
        "lenet5: means of five seeds apart by less than their pooled spread",
    ]
    if "bit-identical" not in found:
        return [_unmeasured(line, found.get("why", "")) for line in lines]
    same = found["bit-identical"]
    first = [trouble for trouble in found["troubles"] if "first step" in trouble]
    verdicts = [
        {"line": lines[0], "met": all(same.values()), "note": ", ".join(n for n, equal in same.items() if not equal)},
        {"line": lines[1], "number": max(found["first step"].values()), "met": not first, "note": "largest error"},
    ]
    if "means" not in found:
        return [*verdicts, _unmeasured(lines[2])]
    a, b = found["means"].values()
    apart, spread = abs(a - b), found["pooled spread"]
    note = f"{apart:.4f} apart, spread {spread:.4f}, {found['epochs']} epochs"
    return [*verdicts, {"line": lines[2], "number": apart, "met": apart < spread or apart == 0, "note": note}]


def told(verdicts: Sequence[Verdict]) -> list[str]:
    """A line each, for the terminal."""
    texts = []
    for verdict in verdicts:
        words = [f"{ {True: 'met', False: 'NOT MET', None: 'not measured'}[verdict['met']]:13}{verdict['line']}"]
        if verdict.get("number") is not None:
            words.append(f"{verdict['number']:.3g}")
        if "at least" in verdict:
            words.append(f"at least {verdict['at least']}")
        texts.append("; ".join([*words, *filter(None, [verdict["note"]])]))
    return texts


def _unmeasured(line: str, note: str = "") -> Verdict:
    return {"line": line, "met": None, "note": note}


def _works(rows: Sequence[Row]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row["work"], row["which"]) for row in rows))


def _ratio(ours: Row, rows: Sequence[Row]) -> float | None:
    """PyTorch's time over ours, where both have one."""
    for row in rows:
        if row["contender"] == "torch" and all(row[k] == ours[k] for k in ("work", "which")):
            timed = ours["verdict"] == row["verdict"] == OK and ours["rounds"] and row["rounds"]
            return median(row["rounds"]) / median(ours["rounds"]) if timed else None
    return None


def _mean(
    line: str, least: float, ours: Sequence[Row], rows: Sequence[Row], works: Sequence[tuple[str, str]]
) -> Verdict:
    """The geometric mean over works, each of which must have been measured."""
    ratios = {(row["work"], row["which"]): _ratio(row, rows) for row in ours}
    found = [value for value in ratios.values() if value is not None]
    missing = [" ".join(work) for work in works if ratios.get(work) is None]
    if not found:
        return {**_unmeasured(line, "no times of both"), "at least": least}
    mean, note = geometric_mean(found), f"geometric mean of {len(found)}, least {min(found):.3g}"
    if missing:
        note += f", without {', '.join(missing)}"
    return {"line": line, "number": mean, "at least": least, "met": None if missing else mean >= least, "note": note}


def _speed(name: str, rows: Sequence[Row]) -> Verdict:
    """The least of an op's ratios: every size and pass must reach the bound."""
    line = f"{name}, PyTorch's time over ours, the least of all sizes and passes"
    ratios = {(row["work"], row["which"]): _ratio(row, rows) for row in rows if row["contender"] == "minicnn"}
    found = {" ".join(work): value for work, value in ratios.items() if value is not None}
    if not found:
        return {**_unmeasured(line, "no times of both"), "at least": 1.0}
    worst = min(found, key=lambda work: found[work])
    missing = [" ".join(work) for work, value in ratios.items() if value is None]
    note = worst + (f", without {', '.join(missing)}" if missing else "")
    met = False if found[worst] < 1.0 else None if missing else True
    return {"line": line, "number": found[worst], "at least": 1.0, "met": met, "note": note}


def _bandwidth(name: str, rows: Sequence[Row], roof: float | None) -> Verdict:
    """The least share of the copy's bandwidth, of the sizes whose time is that of their bytes."""
    line = f"{name}, share of the copy's bandwidth where memory-bound, the least"
    shares = {
        f"{row['work']} {row['which']}": row["bytes"] / median(row["rounds"]) / roof
        for row in rows
        if roof and row["contender"] == "minicnn" and row["rounds"] and row["bytes"] / roof >= MEMORY_BOUND
    }
    if not shares:
        why = "no size that is memory-bound was timed" if roof else "the copy was not timed"
        return {**_unmeasured(line, why), "at least": 0.7}
    worst = min(shares, key=lambda work: shares[work])
    return {"line": line, "number": shares[worst], "at least": 0.7, "met": shares[worst] >= 0.7, "note": worst}
