"""What a mutation run reports, and what it refuses to report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from minicnn.testing.cases.case import CASES, Case, Sample
from minicnn.testing.mutation import equivalents, mutate, runner
from minicnn.testing.mutation.mutant import Mutant
from minicnn.testing.mutation.runner import Trial, judge
from minicnn.testing.mutation.score import EQUIVALENT, KILLED, SURVIVED, Fate, MutationReport

EXP = "minicnn.ops.elementwise.Exp"
DOUBLED = Mutant(EXP, "doubled", "gradient 0")


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put another text in the place of the list of equivalent mutants."""

    def put(text: str) -> None:
        path = tmp_path / "equivalents.toml"
        path.write_text(text, encoding="utf-8")
        read = equivalents.read
        monkeypatch.setattr(equivalents, "read", lambda: read(path))

    return put


def entry(line: str, reason: str = "because", rule: str = "doubled") -> str:
    return f'[[equivalent]]\nfunctions = ["{EXP}"]\nrules = ["{rule}"]\nlines = ["{line}"]\nreason = "{reason}"\n'


def test_the_suite_kills_what_is_planted_in_exp() -> None:
    report = mutate(ops=["exp"], seeds=[0], most=6, processes=1)
    assert (report.count(KILLED), report.count(SURVIVED), report.score) == (6, 0, 1.0)
    assert all(fate.by is not None and fate.verdict == "FAIL" for fate in report.fates)


def test_the_seed_chooses_the_same_mutants_again() -> None:
    first, again, other = (mutate(ops=["exp"], seeds=[0], most=3, seed=s, processes=1) for s in (1, 1, 2))
    assert first.to_json() == again.to_json()
    assert [f.mutant for f in first.fates] != [f.mutant for f in other.fates]
    assert json.loads(first.to_json())["seed"] == 1


def test_a_survivor_is_listed_with_an_input_that_exposes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept values of sigmoid's gradient treated as constants show at order 3 only, to which no such case goes here."""
    grad = "minicnn.ops.activations.SigmoidGrad"
    case = Case("shallow", lambda rng: Sample((rng.standard_normal((2, 2)),)), call=CASES["sigmoid"].function)
    monkeypatch.setitem(CASES, "shallow", case)
    fate = judge(Trial(Mutant(grad, "detached", "gradient 0"), (("shallow", 0),)))
    assert fate.outcome == SURVIVED
    assert "would be exposed by shallow at seed 0 and order 3" in fate.explanation


def test_a_survivor_that_changes_nothing_is_not_dropped() -> None:
    source = "def backward(self, gy):\n    (y,) = self.kept_outputs()\n    return y * gy"
    same = Mutant(EXP, "rule", "line", source=source)
    fate = judge(Trial(same, (("exp", 0),)))
    assert fate.outcome == SURVIVED and "no exposing input found" in fate.explanation


def test_equivalents_count_apart() -> None:
    fates = [Fate(DOUBLED, KILLED), Fate(DOUBLED, EQUIVALENT, explanation="why"), Fate(DOUBLED, SURVIVED)]
    report = MutationReport(0, [0], fates=fates)
    assert report.score == 0.5
    assert report.functions == {EXP: {"planted": 3, "killed": 1, "equivalent": 1, "survived": 1}}
    assert [f["outcome"] for f in json.loads(report.to_json())["not_killed"]] == ["equivalent", "survived"]


def test_a_stale_entry_is_an_error(listed: Callable[[str], None]) -> None:
    listed(entry("no such line", rule="operator"))
    with pytest.raises(ValueError, match="no such mutant"):
        mutate(ops=["exp"], seeds=[0], processes=1)


def test_a_wrong_claim_of_equivalence_is_a_problem(listed: Callable[[str], None]) -> None:
    listed(entry("gradient 0"))
    report = mutate(ops=["exp"], seeds=[0], processes=1)
    assert report.count(EQUIVALENT) == 0
    assert len(report.problems) == 1 and "listed as equivalent, but" in report.problems[0]
    assert report.problems[0] in str(report)


@pytest.mark.parametrize(
    ("text", "message"), [(entry("x", reason=" "), "needs a written reason"), (entry("x") * 2, "listed twice")]
)
def test_entries_have_one_reason_each(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "equivalents.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        equivalents.read(path)


def test_a_check_that_fails_without_a_mutant_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = Case("flat", lambda rng: Sample((rng.standard_normal(3),)), call=lambda x: x * 0.0)
    monkeypatch.setitem(CASES, "flat", flat)
    found = runner._guilty([("exp", 0), ("flat", 0)], 1)
    assert found == ["flat at seed 0 does not pass without any mutant"]


def test_unknown_functions_are_refused() -> None:
    with pytest.raises(ValueError, match="did you mean"):
        mutate(ops=["MaxPool2"])


def test_no_case_names_a_mutant() -> None:
    folder = Path(runner.__file__).parents[1] / "cases"
    assert not [path.name for path in folder.glob("*.py") if "mutant" in path.read_text(encoding="utf-8").lower()]
