"""Every example runs, in a process of its own, and says what it should."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = {
    "backprop_by_hand.py": ["gradient of w1: largest difference"],
    "grade_a_class.py": ["ada      relu      100 %", "grace    relu        0 %  NOT STARTED"],
    "your_own_op.py": ["PASS", "FAIL"],
    "train_digits.py": ["epoch 1: loss"],
}


def test_every_example_has_an_expectation():
    assert {p.name for p in EXAMPLES.glob("*.py")} == set(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_example_runs(name):
    arguments = ["1"] if name == "train_digits.py" else []
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    for text in SAYS[name]:
        assert text in done.stdout
