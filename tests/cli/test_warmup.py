"""Warming up runs every case in both dtypes."""

from __future__ import annotations

import pytest

from minicnn.cli.main import main
from minicnn.testing.cases.case import Case


def test_warmup_runs_every_case_in_both_dtypes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = [Case("add", lambda rng: None), Case("mul", lambda rng: None)]  # type: ignore[arg-type, return-value]
    seen = []
    monkeypatch.setattr("minicnn.testing.cases.case.all_cases", lambda: cases)
    monkeypatch.setattr("minicnn.testing.warmup.run_once", lambda case, dtype: seen.append((case.op, dtype)))
    assert main(["warmup"]) == 0
    assert seen == [("add", "float32"), ("add", "float64"), ("mul", "float32"), ("mul", "float64")]
    assert "kernels of 2 cases" in capsys.readouterr().err
