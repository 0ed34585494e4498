"""The report that every run ends with: metrics beside what is expected of them, and what they were made with."""

import json
import platform
import sys
from dataclasses import dataclass, field, fields
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Expectation:
    """What earlier runs of the same preset gave: mean, worst and best over some seeds."""

    mean: float
    lowest: float
    highest: float
    seeds: int

    def __str__(self) -> str:
        return f"{self.mean:.2%} ({self.lowest:.2%} to {self.highest:.2%} over {self.seeds} seeds)"


def expectations(recipe: str) -> dict[str, Expectation]:
    """What the recipe's tiny preset gave over some seeds, by metric.

    Stored in ``recipes/expectations.json``, which ``benchmarks/recipe_seeds.py`` measures and writes.
    """
    text = resources.files("minicnn.recipes").joinpath("expectations.json").read_text()
    found = json.loads(text)["recipes"].get(recipe, {})
    names = [f.name for f in fields(Expectation)]
    return {metric: Expectation(**{n: values[n] for n in names}) for metric, values in found.items()}


@dataclass
class Report:
    """Metrics of a run with everything needed to repeat it.

    Attributes
    ----------
    recipe, preset, device : str
    seed, epochs : int
    metrics : dict of floats
        Shares in [0, 1] unless the name says otherwise.
    expected : dict of Expectation
        For the metrics where earlier runs say what to expect.
    pictures : list of file names beside the report
    seconds : float
        Wall-clock time of this run (compilation included; of the last part where it was resumed).
    """

    recipe: str
    preset: str
    device: str
    seed: int
    epochs: int
    metrics: dict[str, float]
    expected: dict[str, Expectation]
    pictures: list[str]
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in ``report.json``."""
        metrics = {
            name: {"value": value, "expected": vars(self.expected[name]) if name in self.expected else None}
            for name, value in self.metrics.items()
        }
        return {
            "recipe": self.recipe,
            "preset": self.preset,
            "device": self.device,
            "seed": self.seed,
            "epochs": self.epochs,
            "metrics": metrics,
            "facts": self.facts,
            "pictures": self.pictures,
            "seconds": round(self.seconds, 2),
            "peak_memory_mb": peak_memory_mb(),
            "versions": versions(),
        }

    def write(self, folder: Path) -> Path:
        """Write ``report.json`` into the folder."""
        path = folder / "report.json"
        path.write_text(json.dumps(self.as_dict(), indent=2) + "\n")
        return path

    def table(self) -> str:
        """A short text for the terminal."""
        lines = [f"{self.recipe} ({self.preset}, seed {self.seed}, {self.epochs} epochs, {self.seconds:.0f} s)"]
        for name, value in self.metrics.items():
            shown = f"{value:.2%}" if 0 <= value <= 1 else f"{value:.4g}"
            beside = f"   expected {self.expected[name]}" if name in self.expected else ""
            lines.append(f"  {name:<16} {shown:>9}{beside}")
        lines += [f"  {name:<16} {value!s:>9}" for name, value in self.facts.items()]
        return "\n".join(lines)


def peak_memory_mb() -> float | None:
    """Largest resident size of this process so far, in MB; ``None`` where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)


def versions() -> dict[str, str]:
    """Python and the libraries whose numbers a result may depend on."""
    return {"python": platform.python_version(), **{p: version(p) for p in ("minicnn", "numpy", "numba", "scipy")}}
