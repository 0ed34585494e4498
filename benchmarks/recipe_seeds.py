"""Accuracy of the recipes over several seeds: ``python benchmarks/recipe_seeds.py [NAME ...] [--seeds 0 1 2 3 4]``.

Runs each recipe's tiny preset to the end for every seed and prints mean, worst and best of each metric. When all
recipes were measured it stores them with date and machine in ``minicnn/recipes/expectations.json``, with which
every run's report compares itself.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from minicnn import bench, recipes
from minicnn.recipes import RECIPES, Expectation, Options

STORED = Path(recipes.__file__).parent / "expectations.json"


def measure(name: str, seeds: list[int]) -> dict[str, dict[str, float]]:
    """Mean, worst and best of every metric, and the values themselves by seed."""
    values: dict[str, list[float]] = {}
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            report = RECIPES[name].run(Options(seed=seed, out=Path(folder)))
        print(report.table(), flush=True)
        for metric, value in report.metrics.items():
            values.setdefault(metric, []).append(value)
    return {
        metric: {**asdict(Expectation(round(mean(v), 5), min(v), max(v), len(v))), "values": v}
        for metric, v in values.items()
    }


def main() -> None:
    """Measure the recipes asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(RECIPES), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    args = parser.parse_args()
    result = {"machine": bench.stamp(), "seeds": args.seeds, "recipes": {}}
    for name in args.names:
        result["recipes"][name] = measure(name, args.seeds)
        for metric, found in result["recipes"][name].items():
            print(f"{name}: {metric} mean {found['mean']:.2%}, {found['lowest']:.2%} to {found['highest']:.2%}")
    if set(args.names) == set(RECIPES):
        STORED.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
