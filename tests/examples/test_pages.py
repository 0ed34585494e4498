"""The programs that README and the checker's pages print run as they stand, and say what is written beside them."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from minicnn.cli.main import main

ROOT = Path(__file__).parents[2]


def block(page: str, start: str) -> str:
    """The one Python block of a page with these words."""
    (found,) = (text for text in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
                if start in text)
    return found


def test_the_wrong_gradient_in_the_readme_is_found_and_named():
    code = block("README.md", "def linear_backward")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert f"# {printed.getvalue()}" in code


@pytest.mark.parametrize(
    ("page", "name"), [("standalone", "checks.py:softmax"), ("sweep", "checks.py:softplus")]
)
def test_the_file_of_checks_passes(page, name, tmp_path, monkeypatch, capsys):
    (tmp_path / "checks.py").write_text(block(f"docs/gradient-checking/{page}.md", "# checks.py"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["gradcheck", name]) == 0
    assert f"{name}: PASS" in capsys.readouterr().out
