"""Judge the gradient checker on the held-out pairs: ``python -m tests.testing.held_out.evaluate [--summary]``."""

import argparse
import contextlib
import io
import json
import os
import sys
import time
import warnings
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from minicnn.bench.machine import stamp
from minicnn.testing.gradcheck import gradcheck
from tests.testing.held_out.pairs import ALL, PAIRS
from tests.testing.held_out.second import PAIRS as SECOND

RESULT = Path(__file__).parents[3] / "benchmarks" / "results" / "held_out_gradients.json"

#: What must not happen at any seed, then what should not.
FATAL = ("wrong passed", "right failed", "vacuous taken for proof", "raised")
WISHES = ("wrong not FAIL", "right not PASS", "edge not NONDIFFERENTIABLE", "vacuous not flagged")


@dataclass
class Judged:
    """What the checker said about a pair at one seed; the verdict is ERROR if it raised."""

    pair: str
    kind: str
    seed: int
    verdict: str
    vacuous: bool
    ok: bool
    causes: list
    seconds: float
    named: bool = False  # one of the causes is a name of the fault
    first: bool = False  # the first one is

    @property
    def troubles(self):
        """Which of FATAL and WISHES apply."""
        kind, verdict = self.kind, self.verdict
        found = {
            "raised": verdict == "ERROR",
            "wrong passed": kind == "wrong" and self.ok,
            "wrong not FAIL": kind == "wrong" and verdict != "FAIL",
            "right failed": kind in {"right", "edge"} and verdict == "FAIL",
            "right not PASS": kind == "right" and not self.ok,
            "edge not NONDIFFERENTIABLE": kind == "edge" and verdict != "NONDIFFERENTIABLE",
            "vacuous not flagged": kind == "vacuous" and not self.vacuous,
            "vacuous taken for proof": kind == "vacuous" and self.ok,
        }
        return [name for name, holds in found.items() if holds]


def judge(pair, seed):
    """One check of a pair, its inputs drawn from the seed too."""
    inputs = pair.inputs(np.random.default_rng(1000 + seed))
    f, backward = pair.functions()
    start = time.process_time()  # processor time: other work on the machine does not count
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            r = gradcheck(f, inputs, backward=backward, kwargs=dict(pair.kwargs), seed=seed, name=pair.name)
        said = (r.verdict, r.vacuous, bool(r), r.causes)
    except Exception as error:  # noqa: BLE001 (a checker that raises has not judged)
        said = ("ERROR", False, False, [f"{type(error).__name__}: {error}"])
    seconds = time.process_time() - start
    causes = said[3]
    named, first = not pair.causes.isdisjoint(causes), bool(causes) and causes[0] in pair.causes
    return Judged(pair.name, pair.kind, seed, *said, round(seconds, 3), named, first)


def totals(judged):
    """Counts of troubles by pair, shares of named causes, seconds."""
    wrong = [j for j in judged if j.kind == "wrong"]
    said = {}
    for j in judged:
        said.setdefault(j.pair, set()).add((j.verdict, j.vacuous))
    troubles = {t: sorted({j.pair for j in judged if t in j.troubles}) for t in (*FATAL, *WISHES)}
    return {
        "kinds": dict(Counter(kind for _, kind in {(j.pair, j.kind) for j in judged})),
        "troubles": troubles,
        "other_verdict_at_another_seed": sorted(pair for pair, verdicts in said.items() if len(verdicts) > 1),
        "causes_named": round(sum(j.named for j in wrong) / max(1, len(wrong)), 4),
        "causes_named_first": round(sum(j.first for j in wrong) / max(1, len(wrong)), 4),
        "seconds": round(sum(j.seconds for j in judged), 1),
        "slowest": dict(zip(("seconds", "pair"), max((j.seconds, j.pair) for j in judged), strict=True)),
    }


def line(pair, judged):
    """A row of the table."""
    mark = ""
    if pair.kind == "wrong":
        mark = "first" if all(j.first for j in judged) else "named" if all(j.named for j in judged) else "CAUSE MISSED"
    causes = judged[0].causes if pair.kind == "wrong" or judged[0].verdict in {"ERROR", "FAIL"} else ""
    said = " ".join(j.verdict[:14] + "*" * j.vacuous for j in judged)
    return f"{pair.name:34} {pair.kind:8} {said:46} {sum(j.seconds for j in judged):6.2f}  {mark} {causes}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="pairs (default: all)")
    parser.add_argument("--first", action="store_true", help="only the 86 that were judged first")
    parser.add_argument("--second", action="store_true", help="the second set, which was judged blind once")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--summary", action="store_true", help="totals only")
    parser.add_argument("--store", action="store_true", help=f"write {RESULT.name} beside the other results")
    options = parser.parse_args()
    chosen = SECOND if options.second else PAIRS if options.first else ALL
    todo = [p for p in chosen if not options.names or p.name in options.names]
    load, judged = os.getloadavg()[0], []
    for pair in todo:
        one = [judge(pair, seed) for seed in range(options.seeds)]
        judged += one
        if not options.summary:
            print(line(pair, one), flush=True)
    found = totals(judged)
    print(f"{len(todo)} pairs at {options.seeds} seeds: {found['kinds']}")
    for trouble, pairs in found["troubles"].items():
        must = "must be 0: " if trouble in FATAL else ""
        print(f"  {must + trouble:40} {len(pairs):3}  {'' if options.summary else ', '.join(pairs)}")
    print(f"  {'other verdict at another seed':40} {len(found['other_verdict_at_another_seed']):3}")
    print(f"  causes named: {found['causes_named']:.1%}, named first: {found['causes_named_first']:.1%}")
    print(f"  {found['seconds']:.1f} s, {found['seconds'] / len(judged):.3f} s a check")
    if options.store:
        path = RESULT.with_stem(f"{RESULT.stem}_second") if options.second else RESULT
        rows = [{k: v for k, v in asdict(j).items() if k != "ok"} for j in judged]
        result = {"machine": stamp(("numpy", "scipy")), "load_before": round(load, 2), **found, "judged": rows}
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if any(found["troubles"][t] for t in FATAL) else 0


if __name__ == "__main__":
    sys.exit(main())
