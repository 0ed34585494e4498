"""The checker judges hand-written rules rightly: those it was built with, and those it was not."""

from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from minicnn.testing.gradcheck import gradcheck
from tests.testing.held_out.evaluate import FATAL, RESULT, WISHES, judge, totals
from tests.testing.held_out.pairs import ALL as HELD_OUT
from tests.testing.pairs import all_pairs

PAIRS = all_pairs()
FURTHER = (101,)


@pytest.fixture
def undiagnosed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts without causes, which take most of the time and do not change them."""
    monkeypatch.setattr(importlib.import_module("minicnn.testing.gradcheck"), "_diagnose", lambda *_: None)


def report_on(pair, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gradcheck(
            pair.f, pair.inputs(np.random.default_rng(seed)), backward=pair.backward, kwargs=dict(pair.kwargs),
            seed=seed, name=pair.name,
        )


def drawn(pairs, slow=()):
    """Every pair at one seed, and at more in the slow suite, which has some kinds to itself."""
    return [
        pytest.param(p, seed, id=f"{p.name}-{seed}", marks=[pytest.mark.slow] if seed or p.kind in slow else [])
        for p in pairs for seed in (0, *FURTHER)
    ]


@pytest.mark.usefixtures("undiagnosed")
@pytest.mark.parametrize(("pair", "seed"), drawn(PAIRS))
def test_verdicts(pair, seed):
    report = report_on(pair, seed)
    assert report.verdict in pair.expected, str(report)
    if pair.kind == "vacuous":
        assert report.vacuous and not report, str(report)
    elif report.verdict == "PASS":
        assert report, str(report)


@pytest.mark.usefixtures("undiagnosed")
@pytest.mark.parametrize(("pair", "seed"), drawn(HELD_OUT, slow=("wrong",)))
def test_verdicts_on_held_out_pairs(pair, seed):
    said = judge(pair, seed)
    assert not said.troubles, said


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", FURTHER)
def test_causes_are_named(seed):
    wrong = [p for p in PAIRS if p.kind == "wrong"]
    missed = [p.name for p in wrong if not set(p.causes) & set(report_on(p, seed).causes)]
    assert len(missed) <= 0.2 * len(wrong), missed


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", FURTHER)
def test_causes_are_named_on_held_out_pairs(seed):
    found = totals([judge(p, seed) for p in HELD_OUT if p.kind == "wrong"])
    assert found["causes_named"] >= 0.8


def test_the_stored_result_is_of_these_pairs_and_good_enough():
    stored = json.loads(Path(RESULT).read_text(encoding="utf-8"))
    assert {j["pair"] for j in stored["judged"]} == {p.name for p in HELD_OUT}
    assert not any(stored["troubles"][t] for t in (*FATAL, *WISHES))
    assert stored["causes_named_first"] >= 0.8
