"""What became of the mutants: killed, equivalent or alive, per op and in all."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from minicnn.testing.mutation.mutant import Mutant

KILLED, EQUIVALENT, SURVIVED = "killed", "equivalent", "survived"


@dataclass(frozen=True)
class Fate:
    """What became of one mutant.

    Parameters
    ----------
    mutant : Mutant
    outcome : str
        ``killed``, ``equivalent`` or ``survived``.
    by : tuple of (str, int) or None
        The case and seed that killed it.
    verdict : str
        What the check said of it.
    explanation : str
        Of an equivalent, the reason; of a survivor, what would have exposed it, as far as that was found.
    """

    mutant: Mutant
    outcome: str
    by: tuple[str, int] | None = None
    verdict: str = ""
    explanation: str = ""

    def facts(self) -> dict[str, Any]:
        """For the JSON."""
        facts: dict[str, Any] = {
            "function": self.mutant.function, "where": self.mutant.where, "rule": self.mutant.rule,
            "line": self.mutant.line, "outcome": self.outcome,
        }
        if self.by:
            facts |= {"by": f"{self.by[0]} (seed {self.by[1]})", "verdict": self.verdict}
        return facts | ({"explanation": self.explanation} if self.explanation else {})


@dataclass
class MutationReport:
    """The outcome of a mutation run.

    Attributes
    ----------
    seed : int
        Of the choice among mutants where not all are planted.
    seeds : list of int
        Of the suite that judged them.
    most : int or None
        Planted per Function at most; None: all.
    fates : list of Fate
        In the order of Functions, rules and lines.
    untouched : list of str
        Functions that no mutant was planted in, because no case runs their backward.
    problems : list of str
        What makes the score worthless until it is mended: a listed equivalent that a check tells apart, a check that
        does not pass without any mutant.
    seconds : float
        Time taken; not part of the JSON.
    """

    seed: int
    seeds: list[int]
    most: int | None = None
    fates: list[Fate] = field(default_factory=list)
    untouched: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, outcome: str, function: str | None = None) -> int:
        """How many mutants ended so, of one Function or of all."""
        return sum(f.outcome == outcome and function in (None, f.mutant.function) for f in self.fates)

    @property
    def score(self) -> float:
        """Killed / (planted - equivalent); 1 where nothing could be killed."""
        rest = len(self.fates) - self.count(EQUIVALENT)
        return self.count(KILLED) / rest if rest else 1.0

    @property
    def survivors(self) -> list[Fate]:
        """Those that no check of the suite noticed."""
        return [fate for fate in self.fates if fate.outcome == SURVIVED]

    @property
    def rules(self) -> dict[str, dict[str, int]]:
        """Per rule: planted, killed, equivalent, survived."""
        found: dict[str, Counter[str]] = {}
        for fate in self.fates:
            found.setdefault(fate.mutant.rule, Counter()).update(["planted", fate.outcome])
        return {rule: dict(found[rule]) for rule in sorted(found)}

    @property
    def functions(self) -> dict[str, dict[str, int]]:
        """Per Function: planted, killed, equivalent, survived."""
        found: dict[str, Counter[str]] = {}
        for fate in self.fates:
            found.setdefault(fate.mutant.function, Counter()).update(["planted", fate.outcome])
        return {name: dict(found[name]) for name in sorted(found)}

    def summary(self) -> dict[str, Any]:
        """Everything but the killed mutants one by one."""
        kept = [f.facts() for f in self.fates if f.outcome != KILLED]
        verdicts = Counter(f.verdict for f in self.fates if f.outcome == KILLED)
        return {
            "score": round(self.score, 5), "planted": len(self.fates), "killed": self.count(KILLED),
            "equivalent": self.count(EQUIVALENT), "survived": self.count(SURVIVED), "seed": self.seed,
            "suite_seeds": self.seeds, "most_per_function": self.most, "killed_as": dict(verdicts),
            "rules": self.rules, "functions": self.functions,
            "untouched": self.untouched, "problems": self.problems, "not_killed": kept,
        }

    def to_json(self, *, every: bool = True) -> str:
        """The summary, and every mutant if asked; the same text for the same seeds."""
        facts = self.summary()
        return json.dumps(facts | ({"mutants": [f.facts() for f in self.fates]} if every else {}), indent=1)

    def __str__(self) -> str:
        facts = self.summary()
        killed, planted = facts["killed"], facts["planted"]
        lines = [f"mutation score {self.score:.4f}: {killed} killed of {planted} planted in {self.seconds:.0f} s"]
        lines[0] += f" ({facts['equivalent']} equivalent, {facts['survived']} survived)"
        for name, counts in facts["functions"].items():
            alive = [fate for fate in self.survivors if fate.mutant.function == name]
            if alive:
                rest = counts["planted"] - counts.get(EQUIVALENT, 0)
                lines.append(f"  {name.removeprefix('minicnn.ops.')}: {counts.get(KILLED, 0)} of {rest}")
                for fate in alive:
                    lines += [f"    {fate.mutant}", f"      {fate.explanation}"]
        lines += [f"  PROBLEM: {problem}" for problem in self.problems]
        lines += [f"  {name}: no case runs its backward" for name in self.untouched]
        return "\n".join(lines)
