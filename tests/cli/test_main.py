"""The command's exit codes and its one-line errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import minicnn
from minicnn.cli import doctor
from minicnn.cli.main import main

Recipes = dict[str, Any]


class FakeReport:
    def table(self) -> str:
        return "accuracy 99 %"


class FakeRecipe:
    title = "A fake"
    summary = "what it shows"

    def __init__(self, action: Callable[[Any], Any]) -> None:
        self.action = action
        self.options: Any = None

    def run(self, options: Any) -> FakeReport:
        self.options = options
        self.action(options)
        return FakeReport()


def raising(error: BaseException) -> Callable[[Any], Any]:
    def action(_: Any) -> None:
        raise error

    return action


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> Recipes:
    found: Recipes = {"lenet5": FakeRecipe(lambda options: None)}
    monkeypatch.setattr("minicnn.recipes.RECIPES", found)
    return found


def test_list_shows_every_recipe_on_a_line(recipes: Recipes, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "lenet5  A fake: what it shows" in capsys.readouterr().out


def test_run_passes_the_options_and_prints_the_report(recipes: Recipes, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "lenet5", "--seed", "3", "--epochs", "2", "--out", "here", "--resume"]) == 0
    options = recipes["lenet5"].options
    assert (options.preset, options.device, options.seed, options.epochs) == ("tiny", "cpu", 3, 2)
    assert options.out == Path("here")
    assert options.resume is True
    assert capsys.readouterr().out == "accuracy 99 %\n  report, pictures and checkpoints are in here\n"


def test_reports_go_to_a_folder_named_after_the_recipe(recipes: Recipes) -> None:
    main(["run", "lenet5"])
    assert recipes["lenet5"].options.out == Path("runs/lenet5")


def test_a_misspelt_name_is_answered_with_the_right_one(recipes: Recipes, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "lnet5"]) == 2
    assert "did you mean 'lenet5'" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("labels out of range"), FileNotFoundError("no such folder: x")])
def test_bad_input_is_one_line_without_a_traceback(
    error: Exception, recipes: Recipes, capsys: pytest.CaptureFixture[str]
) -> None:
    recipes["bad"] = FakeRecipe(raising(error))
    assert main(["run", "bad"]) == 2
    assert capsys.readouterr().err == f"minicnn: {error}\n"


def test_debug_keeps_the_traceback(recipes: Recipes) -> None:
    recipes["bad"] = FakeRecipe(raising(ValueError("labels")))
    with pytest.raises(ValueError, match="labels"):
        main(["--debug", "run", "bad"])


def test_ctrl_c_ends_with_130(recipes: Recipes, capsys: pytest.CaptureFixture[str]) -> None:
    recipes["long"] = FakeRecipe(raising(KeyboardInterrupt()))
    assert main(["run", "long"]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [[], ["nothing"], ["run"], ["run", "x", "--seed", "-1"], ["run", "x", "--epochs", "0"],
             ["run", "x", "--epochs", "many"], ["run", "x", "--preset", "huge"]],
)
def test_a_wrong_command_line_ends_with_2_and_shows_the_usage(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert "usage: minicnn" in capsys.readouterr().err


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"minicnn {minicnn.__version__}\n"


def test_doctor_names_cores_blas_numba_and_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split("  ")[0] for line in lines]
    for wanted in ("cores", "BLAS", "numba threads", "GPU", "numpy"):
        assert wanted in names


def test_doctor_says_why_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert doctor.gpu().startswith("CuPy is not installed")
    assert "pip install 'cupy-cuda12x[ctk]>=14'" in doctor.gpu()


def test_the_parser_loads_neither_numba_nor_pictures() -> None:
    code = "import sys, minicnn.cli.main as m; m.build_parser(); print(sorted({'numba', 'matplotlib', 'rich', 'torch'}"
    code += " & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
