"""Grade a folder of exercise files into a table, as a teacher would.

python examples/grade_a_class.py [folder]

Without a folder it writes and grades three answers of its own. The files are executed: grade strangers' code on a
machine that you can throw away.
"""

import sys
import tempfile
from pathlib import Path

from minicnn.testing.exercises import find, sheet
from minicnn.testing.exercises.grading import grade_file

ANSWERS = {
    "ada": "return gy * (x > 0)",
    "alan": "return gy * (gy > 0)",  # a common one: the mask of the wrong array
    "grace": 'raise NotImplementedError("write backward")',
}


def made_up(folder):
    for student, answer in ANSWERS.items():
        text = sheet.write(find("relu"), student)
        blank = next(line.strip() for line in text.splitlines() if line.strip().startswith("raise NotImplementedError"))
        (folder / f"{student}.py").write_text(text.replace(blank, answer), encoding="utf-8")


def table(folder):
    for path in sorted(folder.glob("*.py")):
        try:
            grade = grade_file(path)
        except ValueError as refused:  # no exercise file, or an edited header
            print(f"{path.name:<12}  refused: {refused}")
            continue
        first = next((part.sentence or part.verdict for part in grade.parts if part.verdict != "PASS"), "")
        print(f"{path.name:<12}  {grade.student:<8} {grade.exercise.name:<8} {100 * grade.points:4.0f} %  {first[:80]}")


if len(sys.argv) > 1:
    table(Path(sys.argv[1]))
else:
    with tempfile.TemporaryDirectory() as name:
        made_up(Path(name))
        table(Path(name))
