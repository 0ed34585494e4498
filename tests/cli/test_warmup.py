"""Warming up runs every case in both dtypes, says how far it is, and leaves a mark."""

from __future__ import annotations

from pathlib import Path

import pytest

from minicnn.cli.main import main
from minicnn.testing import warmup
from minicnn.testing.cases.case import Case, Sample, all_cases


@pytest.fixture
def two_cases(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str]]:
    cases = [Case("add", lambda rng: Sample(())), Case("mul", lambda rng: Sample(()))]
    seen: list[tuple[str, str]] = []
    monkeypatch.setattr(warmup, "all_cases", lambda: cases)
    monkeypatch.setattr(warmup, "run_once", lambda case, dtype: seen.append((case.op, dtype)))
    monkeypatch.setattr(warmup, "_mark", lambda: tmp_path / "warm")
    monkeypatch.setattr("minicnn.get_num_threads", lambda: 1)
    return seen


def test_warmup_runs_every_case_in_both_dtypes(
    two_cases: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert not warmup.is_warm()
    assert main(["warmup"]) == 0
    assert two_cases == [("add", "float32"), ("add", "float64"), ("mul", "float32"), ("mul", "float64")]
    assert "all kernels are ready" in capsys.readouterr().err
    assert warmup.is_warm()


def test_every_case_belongs_to_a_module_of_cases() -> None:
    for case in all_cases():
        assert (Path(warmup.__file__).parent / "cases" / f"{warmup.stem_of(case)}.py").is_file(), case.id
