"""``minicnn gradcheck``: exit codes, files, and one's own functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minicnn.cli.main import main

OWN = """
import numpy as np
from minicnn.testing import gradcheck

X = np.array([0.5, -1.0, 2.0])

def right():
    return np.sin, [X], {"backward": lambda gy, x: gy * np.cos(x)}

def wrong():
    return {"f": np.sin, "inputs": [X], "backward": lambda gy, x: -gy * np.cos(x)}

def kinked():
    return np.abs, [np.array([0.0, 1.0])], {"backward": lambda gy, x: gy * np.sign(x)}

def constant():
    return np.sign, [X], {"backward": lambda gy, x: 0 * gy}

def several():
    return [right(), kinked()]

def ready():
    return gradcheck(np.sin, [X], backward=lambda gy, x: gy * np.cos(x), seed=5)

def nothing():
    return 3

def broken():
    return {}["no such key"]

def broken_inside():
    return f_that_raises, [X], {"backward": lambda gy, x: gy}

def f_that_raises(x):
    raise ValueError("three is\\nneeded")

def refused():
    return np.sin, [X], {"backward": lambda gy, x: gy, "order": 0}

value = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of functions to check."""
    import sys

    (tmp_path / "mine_to_check.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mine_to_check", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "code", "verdict"),
    [("right", 0, "PASS"), ("wrong", 1, "FAIL"), ("kinked", 3, "NONDIFFERENTIABLE"), ("constant", 3, "VACUOUS"),
     ("several", 3, "NONDIFFERENTIABLE"), ("ready", 0, "PASS")],
)
def test_own_functions_give_a_verdict_and_an_exit_code(
    name: str, code: int, verdict: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gradcheck", f"mine_to_check:{name}"]) == code
    assert verdict in capsys.readouterr().out


def test_the_worst_of_several_targets_counts(here: Path) -> None:
    assert main(["gradcheck", "mine_to_check:right", "mine_to_check:kinked", "mine_to_check.py:wrong"]) == 1


def test_a_seed_reproduces_the_report(here: Path) -> None:
    for name in ("a.json", "b.json"):
        assert main(["gradcheck", "mine_to_check:wrong", "--seed", "7", "--json", name]) == 1
    assert (here / "a.json").read_text() == (here / "b.json").read_text()
    assert json.loads((here / "a.json").read_text())["reports"][0]["seed"] == 7


def test_seeds_repeat_the_check_with_fresh_ones(here: Path) -> None:
    assert main(["gradcheck", "mine_to_check:right", "--seeds", "3", "--json", "r.json"]) == 0
    assert len({r["seed"] for r in json.loads((here / "r.json").read_text())["reports"]}) == 3


@pytest.mark.parametrize(
    ("target", "message"),
    [("mine_to_check", "MODULE:FUNCTION"), ("no_such_module:f", "cannot be imported"), ("no.py:f", "no file"),
     ("mine_to_check:f", "no function 'f'"), ("mine_to_check:value", "is no function"),
     ("mine_to_check:nothing", "must return")],
)
def test_bad_targets_are_one_line_and_code_2(
    target: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gradcheck", target]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("target", "words"),
    [("broken", ["mine_to_check:broken raised KeyError", "(mine_to_check.py:29)"]),
     ("broken_inside", ["mine_to_check:broken_inside raised ValueError: three is needed (mine_to_check.py:35)"]),
     ("refused", ["mine_to_check:refused: ", "order"])],
)
def test_a_target_that_raises_is_bad_input(
    target: str, words: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gradcheck", f"mine_to_check:{target}"]) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words) and error.count("\n") == 1, error
    with pytest.raises((ValueError, TypeError)) as raised:
        main(["--debug", "gradcheck", f"mine_to_check:{target}"])
    assert raised.value.__cause__ is not None


def test_a_file_that_does_not_load_is_bad_input(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, said in (("x = 1\ny = 1 / 0\n", "ZeroDivisionError: division by zero"), ("x = (\n", "SyntaxError")):
        (here / "bad_to_check.py").write_text(text, encoding="utf-8")
        assert main(["gradcheck", "bad_to_check.py:f"]) == 2
        error = capsys.readouterr().err
        assert f"bad_to_check.py raised {said}" in error and "(bad_to_check.py:" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("target", "hint"),
    [("relu", "did you mean --op relu?"), ("relo", "did you mean --op relu?"), ("gone.py", "there is no file gone.py"),
     ("mine_to_check.py", "mine_to_check.py has right, wrong, kinked,"), ("mine_to_check", "has right, wrong"),
     ("mine_to_check:rihgt", "no function 'rihgt'; mine_to_check.py has right"),
     ("empty_to_check.py:", "empty_to_check.py has no function without arguments")],
)
def test_an_incomplete_target_gets_a_hint(
    target: str, hint: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty_to_check.py").write_text("def f(x): ...\ndef _g(): ...\n1 / 0\n", encoding="utf-8")
    assert main(["gradcheck", target]) == 2
    error = capsys.readouterr().err
    assert hint in error and error.count("\n") == 1, error
    assert "f_that_raises" not in error and "_g" not in error


@pytest.mark.parametrize("more", [[], ["--mutate"]])
def test_an_op_that_is_nearly_right_is_suggested(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradcheck", "--op", "relo", *more]) == 2
    assert "did you mean 'relu'?" in capsys.readouterr().err


def test_a_page_of_own_functions_names_the_command(here: Path) -> None:
    assert main(["gradcheck", "mine_to_check:right", "--seed", "5", "--junit", "r.xml"]) == 0
    assert "minicnn gradcheck mine_to_check:right --seed 5" in (here / "r.xml").read_text(encoding="utf-8")


def test_the_sweep_writes_json_page_and_junit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {name: tmp_path / f"r.{name}" for name in ("json", "html", "junit")}
    options = [str(x) for name, path in files.items() for x in (f"--{name}", path)]
    assert main(["gradcheck", "--op", "exp", "mul/number", "--seed", "4", "--jobs", "1", *options]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("PASS: 2 draws of 2 cases of 2 ops")
    assert printed.err.startswith("checking 2 draws in 1 process (the first run compiles kernels")
    assert json.loads(files["json"].read_text())["seeds"] == [4]
    assert all("minicnn gradcheck --op mul/number --seed 4" in files[kind].read_text() for kind in ("html", "junit"))
    assert "exp (seed 4)" in files["html"].read_text() and "exp (seed 4)" in files["junit"].read_text()


def test_random_seeds_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    assert main(["gradcheck", "--op", "exp", "--seeds", "2", "--jobs", "1", "--json", str(path)]) == 0
    facts = json.loads(path.read_text())
    assert len(facts["seeds"]) == 2 and [row["seed"] for row in facts["rows"]] == facts["seeds"]


def test_a_wrong_op_and_a_vacuous_one_have_their_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    from minicnn.testing.mutation.mutant import Mutant, planted

    with planted(Mutant("minicnn.ops.elementwise.Exp", "doubled", "gradient 0")):
        assert main(["gradcheck", "--op", "exp", "--seed", "0", "--jobs", "1"]) == 1
    assert main(["gradcheck", "--op", "exp", "--seed", "0", "--jobs", "1", "--budget", "0"]) == 3


def test_list_names_cases_and_checks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradcheck", "--list", "--op", "tanh", "argmax"]) == 0
    assert capsys.readouterr().out == "argmax  values only\nargmax/dim  values only\ntanh  order 3\n"


class FakeScore:
    score = 0.9
    problems = ()

    def to_json(self) -> str:
        return "{}"


@pytest.mark.parametrize(("least", "code"), [("0.8", 0), ("0.98", 1)])
def test_the_mutation_score_has_a_threshold(
    least: str, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: dict[str, Any] = {}

    def fake(**options: Any) -> FakeScore:
        given.update(options)
        return FakeScore()

    monkeypatch.setattr("minicnn.testing.mutation.mutate", fake)
    path = tmp_path / "m.json"
    argv = ["gradcheck", "--mutate", "--op", "exp", "--most", "4", "--seed", "3", "--fail-under", least]
    assert main([*argv, "--json", str(path)]) == code
    assert (given["ops"], given["seed"], given["most"], given["seeds"]) == (["exp"], 3, 4, [0, 1, 2, 3, 4])
    assert path.read_text() == "{}\n"


@pytest.mark.parametrize(
    "argv", [["--op", "expp"], ["--device", "abacus"], ["a:b", "--mutate"], ["--mutate", "--html", "x.html"],
             ["math:sqrt", "--device", "cpu"], ["--mutate", "--device", "cpu"], ["--list", "--op", "relo"],
             ["--json", "no/such/folder/x.json"]],
)
def test_bad_options_end_with_2(argv: list[str]) -> None:
    assert main(["gradcheck", *argv]) == 2
