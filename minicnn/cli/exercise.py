"""``minicnn exercise`` and ``minicnn grade``: backward passes to write, and what is wrong with them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_to(subparsers: Any) -> None:
    """Add both subcommands."""
    parser = subparsers.add_parser(
        "exercise",
        help="write a file with a backward (or im2col, NMS ...) to fill in",
        description="Write an exercise as one Python file with hints; without a name, list all exercises.",
    )
    parser.add_argument("name", metavar="NAME", nargs="?")
    parser.add_argument("--student", default="anonymous", metavar="ID", help="draws this student's own numbers")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write it (default: NAME.py)")
    parser.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    parser.set_defaults(command=exercise)
    parser = subparsers.add_parser(
        "grade",
        help="grade such a file",
        description="Grade an exercise file, offline, with the same result each time. The code in the file is executed "
        "in a process of its own, with your rights: this is no sandbox.",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the grade as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the grade as a page")
    parser.add_argument("--seed", type=_natural, help="draw other inputs than the student's own")
    parser.add_argument("--limit", type=_seconds, default=60.0, metavar="S", help="seconds allowed (default: 60)")
    parser.set_defaults(command=grade)


def exercise(options: argparse.Namespace) -> int:
    """Write an exercise, or list them."""
    from minicnn.testing import exercises
    from minicnn.testing.exercises import sheet

    if options.name is None:
        print(table())
        return 0
    chosen = exercises.find(options.name)
    path: Path = options.output or Path(f"{chosen.name}.py")
    text = sheet.write(chosen, options.student, path.name)
    if path.exists() and not options.force:
        raise ValueError(f"exercise: {path} exists; --force overwrites it")
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path}: {chosen.title}, difficulty {chosen.difficulty} of 5; grade it with: minicnn grade {path}")
    return 0


def table() -> str:
    """One line for each exercise: name, difficulty, title and what comes before it."""
    from minicnn.testing import exercises

    width = max(map(len, exercises.NAMES))
    lines = []
    for name in exercises.NAMES:
        found = exercises.find(name)
        before = f"  (after {', '.join(found.prerequisites)})" if found.prerequisites else ""
        lines.append(f"{name:<{width}}  {'*' * found.difficulty:<5}  {found.title}{before}")
    return "\n".join([*lines, "", "write one with: minicnn exercise NAME --student ID"])


def grade(options: argparse.Namespace) -> int:
    """Grade a file: 0 if every part passed, 1 if not."""
    from minicnn.testing.exercises.grading import grade_file
    from minicnn.testing.exercises.page import page

    if not options.file.is_file():
        raise FileNotFoundError(f"grade: there is no file {options.file}")
    result = grade_file(options.file, seed=options.seed, limit_s=options.limit)
    print(result)
    if options.json:
        options.json.write_text(result.to_json(), encoding="utf-8")
    if options.html:
        options.html.write_text(page(result), encoding="utf-8")
    return 0 if result else 1


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, got {text!r}")
    return value
