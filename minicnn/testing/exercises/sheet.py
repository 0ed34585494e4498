"""The student's file: made from the solution's source, and recognised again by its header."""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.testing.cases.case import Sample
from minicnn.testing.exercises import find
from minicnn.testing.exercises.exercise import Exercise, Function

BEGIN, END = "# begin solution", "# end solution"

#: What an answer may import.
ALLOWED = frozenset({"numpy", "math", "itertools", "functools", "collections", "operator", "typing", "__future__"})

_FORMAT = """\
{summary}

import numpy as np

Array = np.ndarray


{given}# ---------------------------------------------------------------- yours to write

{answer}

# ---------------------------------------------------------------- your own numbers, for a first look

if __name__ == "__main__":
{look}


# ---------------------------------------------------------------- hints: each tells more than the one before
{hints}"""

_SUMMARY = '''\
"""{title}   (difficulty {difficulty} of 5)

{task}

Write the body of `{function}`, then

    python {file}           shows your result for one small input beside the right one
    minicnn grade {file}    grades it, and says what is wrong

Only NumPy and the standard library are allowed. Functions of your own are welcome; names and arguments of `{function}`
must stay. Do not write into the arguments. Hints are at the end of the file.

Before this: {prerequisites}
To read: {reference}
"""
# minicnn exercise: {name}
# student: {student}
# number: {number}
# (the three lines above fix the numbers that you are graded with: leave them as they are)'''


@dataclass(frozen=True)
class Sheet:
    """A student's file, read.

    Attributes
    ----------
    exercise : Exercise
    student : str
    source : str
    """

    exercise: Exercise
    student: str
    source: str


def number(name: str, student: str) -> int:
    """The seed of one student's exercise: 48 bits of a hash of both names.

    Examples
    --------
    >>> from minicnn.testing.exercises.sheet import number
    >>> number("relu", "ada") == number("relu", "ada") != number("relu", "alan")
    True
    """
    return int.from_bytes(hashlib.blake2b(f"{name}\n{student}".encode(), digest_size=6).digest(), "big")


def write(exercise: Exercise, student: str = "anonymous", file: str = "") -> str:
    """The text of a student's file.

    Parameters
    ----------
    exercise : Exercise
    student : str
        Name or number of the student: letters, digits, spaces and ``. _ @ + -``, at most 80.
    file : str
        What the file will be called; for the commands it shows.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        For other characters in ``student``.
    """
    if not re.fullmatch(r"[\w.@+-]([\w.@+ -]{0,78}[\w.@+-])?", student):
        raise ValueError(f"exercise: a student is 1 to 80 letters, digits, spaces and . _ @ + -, got {student!r}")
    summary = _SUMMARY.format(
        name=exercise.name, title=exercise.title, difficulty=exercise.difficulty, task=exercise.task,
        function=exercise.function, file=file or f"{exercise.name}.py", student=student,
        prerequisites=", ".join(exercise.prerequisites) or "nothing", reference=exercise.reference,
        number=f"{number(exercise.name, student):012x}",
    )  # fmt: skip
    given = [inspect.getsource(f) for f in exercise.given]
    if given:
        given.insert(0, "# ---------------------------------------------------------------- given\n\n")
    return _FORMAT.format(
        summary=summary, given="\n\n".join(given).replace("given\n\n\n\n", "given\n\n") + ("\n\n" if given else ""),
        answer=blanked(exercise.solution), look=textwrap.indent(_look(exercise, student), "    "),
        hints="".join(_hint(i, text) for i, text in enumerate(exercise.hints, 1)),
    )  # fmt: skip


def blanked(solution: Function) -> str:
    """The source of a function, with what stands between the markers replaced by one line that raises."""
    lines = inspect.getsource(solution).splitlines(keepends=True)
    begin, end = (next(i for i, line in enumerate(lines) if line.strip() == mark) for mark in (BEGIN, END))
    indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
    hole = f'{indent}raise NotImplementedError("write {solution.__name__}")  # your code instead of this line\n'
    return "".join([*lines[:begin], hole, *lines[end + 1 :]])


def read(path: Path) -> Sheet:
    """Read a student's file, without running it.

    Raises
    ------
    ValueError
        If it is no exercise file, names an unknown exercise, or its header was changed.
    OSError
        If it cannot be read.
    """
    source = path.read_text(encoding="utf-8-sig", errors="replace")
    found = re.findall(r"^# (minicnn exercise|student|number): (.*?)\s*$", source, re.MULTILINE)
    fields = dict(reversed(found))  # the first of each counts
    if len(fields) < 3:
        raise ValueError(f"grade: {path} is no exercise file: its header lacks the exercise, the student or the number")
    exercise = find(fields["minicnn exercise"])
    if fields["number"] != f"{number(exercise.name, fields['student']):012x}":
        raise ValueError(f"grade: the header of {path} was changed: its number is not {fields['student']!r}'s")
    return Sheet(exercise, fields["student"], source)


def objection(sheet: Sheet) -> str:
    """Why the file cannot be graded as it is: a syntax error, a forbidden import, a missing function; or nothing."""
    try:
        tree = ast.parse(sheet.source)
    except SyntaxError as error:
        return f"line {error.lineno} is no Python: {error.msg}: {(error.text or '').strip()}"
    for node in ast.walk(tree):
        for module in _imports(node):
            if module.split(".")[0] not in ALLOWED:
                line = getattr(node, "lineno", 0)
                return f"line {line} imports {module or 'a neighbour'}; NumPy and {', '.join(_standard())} are allowed"
    if not any(isinstance(n, ast.FunctionDef) and n.name == sheet.exercise.function for n in tree.body):
        return f"there is no function {sheet.exercise.function!r} in the file: it must keep its name"
    return ""


def small(exercise: Exercise, rng: np.random.Generator) -> Sample:
    """The smallest of several draws of the first case, to print."""
    draws = [next(iter(exercise.cases.values()))(rng) for _ in range(8)]
    return min(draws, key=lambda sample: sum(np.size(value) for value in sample.args))


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or "" if not node.level else ""] if isinstance(node, ast.ImportFrom) else []


def _standard() -> list[str]:
    return sorted(ALLOWED - {"numpy", "__future__"})


def _hint(position: int, text: str) -> str:
    return f"#\n# Hint {position}\n" + textwrap.indent(text, "#   ", lambda _: True) + "\n"


def _look(exercise: Exercise, student: str) -> str:
    """Code that calls the answer with literal arrays and prints what should have come out."""
    rng = np.random.default_rng([number(exercise.name, student), 0])
    sample = small(exercise, rng)
    values = exercise.arguments(sample, rng)
    names = (("gy",) if exercise.forward else ()) + exercise.inputs
    right = exercise.solution(*values, **sample.kwargs)
    results = right if isinstance(right, tuple) else (right,)
    named = [f"right_{i}" for i in range(1, len(results) + 1)] if len(results) > 1 else ["right"]
    shown = zip((*names, *named), (*values, *(np.round(r, 6) for r in results)), strict=True)
    options = "".join(f", {name}={value!r}" for name, value in sample.kwargs.items())
    call = f"{exercise.function}({', '.join(names)}{options})"
    lines = [_assignment(name, value) for name, value in shown]
    star = "*" if len(named) > 1 else ""
    lines += [
        "try:",
        f"    yours = {call}",
        "except NotImplementedError:",
        f'    raise SystemExit("{exercise.function} is not written yet")',
        f'print("yours:", {star}yours, "right:", {", ".join(named)}, sep="\\n")',
    ]
    return "\n".join(lines)


def _assignment(name: str, value: Any) -> str:
    start = f"{name} = np.array("
    if value.size == 0 or value.ndim == 0:
        return f"{start}{value.tolist()!r})"
    return f"{start}{np.array2string(value, separator=', ', threshold=10**6, max_line_width=112, prefix=start)})"
