"""What the emulated device costs CI is added up from pytest's reports, and told apart from what is promised."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "emulation_time.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="a checkout is needed")


def report(path: Path, wall: float, **tests: float) -> str:
    """A report of pytest: the names have a dot as a double underscore, the last part is the test."""
    cases = ""
    for name, seconds in tests.items():
        module, _, test = name.replace("__", ".").rpartition(".")
        cases += f'<testcase classname="{module}" name="{test}" time="{seconds}"/>'
    cases += '<testcase classname="tests.backends.cuda.test_gpu" name="d" time="0.0"><skipped/></testcase>'
    path.write_text(f'<testsuites><testsuite time="{wall}">{cases}</testsuite></testsuites>')
    return str(path)


def reports(folder: Path, slow: float) -> list[str]:
    default = report(
        folder / "tests.xml", 100, tests__backends__cuda__test_pooling__a=60, tests__ops__test_shape__b=140
    )
    second = report(folder / "slow.xml", slow, tests__cli__test_gpu_lenet__c=20, tests__recipes__test_digits__d=20)
    return [default, second]


@pytest.mark.parametrize(("sanitizers", "above"), [(340, False), (341, True)])
def test_both_runs_and_the_sanitizers_are_counted_in_wall_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sanitizers: float, above: bool
) -> None:
    script = runpy.run_path(str(SCRIPT))
    script["main"](sanitizers, *reports(tmp_path, 100))
    told = capsys.readouterr().out
    assert f"{sanitizers + 80} s  of this, emulation (2 tests, 80 s, on one core 80 s)" in told
    assert ("ABOVE the 420 s" in told) is above


@pytest.mark.parametrize(
    ("module", "name", "is_one"),
    [
        ("tests.backends.cuda.test_emulator", "test_x", True),
        ("tests.cli.test_bench", "test_x[cuda-emulated]", True),
        ("tests.cli.test_gpu_report", "test_x", True),
        ("tests.backends.cpu.test_pooling", "test_x", False),
        ("tests.cli.test_bench", "test_x[cpu]", False),
    ],
)
def test_which_tests_are_emulated(module: str, name: str, is_one: bool) -> None:
    emulated: Any = runpy.run_path(str(SCRIPT))["emulated"]
    assert emulated(module, name) is is_one
