"""The outcome of grading: a verdict for each part, in words, in JSON."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass

from minicnn.testing.exercises.exercise import Exercise
from minicnn.testing.report import PASS

NOT_STARTED = "NOT STARTED"
NOT_REACHED = "NOT REACHED"


@dataclass(frozen=True)
class Part:
    """One thing that an answer must do, and whether it does.

    Parameters
    ----------
    name : str
        ``gradient of w, stride 2``.
    verdict : str
        ``PASS``, ``FAIL``, ``NONDIFFERENTIABLE``, ``INCONCLUSIVE``, ``NOT STARTED`` or ``NOT REACHED``.
    sentence : str
        What was seen; empty for a part that passed.
    hint : int
        The hint to reread, from 1; 0 for none.
    cause : str
        Identifier of the probable cause in :mod:`minicnn.testing.catalogue`; empty where none is known.
    """

    name: str
    verdict: str
    sentence: str = ""
    hint: int = 0
    cause: str = ""


@dataclass(frozen=True)
class Grade:
    """All parts of one answer; true if every part passed.

    Parameters
    ----------
    exercise : Exercise
    student : str
    seed : int
        Draws the inputs: the student's number, unless another was asked for.
    parts : tuple of Part
    printed : str
        What the student's code printed.
    """

    exercise: Exercise
    student: str
    seed: int
    parts: tuple[Part, ...]
    printed: str = ""

    @property
    def points(self) -> float:
        """The fraction of parts that passed, in [0, 1]."""
        return sum(part.verdict == PASS for part in self.parts) / len(self.parts)

    def __bool__(self) -> bool:
        return all(part.verdict == PASS for part in self.parts)

    def __str__(self) -> str:
        lines = [f"{self.exercise.name}: {self.exercise.title}; student {self.student}, seed {self.seed}", ""]
        width = max(len(part.verdict) for part in self.parts)
        told: set[str] = set()
        for part in self.parts:
            lines.append(f"  {part.verdict:<{width}}  {part.name}")
            if part.sentence and part.sentence not in told:
                told.add(part.sentence)
                sentence = f"{part.sentence}. Reread hint {part.hint}." if part.hint else f"{part.sentence}."
                lines += textwrap.wrap(sentence, 112, initial_indent="      ", subsequent_indent="      ")
        passed = sum(part.verdict == PASS for part in self.parts)
        lines += ["", f"{passed} of {len(self.parts)} parts passed: {100 * self.points:.0f} %"]
        for position in sorted({part.hint for part in self.parts if part.hint}):
            hint = self.exercise.hints[position - 1]
            lines += [f"Hint {position}:", textwrap.indent(hint, "    ")]
        if self.printed:
            lines += ["your code printed:", textwrap.indent(self.printed.rstrip("\n"), "    ")]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Everything as JSON; the same for the same file and seed."""
        content = {
            "exercise": self.exercise.name, "student": self.student, "seed": self.seed, "passed": bool(self),
            "points": round(self.points, 6), "parts": [asdict(part) for part in self.parts], "printed": self.printed,
        }  # fmt: skip
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
