"""How good the gradient suite is: 20 random seeds of the sweep, and its mutation score.

    python benchmarks/gradient_suite.py sweep --seeds 20     writes results/gradient_sweep.json
    python benchmarks/gradient_suite.py mutation             writes results/mutation_score.json

Seeds are drawn anew at each run and stored. No draw is repeated, whatever it says. Nothing else should run meanwhile,
for the times are stored too.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
from pathlib import Path
from typing import Any

from minicnn.bench.machine import stamp
from minicnn.testing.mutation import mutate
from minicnn.testing.sweep import sweep

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sweep", "mutation"))
    parser.add_argument("--seeds", type=int, default=20, help="of the sweep (default: 20)")
    parser.add_argument("--jobs", type=int, help="processes (default: one per core)")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    if options.what == "sweep":
        # order 2 first, alone: the time that the whole order-2 sweep takes at one seed
        single = sweep(seeds=[secrets.randbelow(2**31)], order=2, processes=options.jobs)
        print(f"order 2, one seed: {single}")
        whole = sweep(seeds=sorted(secrets.randbelow(2**31) for _ in range(options.seeds)), processes=options.jobs)
        print(whole)
        facts: dict[str, Any] = {
            "one_seed_order_2": {"verdict": single.verdict, "ok": single.ok, "seconds": round(single.seconds)},
            **whole.summary(), "seconds": round(whole.seconds),
        }
        store("gradient_sweep.json", load, facts)
    else:
        score = mutate(processes=options.jobs)
        print(score)
        store("mutation_score.json", load, score.summary() | {"seconds": round(score.seconds)})


def store(name: str, load: float, facts: dict[str, Any]) -> None:
    """Write a result with what it was measured on."""
    facts = {"machine": stamp(("numpy", "numba", "scipy")), "load_before": round(load, 2), **facts}
    (RESULTS / name).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
