"""Every kernel compiles for machines that are not here, and the page that lists them is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from minicnn.backends.cuda import compiling, sources
from minicnn.cli import kernels


@pytest.mark.parametrize("stem", sources.stems())
@pytest.mark.parametrize("real", compiling.REALS)
def test_a_file_compiles_for_every_architecture(stem: str, real: str) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="needs the extra 'kernels'")
    for architecture in compiling.ARCHITECTURES:
        found = compiling.compile_file(stem, real, architecture)
        assert set(found) == set(sources.kernels(stem)), architecture
        assert all(0 < r.registers <= 255 for r in found.values())
    compiling.compile_file(stem, real, compiling.PORTABLE)


def test_what_does_not_compile_is_said_with_the_compilers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="needs the extra 'kernels'")
    (tmp_path / "broken_kernel.cu").write_text('#include "common.cuh"\nKERNEL f(real* y) { y[0] = oops; }\n')
    monkeypatch.setattr(sources, "FOLDERS", [*sources.FOLDERS, tmp_path])
    with pytest.raises(RuntimeError, match=r"broken_kernel\.cu does not compile for float32 on sm_80[^$]*oops"):
        compiling.compile_file("broken_kernel", "float32", "sm_80")


def test_the_options_are_those_that_cupy_compiles_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="needs the extra 'kernels'")
    given: list[bytes] = []
    compiled = nvrtc.nvrtcCompileProgram
    monkeypatch.setattr(nvrtc, "nvrtcCompileProgram", lambda *args: given.extend(args[2]) or compiled(*args))
    unmarked = "real twice(real x) { return x + x; }\nKERNEL f(real* y) { y[0] = twice(y[0]); }\n"
    (tmp_path / "unmarked.cu").write_text('#include "common.cuh"\n' + unmarked)
    monkeypatch.setattr(sources, "FOLDERS", [*sources.FOLDERS, tmp_path])
    assert set(compiling.compile_file("unmarked", "float32", "sm_80")) == {"f"}  # functions are the device's
    assert {b"--std=c++17", b"-ftz=true"} <= set(given)  # subnormals of float32 are zero


def test_the_table_shows_each_architectures_number_where_they_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "version", lambda: "13.0")
    taken = {"sm_75": (28, 0, 16), "sm_80": (28, 0, 0), "sm_90": (30, 0, 0)}
    resources = {a: {"error_function": compiling.Resources(*numbers)} for a, numbers in taken.items()}
    text = compiling.table([compiling.Compiled("elementwise", "float32", resources, ())])
    assert text.splitlines()[-1] == "| elementwise.error_function | 28 / 28 / 30 | 0 | 16 / 0 / 0 |"
    assert compiling.said_version(text) == "13.0"


def test_a_table_that_is_not_what_is_compiled_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    rows = "NVRTC 13.0, sm_75\n| a.f | 10 |\n| a.g | {} |"
    assert kernels._differences(rows.format(20), rows.format(20)) == 0
    assert capsys.readouterr().out == ""
    assert kernels._differences(rows.format(20), rows.format(24)) == 1
    said = capsys.readouterr().out
    assert "-| a.g | 20 |" in said and "+| a.g | 24 |" in said and "| a.f |" not in said
    assert kernels._differences("", rows.format(24)) == 1  # a page without a table
    capsys.readouterr()
    assert kernels._differences(rows.format(20), rows.format(24).replace("13.0", "13.1")) == 0
    assert "not compared with 13.1" in capsys.readouterr().out


def test_the_page_of_the_kernels_lists_every_one() -> None:
    page = (sources.folder() / "README.md").read_text(encoding="utf-8")
    missing = [f"{s}.{k}" for s in sources.stems() for k in sources.kernels(s) if f"| {s}.{k} |" not in page]
    assert not missing, "run `minicnn kernels compile --table`"
