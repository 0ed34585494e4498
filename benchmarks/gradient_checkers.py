"""Our gradient checker beside ``torch.autograd.gradcheck``: the same foreign functions, verdicts and seconds.

    python -m benchmarks.gradient_checkers              prints the table
    python -m benchmarks.gradient_checkers --store      writes results/gradient_checkers.json too

The functions are the NumPy pairs of ``tests/testing``: a forward and a hand-written rule, whose truth is known. Ours
takes them as they are. For torch each is wrapped in a ``torch.autograd.Function`` that hands the arrays over without
a copy. torch's checker is called with float64 inputs (float32 ones promoted, as ours does) and its defaults, and with
``fast_mode=True``. A pair that returns no gradient that torch could take (no float input) is left out and named.

One process, one thread. The three take turns, round by round, in changing order; the time of each is the median over
the rounds of the processor time that it took. Wrapping and drawing inputs are not timed. torch's default builds the
dense Jacobian; where that has more than ten million entries it is not asked, and has no answer.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import minicnn as mc
from minicnn.bench.machine import stamp
from minicnn.testing.gradcheck import gradcheck

RESULT = Path(__file__).parent / "results" / "gradient_checkers.json"
DENSE = 10_000_000
CHECKERS = ("minicnn", "torch", "torch fast")
KINDS = ("right", "wrong", "edge", "vacuous")


@dataclass
class Pair:
    """A function, its rule and the truth about them, from either set."""

    name: str
    kind: str
    make: Callable[[], tuple[Callable[..., Any], Callable[..., Any]]]
    inputs: list[Any]
    kwargs: dict[str, Any]
    causes: set[str]
    expected: set[str]
    said: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)

    def right(self, checker: str) -> bool:
        """Whether the answer is the truth. torch has two answers: it should accept what is not wrong."""
        said = self.said.get(checker, "")
        if checker == "minicnn":
            return said.removesuffix(" VACUOUS") in self.expected and ("VACUOUS" in said or self.kind != "vacuous")
        if self.kind == "vacuous":
            return False  # to accept or to reject a rule that cannot be judged: neither is said to be empty
        return (said == "rejects" and "FAIL" in self.expected) or (said == "accepts" and self.expected != {"FAIL"})


def pairs(seed: int) -> list[Pair]:
    """Both sets, the inputs drawn."""
    from tests.testing.held_out.pairs import ALL as HELD_OUT
    from tests.testing.pairs import all_pairs

    verdicts = {"right": {"PASS"}, "wrong": {"FAIL"}, "edge": {"NONDIFFERENTIABLE"}, "vacuous": {"PASS"}}
    found = []
    for p in all_pairs():
        kind = "wrong" if p.expected == {"FAIL"} else p.kind
        inputs = p.inputs(np.random.default_rng(seed))
        found.append(Pair(
            p.name, kind, lambda p=p: (p.f, p.backward), inputs, dict(p.kwargs), set(p.causes), set(p.expected)
        ))
    for q in HELD_OUT:
        inputs = q.inputs(np.random.default_rng(seed))
        expected = verdicts[q.kind] | ({"INCONCLUSIVE"} if q.kind == "vacuous" else set())
        found.append(Pair(
            f"{q.name} (held out)", q.kind, q.functions, inputs, dict(q.kwargs), set(q.causes), expected
        ))
    return found


def ask_minicnn(pair: Pair, seed: int) -> str:
    f, backward = pair.make()
    report = gradcheck(f, pair.inputs, backward=backward, kwargs=pair.kwargs, seed=seed)
    pair.why["minicnn"] = ", ".join(report.causes[:2])
    return report.verdict + (" VACUOUS" if report.vacuous else "")


def wrapped(pair: Pair) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The pair as a torch function, and its inputs as tensors."""
    f, backward = pair.make()

    def host(value: Any) -> Any:
        return value.detach().numpy() if isinstance(value, torch.Tensor) else value

    def tensor(value: Any) -> Any:
        if value is None or isinstance(value, torch.Tensor):
            return value
        value = np.asarray(value)
        return torch.from_numpy(value.copy() if any(s < 0 for s in value.strides) else value)  # torch takes no s < 0

    class Foreign(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *args: Any) -> Any:
            ctx.args = args
            result = f(*map(host, args), **pair.kwargs)
            ctx.many = isinstance(result, (tuple, list))
            ctx.scalars = [isinstance(y, (float, np.generic)) for y in (result if ctx.many else [result])]
            outputs = tuple(tensor(y) for y in (result if ctx.many else [result]))
            ctx.mark_non_differentiable(*(y for y in outputs if not y.is_floating_point()))
            return outputs if ctx.many else outputs[0]

        @staticmethod
        def backward(ctx: Any, *gys: Any) -> Any:
            given = tuple(host(g)[()] if s else host(g) for g, s in zip(gys, ctx.scalars, strict=True))
            got = backward(given if ctx.many else given[0], *map(host, ctx.args), **pair.kwargs)
            got = tuple(got) if isinstance(got, (tuple, list)) else (got,)
            return tuple(tensor(g) for g in got)

    return Foreign.apply, tuple(as_torch(v) for v in pair.inputs)


def as_torch(value: Any) -> Any:
    """Float arrays as float64 tensors that require grad, integers as tensors, in their memory layout."""
    if not isinstance(value, np.ndarray):
        return value
    found = torch.from_numpy(value.astype(np.float64 if value.dtype.kind == "f" else value.dtype))
    return found.requires_grad_(value.dtype.kind == "f")


def ask_torch(pair: Pair, *, fast: bool) -> str:
    f, inputs = wrapped(pair)
    name = "torch fast" if fast else "torch"
    start = time.process_time()
    try:
        torch.autograd.gradcheck(f, inputs, fast_mode=fast)
        said = "accepts"
    except Exception as error:  # noqa: BLE001 (a rule that raises is rejected too)
        said = "rejects"
        pair.why[name] = f"{type(error).__name__}: {error}".strip().split("\n", maxsplit=1)[0][:160]
    pair.seconds[name] = time.process_time() - start
    return said


def ask(pair: Pair, checker: str, seed: int) -> float:
    """Ask once; the seconds that the checker took."""
    torch.manual_seed(seed)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        start = time.process_time()
        if checker == "minicnn":
            pair.said[checker] = ask_minicnn(pair, seed)
            return time.process_time() - start
        pair.said[checker] = ask_torch(pair, fast=checker == "torch fast")
        return pair.seconds[checker]


def jacobian_entries(pair: Pair) -> int:
    """Of the dense Jacobian."""
    result = pair.make()[0](*pair.inputs, **pair.kwargs)
    outputs = result if isinstance(result, (tuple, list)) else [result]
    floats = [v for v in pair.inputs if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    return sum(v.size for v in floats) * sum(np.size(y) for y in outputs)


def comparable(pair: Pair) -> bool:
    """Whether torch's checker can be asked at all: it wants an input that requires grad, and tensors."""
    floats = any(isinstance(v, np.ndarray) and v.dtype.kind == "f" for v in pair.inputs)
    return floats and not any(isinstance(v, (list, tuple)) for v in pair.inputs)


def main() -> None:
    """Ask all, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--names", nargs="*", help="only these pairs")
    parser.add_argument("--store", action="store_true", help=f"write results/{RESULT.name}")
    options = parser.parse_args()
    threadpool_limits(1)
    mc.set_num_threads(1)
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    every = [p for p in pairs(options.seed) if not options.names or p.name.split()[0] in options.names]
    todo = [p for p in every if comparable(p)]
    ask(todo[0], "minicnn", options.seed)  # imports
    for pair in todo:
        taken: dict[str, list[float]] = {c: [] for c in CHECKERS}
        for turn in range(options.rounds):
            for k in range(len(CHECKERS)):
                checker = CHECKERS[(k + turn) % len(CHECKERS)]
                if checker == "torch" and jacobian_entries(pair) > DENSE:
                    continue
                taken[checker].append(ask(pair, checker, options.seed))
        pair.seconds = {c: statistics.median(t) for c, t in taken.items() if t}
        if options.names:
            print(pair.name, pair.kind, pair.said, pair.why, sep="\n   ")
    result = summary(todo) | {
        "left_out": [p.name for p in every if not comparable(p)],
        "too_large_for_torch": [p.name for p in todo if "torch" not in p.said],
    }
    print_table(result)
    if options.store:
        facts = {
            "machine": stamp(("numpy", "torch")), "threads": 1, "rounds": options.rounds, "seed": options.seed,
            "load_before": round(load, 2), "load_after": round(os.getloadavg()[0], 2), **result,
            "pairs": [
                {"pair": p.name, "kind": p.kind, "expected": sorted(p.expected), "said": p.said,
                 "seconds": {c: round(s, 5) for c, s in p.seconds.items()}, "why": p.why}
                for p in todo
            ],
        }
        RESULT.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def summary(todo: list[Pair]) -> dict[str, Any]:
    """Right answers by kind, and seconds."""
    table = {}
    for kind in KINDS:
        of_kind = [p for p in todo if p.kind == kind]
        table[kind] = {"pairs": len(of_kind), **{c: sum(p.right(c) for p in of_kind) for c in CHECKERS}}
    accepted = {
        kind: {c: sum(p.said.get(c) == "accepts" for p in todo if p.kind == kind) for c in CHECKERS[1:]}
        for kind in KINDS
    }
    seconds = {}
    for c in CHECKERS:
        times = [p.seconds[c] for p in todo if c in p.seconds]
        seconds[c] = {
            "median": round(statistics.median(times), 5), "mean": round(statistics.fmean(times), 5),
            "worst": round(max(times), 4),
        }
    ratios = {
        f"minicnn / {c}": {
            kind or "all": round(geometric([
                p.seconds["minicnn"] / p.seconds[c] for p in todo if kind in {"", p.kind} and c in p.seconds
            ]), 2)
            for kind in ("", *KINDS)
        }
        for c in CHECKERS[1:]
    }
    return {"right_answers": table, "torch_accepts": accepted, "seconds": seconds, "geometric_mean_of_ratios": ratios}


def geometric(ratios: list[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else float("nan")


def print_table(result: dict[str, Any]) -> None:
    """The summary as text."""
    print(f"{'right answers':22}{'pairs':>7}" + "".join(f"{c:>12}" for c in CHECKERS))
    for kind, row in result["right_answers"].items():
        print(f"{kind:22}{row['pairs']:7}" + "".join(f"{row[c]:12}" for c in CHECKERS))
    for kind, row in result["torch_accepts"].items():
        print(f"{'accepted by torch, ' + kind:41}" + "".join(f"{row[c]:12}" for c in CHECKERS[1:]))
    for what in ("median", "mean", "worst"):
        print(f"{'seconds, ' + what:29}" + "".join(f"{result['seconds'][c][what]:12.4f}" for c in CHECKERS))
    for pair, by_kind in result["geometric_mean_of_ratios"].items():
        print(f"time {pair}, geometric mean: " + ", ".join(f"{kind} {r}" for kind, r in by_kind.items()))
    print(f"too large for torch's default: {', '.join(result['too_large_for_torch'])}")
    print(f"left out, for torch's checker cannot be asked: {', '.join(result['left_out'])}")


if __name__ == "__main__":
    main()
