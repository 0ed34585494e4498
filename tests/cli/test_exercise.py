"""``minicnn exercise`` writes files, ``minicnn grade`` reads them; exit codes say which of the three it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from minicnn.cli.main import main
from minicnn.testing.exercises import NAMES, find, sheet
from tests.testing.exercises.filled import file

SGD = "return w - lr * (momentum * v + g), momentum * v + g"


def test_without_a_name_every_exercise_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(NAMES)]] == list(NAMES)
    assert "softmax                ***    The gradient of softmax  (after the chain rule, sigmoid)" in lines


def test_the_file_is_called_after_the_exercise_and_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["exercise", "relu", "--student", "ada"]) == 0
    first = Path("relu.py").read_text(encoding="utf-8")
    assert "# student: ada" in first
    assert main(["exercise", "relu", "--student", "alan"]) == 2
    assert "--force overwrites it" in capsys.readouterr().err
    assert Path("relu.py").read_text(encoding="utf-8") == first
    assert main(["exercise", "relu", "--student", "alan", "--force"]) == 0
    assert "# student: alan" in Path("relu.py").read_text(encoding="utf-8")
    assert main(["exercise", "relu", "--output", "mine.py"]) == 0
    assert "minicnn grade mine.py" in Path("mine.py").read_text(encoding="utf-8")


def test_grades_end_with_0_or_1_and_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sgd.py"
    path.write_text(file("sgd_momentum", SGD), encoding="utf-8")
    assert main(["grade", str(path)]) == 0
    assert "3 of 3 parts passed: 100 %" in capsys.readouterr().out
    path.write_text(file("sgd_momentum", "return w - lr * v, momentum * v + g"), encoding="utf-8")
    written, page = tmp_path / "grade.json", tmp_path / "grade.html"
    assert main(["grade", str(path), "--json", str(written), "--html", str(page), "--limit", "30"]) == 1
    content = json.loads(written.read_text(encoding="utf-8"))
    assert content["points"] == 0.0 and content["passed"] is False
    assert content["parts"][1]["sentence"].startswith("the weights follow the old velocity")
    html = page.read_text(encoding="utf-8")
    assert "the weights follow the old velocity" in html
    assert "http" not in html


def test_an_unstarted_file_says_so_when_it_is_run(tmp_path: Path) -> None:
    path = tmp_path / "softmax.py"
    path.write_text(sheet.write(find("softmax")), encoding="utf-8")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "backward is not written yet\n")


def test_an_unstarted_file_ends_with_1(tmp_path: Path) -> None:
    assert main(["exercise", "adam", "--output", str(tmp_path / "adam.py")]) == 0
    assert main(["grade", str(tmp_path / "adam.py")]) == 1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["exercise", "softmaxx"], "did you mean 'softmax'"),
        (["exercise", "relu", "--student", "a\nb", "--output", "never.py"], "a student is 1 to 80"),
        (["grade", "missing.py"], "minicnn: grade: there is no file missing.py\n"),
        (["grade", __file__], "is no exercise file"),
    ],
)
def test_bad_input_ends_with_2(
    argv: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [["--seed", "-1"], ["--limit", "0"], ["--limit", "soon"]])
def test_impossible_options_show_the_usage(option: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["grade", "x.py", *option])
    assert stopped.value.code == 2
