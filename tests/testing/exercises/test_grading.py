"""Grading a file: it runs in a process of its own, and whatever it does there ends in a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from minicnn.testing.exercises import find, sheet
from minicnn.testing.exercises.grade import Grade
from minicnn.testing.exercises.grading import grade_file
from tests.testing.exercises.filled import file, solved

SGD = "return w - lr * (momentum * v + g), momentum * v + g"


def graded(folder: Path, text: str, **options: float) -> Grade:
    path = folder / "answer.py"
    path.write_text(text, encoding="utf-8")
    return grade_file(path, **options)  # type: ignore[arg-type]


def test_a_right_gradient_passes_through_the_process_and_twice_alike(tmp_path: Path) -> None:
    first, second = (graded(tmp_path, file("relu", solved(find("relu")))) for _ in range(2))
    assert first
    assert first.points == 1.0
    assert first.to_json() == second.to_json()
    assert str(first) == str(second)


def test_a_wrong_gradient_comes_with_its_cause_and_a_hint(tmp_path: Path) -> None:
    grade = graded(tmp_path, file("relu", "print('here')\nreturn gy * 1.0"))
    assert not grade
    assert {part.cause for part in grade.parts[:2]} == {"mask-missing"}
    text = str(grade)
    assert "0 of 3 parts passed: 0 %" in text
    assert "Reread hint 2." in text and "Hint 2:\n    f'(x)" in text
    assert "your code printed:\n    here\n" in text


def test_a_blank_file_is_not_started(tmp_path: Path) -> None:
    assert {part.verdict for part in graded(tmp_path, sheet.write(find("sgd_momentum"))).parts} == {"NOT STARTED"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return w - lr * vv, v", "NameError in line"),
        ("return w - lr * vv, v", "`return w - lr * vv, v`"),
        ("raise SystemExit(0)", "SystemExit"),
        ("import os; os._exit(0)", "imports os"),
        ("return open('x')", "FileNotFoundError"),
        ("return {'w': w}", "you return 1 result, expected 2"),
        ("return object(), v", "TypeError"),
        ("return input(), v", "EOFError"),
        ("v *= momentum\nreturn w, v", "writes into its argument v"),
        ("while True: pass", "no result within 2 s"),
        ("return np.ones(9_000_000), v", "larger than 64 MiB"),
        ("return w, w @", "is no Python"),
        ("from torch import nn\nreturn w, v", "imports torch"),
        ("return (lambda f: f(f))(lambda f: f(f)), v", "RecursionError"),
    ],
)
def test_what_goes_wrong_is_said(tmp_path: Path, body: str, said: str) -> None:
    grade = graded(tmp_path, file("sgd_momentum", body), limit_s=2.0 if "while" in body else 60.0)
    assert not grade
    assert said in " ".join(part.sentence for part in grade.parts)


def test_a_process_that_ends_is_told_from_an_endless_loop(tmp_path: Path) -> None:
    body = "__import__('os')._exit(3)"
    grade = graded(tmp_path, file("sgd_momentum", body))
    assert "the process ended in the middle" in grade.parts[0].sentence
    assert [part.verdict for part in grade.parts] == ["FAIL", "NOT REACHED", "NOT REACHED"]


def test_what_the_file_says_about_forward_does_not_count(tmp_path: Path) -> None:
    text = file("relu", "return 3.0 * gy").replace("return np.maximum(x, 0.0)", "return 3.0 * x")
    text += "\nnp.isclose = np.allclose = lambda *a, **k: True\n"
    assert {part.verdict for part in graded(tmp_path, text).parts} == {"FAIL"}


def test_a_file_that_fails_while_loading_says_so(tmp_path: Path) -> None:
    grade = graded(tmp_path, file("sgd_momentum", SGD) + "\nnumber = 1 / 0\n")
    assert "the file does not load: ZeroDivisionError in line" in grade.parts[0].sentence


def test_helpers_and_the_standard_library_are_welcome(tmp_path: Path) -> None:
    text = file("sgd_momentum", "return w - lr * moved(v, g, momentum), moved(v, g, momentum)")
    assert graded(tmp_path, text + "\nimport math\n\ndef moved(v, g, momentum):\n    return momentum * v + g\n")


def test_a_function_that_was_renamed_is_missed(tmp_path: Path) -> None:
    grade = graded(tmp_path, file("sgd_momentum", SGD).replace("def step(", "def my_step("))
    assert "there is no function 'step'" in grade.parts[0].sentence


def test_students_are_graded_with_numbers_of_their_own(tmp_path: Path) -> None:
    ada, alan = (graded(tmp_path, file("sgd_momentum", SGD, student)) for student in ("ada", "alan k."))
    assert ada and alan
    assert ada.seed != alan.seed
    assert graded(tmp_path, file("sgd_momentum", SGD), seed=5).seed == 5


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("# student: ada", "# student: alan", "header of .* was changed"),
        ("# minicnn exercise: sgd_momentum", "# minicnn exercise: adam", "header of .* was changed"),
        ("# minicnn exercise: sgd_momentum", "# minicnn exercise: sgd_momentun", "did you mean 'sgd_momentum'"),
        ("# number: ", "# nummer: ", "is no exercise file"),
    ],
)
def test_an_edited_header_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        graded(tmp_path, file("sgd_momentum", SGD).replace(old, new))


@pytest.mark.parametrize("student", ["", "a\nb", " ada", "x" * 81, "a|b"])
def test_a_students_name_fits_into_the_header(student: str) -> None:
    with pytest.raises(ValueError, match="a student is 1 to 80"):
        sheet.write(find("relu"), student)
