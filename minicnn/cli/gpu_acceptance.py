"""What the project promises of a GPU, line by line, with the number that was measured.

A number that misses its bound is a result: no stage fails by it. A line is met only by a stage that left nothing out,
and where every work of the full list was measured (``gpu_works``). What is there already can miss the least of many,
which more rows do not raise; a mean of a part says nothing of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from minicnn.bench.result import BEST, CANNOT, OK
from minicnn.bench.stats import geometric_mean
from minicnn.cli import gpu_works
from minicnn.cli.gpu_task import ALGORITHMS
from minicnn.cli.gpu_works import Work

Row = Mapping[str, Any]
Verdict = dict[str, Any]
OPS = {  # by the beginning of their names
    "RoIAlign": ("roi_align",), "pooling": ("max_pool", "avg_pool", "global_pool"), "RoI pooling": ("roi_pool",),
    "batch norm": ("batch_norm",), "resize": ("resize",),
}  # fmt: skip
NAMED = 4  # of the works that were not measured; of more the number
MEMORY_BOUND = 20e-6  # seconds that its bytes take at the copy's bandwidth, at least; below, launching decides


def of_suite(stages: Mapping[str, Any]) -> list[Verdict]:
    """The line that the stages ``parity`` and ``gradients`` show."""
    both = [stages.get(name, {}) for name in ("parity", "gradients")]
    passed = [stage.get("passed") for stage in both]
    missing = [text for stage in both for text in [*stage.get("missing", []), *_part(stage)]]
    met = False if False in passed else None if None in passed or missing else True
    line = "every op against the CPU, and the gradient checker on all of them"
    return [{"line": line, "met": met, "note": ", ".join(dict.fromkeys(missing))}]


def of_kernels(found: Mapping[str, Any]) -> list[Verdict]:
    """The lines that the stage ``kernels`` measures."""
    suite, tf32, ops = (found.get(name, {}) for name in ("suite", "suite with TF32", "ops"))
    plain, rounded = suite.get("rows", []), tf32.get("rows", [])
    best = [row for row in plain if BEST in row["marks"]]
    tried = [row for row in rounded if row["verdict"] != CANNOT]
    named = [row for row in tried if row["algorithm"] == "im2col"]
    single = [row for row in tried if row["algorithm"] == "pointwise"]
    part = _part(found)
    suite_line = "convolution suite, TF32 off, PyTorch's time over the best of ours"
    named_line = "im2col on large layers, TF32 on, PyTorch's time over ours"
    verdicts = [
        _mean(suite_line, 0.8, best, plain, gpu_works.of_suite(), [*part, *_fewer(found)]),
        _mean("1x1 layers, TF32 on, PyTorch's time over ours", 0.7, single, rounded, gpu_works.single(), part),
        _mean(named_line, 0.7, named, rounded, gpu_works.with_tf32(), part),
    ]
    rows, roof = ops.get("rows", []), ops.get("roofline", {}).get("bytes")
    works = gpu_works.of_ops()
    for name, begin in OPS.items():
        wanted = [work for work in works if work[0].startswith(begin)]
        verdicts += [_speed(name, rows, wanted, part), _bandwidth(name, rows, roof, wanted, part)]
    return verdicts


def of_nets(found: Mapping[str, Any]) -> list[Verdict]:
    """The lines that the stage ``nets`` measures: each of one net, of which a choice takes all or nothing."""
    steps = [row for row in found.get("steps", {}).get("rows", []) if row["work"] == "resnet50"]
    ours = [row for row in steps if row["contender"] == "minicnn"]
    line = "ResNet-50 training step at batch 64, PyTorch's time over ours"
    return [_mean(line, 0.6, ours, steps, [("resnet50", "step")], []), *_lenet(found.get("lenet5", {}))]


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


def _part(stage: Mapping[str, Any]) -> list[str]:
    """In words, that a stage was asked for some of its works only."""
    only = stage.get("asked", {}).get("only")
    return [f"only {' '.join(only)}"] if only else []


def _fewer(stage: Mapping[str, Any]) -> list[str]:
    """In words, which of the algorithms that a layer is timed with were not asked for."""
    asked = stage.get("asked", {}).get("algorithms", ALGORITHMS)
    fewer = [name for name in ALGORITHMS if name not in asked]
    return [f"without {', '.join(fewer)}"] if fewer and "all" not in asked else []


def _without(works: Sequence[Work], found: Mapping[Work, float]) -> list[str]:
    """In words, which works were not measured."""
    missing = [" ".join(work) for work in works if work not in found]
    if len(missing) > NAMED:
        return [f"without {len(missing)} of {len(works)}"]
    return [f"without {', '.join(missing)}"] if missing else []


def _ratio(ours: Row, rows: Sequence[Row]) -> float | None:
    """PyTorch's time over ours, where both have one."""
    for row in rows:
        if row["contender"] == "torch" and all(row[k] == ours[k] for k in ("work", "which")):
            timed = ours["verdict"] == row["verdict"] == OK and ours["rounds"] and row["rounds"]
            return median(row["rounds"]) / median(ours["rounds"]) if timed else None
    return None


def _ratios(ours: Sequence[Row], rows: Sequence[Row], works: Sequence[Work]) -> dict[Work, float]:
    """The ratio of each work that has one."""
    ratios = {(row["work"], row["which"]): _ratio(row, rows) for row in ours}
    return {work: ratio for work in works if (ratio := ratios.get(work)) is not None}


def _mean(
    line: str, least: float, ours: Sequence[Row], rows: Sequence[Row], works: Sequence[Work], part: Sequence[str]
) -> Verdict:
    """The geometric mean over works, each of which must have been measured."""
    found = _ratios(ours, rows, works)
    if not found:
        return {**_unmeasured(line, ", ".join(["no times of both", *part])), "at least": least}
    lacking = [*_without(works, found), *part]
    mean = geometric_mean(list(found.values()))
    note = ", ".join([f"geometric mean of {len(found)}, least {min(found.values()):.3g}", *lacking])
    return {"line": line, "number": mean, "at least": least, "met": None if lacking else mean >= least, "note": note}


def _least(line: str, least: float, found: Mapping[Work, float], lacking: Sequence[str]) -> Verdict:
    """The smallest of all numbers: one below the bound misses it, whatever the rows that are not there would say."""
    worst = min(found, key=lambda work: found[work])
    met = False if found[worst] < least else None if lacking else True
    note = ", ".join([" ".join(worst), *lacking])
    return {"line": line, "number": found[worst], "at least": least, "met": met, "note": note}


def _speed(name: str, rows: Sequence[Row], works: Sequence[Work], part: Sequence[str]) -> Verdict:
    """The least of an op's ratios: every size and pass must reach the bound."""
    line = f"{name}, PyTorch's time over ours, the least of all sizes and passes"
    found = _ratios([row for row in rows if row["contender"] == "minicnn"], rows, works)
    if not found:
        return {**_unmeasured(line, ", ".join(["no times of both", *part])), "at least": 1.0}
    return _least(line, 1.0, found, [*_without(works, found), *part])


def _bandwidth(
    name: str, rows: Sequence[Row], roof: float | None, works: Sequence[Work], part: Sequence[str]
) -> Verdict:
    """The least share of the copy's bandwidth, of the sizes whose time is that of their bytes."""
    line = f"{name}, share of the copy's bandwidth where memory-bound, the least"
    if not roof:
        return {**_unmeasured(line, ", ".join(["the copy was not timed", *part])), "at least": 0.7}
    shares: dict[Work, float] = {}
    small = set()  # too few bytes to be judged by; a row that failed may not say how many it has
    for row in rows:
        work = (row["work"], row["which"])
        if row["contender"] != "minicnn" or work not in works:
            continue
        if row["bytes"] and row["bytes"] / roof < MEMORY_BOUND:
            small.add(work)
        elif row["bytes"] and row["verdict"] == OK and row["rounds"]:
            shares[work] = row["bytes"] / median(row["rounds"]) / roof
    lacking = [*_without([work for work in works if work not in small], shares), *part]
    if not shares:
        return {**_unmeasured(line, ", ".join(["no size that is memory-bound was timed", *part])), "at least": 0.7}
    return _least(line, 0.7, shares, lacking)
