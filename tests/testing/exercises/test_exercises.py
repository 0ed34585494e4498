"""Every exercise: its solution passes, its blank does not, and what students get wrong is failed for its reason."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib
import importlib.util
import io
from typing import Any

import numpy as np
import pytest

from minicnn.testing.exercises import NAMES, exercise, find, grading, sheet
from minicnn.testing.exercises.exercise import Exercise
from minicnn.testing.exercises.grading import evaluate, part_names
from tests.testing.exercises.filled import file, function, solved
from tests.testing.exercises.wrong_answers import WRONG, Wrong


@pytest.fixture
def one_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading, "DRAWS", 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("one_draw")
def test_the_solution_passes_every_part(name: str) -> None:
    found = find(name)
    parts = evaluate(found, function(name, solved(found)), seed=20260 + len(name))
    assert [part.name for part in parts] == part_names(found)
    assert [part for part in parts if part.verdict != "PASS"] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_blank_is_not_started(name: str) -> None:
    parts = evaluate(find(name), function(name, "raise NotImplementedError"), seed=1)
    assert {part.verdict for part in parts} == {"NOT STARTED"}
    assert "raise NotImplementedError" in file(name, "raise NotImplementedError")


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong.exercise}-{wrong.name}".replace(" ", "_"))
@pytest.mark.usefixtures("one_draw")
def test_a_wrong_answer_fails_where_it_is_wrong(wrong: Wrong) -> None:
    found = only(find(wrong.exercise), wrong.part)
    with np.errstate(all="ignore"):
        parts = {part.name: part for part in evaluate(found, function(wrong.exercise, wrong.body), seed=5)}
    part = parts[wrong.part]
    assert part.verdict == "FAIL"
    assert part.sentence
    if wrong.causes:
        assert part.cause in wrong.causes, part


def only(found: Exercise, part: str) -> Exercise:
    """The exercise with the situation of one part alone; the others' only take time."""
    cases = {name: sampler for name, sampler in found.cases.items() if part.endswith(name)}
    edges = {name: sampler for name, sampler in found.edges.items() if part == name}
    return dataclasses.replace(found, cases=cases, edges=edges)


def test_every_gradient_exercise_has_two_wrong_answers() -> None:
    for name in NAMES:
        if find(name).forward:
            assert sum(wrong.exercise == name for wrong in WRONG) >= 2, name


@pytest.mark.parametrize(
    ("name", "position"), [(name, i) for name in NAMES for i in range(len(find(name).mistakes))]
)
def test_a_typical_mistake_is_called_by_its_name(name: str, position: int) -> None:
    mistake = find(name).mistakes[position]
    cut = dataclasses.replace(find(name), cases={}, edges={}) if find(name).forward else find(name)
    cut = dataclasses.replace(cut, edges=find(name).edges)
    sentences = [part.sentence for part in evaluate(cut, mistake.function, seed=3)]
    assert any(sentence.startswith(mistake.sentence) for sentence in sentences), sentences


@pytest.mark.parametrize("name", NAMES)
def test_the_first_look_shows_the_right_result(name: str) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(file(name, solved(find(name))), name, "exec"), namespace)
    assert "yours:" in printed.getvalue() and "right:" in printed.getvalue()
    right = [namespace[key] for key in sorted(namespace) if key.startswith("right")]
    rng = np.random.default_rng([sheet.number(name, "ada"), 0])
    sample = sheet.small(find(name), rng)
    results = find(name).solution(*find(name).arguments(sample, rng), **sample.kwargs)
    for mine, theirs in zip(results if isinstance(results, tuple) else (results,), right, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_needs_numpy_only_and_gives_nothing_away(name: str) -> None:
    text = sheet.write(find(name), "ada")
    imported = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imported] == ["import numpy as np"]
    code = text.split("# ---------------------------------------------------------------- hints")[0]
    lines = [line.strip() for line in solved(find(name)).splitlines()]
    yours = code.split("yours to write")[1]
    assert not any(line in yours for line in lines if len(line) > 12)
    assert all(len(line) <= 120 for line in text.splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_references_within_an_exercise_hold(name: str) -> None:
    found = find(name)
    assert found.name == name
    assert 1 <= found.difficulty <= 5
    assert len(found.hints) >= 3
    assert all(1 <= hint <= len(found.hints) for hint in [*found.reread.values(), *(m.hint for m in found.mistakes)])
    known = {*found.cases, *found.edges, *found.gradients, "modified", *causes()}
    assert set(found.reread) <= known or not causes()
    earlier = NAMES[: NAMES.index(name)]
    assert all(before in earlier for before in found.prerequisites if before in NAMES)
    assert found.forward or found.oracle


def causes() -> set[str]:
    """Identifiers of the published catalogue."""
    if importlib.util.find_spec("minicnn.testing.catalogue") is None:
        return set()
    return set(importlib.import_module("minicnn.testing.catalogue").CAUSES)


@pytest.mark.parametrize("name", ["relu", "softmax", "linear"])
def test_a_gradient_learnt_by_heart_fails(name: str) -> None:
    found = find(name)
    rng = np.random.default_rng([7, 1, 0])  # the very first draw of the grading below
    first = next(iter(found.cases.values()))(rng)
    known = found.arguments(first, rng)
    learnt = found.solution(*known, **first.kwargs)

    def answer(*args: Any, **kwargs: Any) -> Any:
        return learnt

    assert all(part.verdict == "FAIL" for part in evaluate(found, answer, seed=7))


def test_a_gradient_right_at_the_drawn_points_alone_fails(one_draw: None) -> None:
    found, seed = find("sigmoid"), 11
    rng = np.random.default_rng([seed, 1, 0])
    known = found.cases["a matrix"](rng).args[0]

    def answer(gy: Any, x: Any) -> Any:
        return found.solution(gy, known if x.shape == known.shape else x)

    parts = {part.name: part.verdict for part in evaluate(found, answer, seed)}
    assert parts["gradient of x, a matrix"] == "FAIL"


def test_other_seeds_draw_other_inputs_and_the_same_seed_the_same() -> None:
    def seen(seed: int) -> list[Any]:
        calls: list[Any] = []

        def answer(w: Any, g: Any, v: Any, **options: Any) -> Any:
            calls.append(w.copy())
            return find("sgd_momentum").solution(w, g, v, **options)

        evaluate(find("sgd_momentum"), answer, seed)
        return calls

    assert all(np.array_equal(a, b) for a, b in zip(seen(1), seen(1), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(seen(1), seen(2), strict=True))


def test_values_that_are_apart_are() -> None:
    values = np.sort(exercise.apart(np.random.default_rng(0), (4, 5)).ravel())
    assert np.diff(values).min() >= 0.05 - 1e-9
    assert np.abs(values).min() >= 0.02
