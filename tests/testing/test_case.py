"""The registry of cases, and what they promise."""

from __future__ import annotations

import numpy as np
import pytest

import minicnn as mc
from minicnn.testing.cases import case as cases
from minicnn.testing.cases.case import Case, Sample, all_cases, case
from minicnn.testing.warmup import run_once


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Case]:
    empty: dict[str, Case] = {}
    monkeypatch.setattr(cases, "CASES", empty)
    return empty


def draw(rng: np.random.Generator) -> Sample:
    return Sample((rng.standard_normal(3), rng.standard_normal(3)))


def test_the_decorator_registers_and_returns_the_sampler(registry: dict[str, Case]) -> None:
    assert case("mul", variant="plain", order=3)(draw) is draw
    assert registry["mul/plain"].order == 3
    assert registry["mul/plain"].function is mc.ops.mul


def test_two_cases_of_one_name_are_refused(registry: dict[str, Case]) -> None:
    case("mul")(draw)
    with pytest.raises(ValueError, match="'mul' is registered twice"):
        case("mul")(draw)


def test_a_seed_gives_the_same_draw_and_another_seed_another() -> None:
    one = Case("mul", draw)
    np.testing.assert_array_equal(one.sample(5).args[0], one.sample(5).args[0])
    assert not np.array_equal(one.sample(5).args[0], one.sample(6).args[0])


def test_torch_functions_are_found_by_their_dotted_name() -> None:
    assert Case("sqrt", draw, torch="math.sqrt").torch_function(9.0) == 3.0  # type: ignore[misc]
    assert Case("sqrt", draw).torch_function is None


def test_every_case_names_a_public_function_and_draws_little() -> None:
    for one in all_cases():
        assert callable(one.function), one.id
        sample = one.sample(0)
        total = sum(v.size for v in (*sample.args, *sample.kwargs.values()) if isinstance(v, np.ndarray))
        assert total < 3000, f"{one.id} draws {total} numbers"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_warming_up_runs_forward_and_both_derivatives(dtype: str) -> None:
    seen = []

    def f(x: mc.Tensor, y: mc.Tensor) -> mc.Tensor:
        assert x.requires_grad
        seen.append(x.dtype)
        return x * y

    run_once(Case("mul", draw, call=f), dtype)
    assert seen == [np.dtype(dtype)]


def test_warming_up_keeps_arguments_without_axes() -> None:
    shapes = []
    sampler = lambda rng: Sample((rng.standard_normal(3), np.array(2)))  # noqa: E731
    run_once(Case("mul", sampler, call=lambda x, n: shapes.append(n.shape)), "float32")
    assert shapes == [()]


@pytest.mark.parametrize("op", ["max/two", "min/two", "maximum", "minimum"])
def test_of_two_arrays_each_wins_somewhere_whatever_is_drawn(op: str) -> None:
    sampled = next(case for case in all_cases() if case.id == op)
    for seed in range(5000):
        a, b = np.broadcast_arrays(*sampled.sample(seed).args)
        assert (a > b).any() and (b > a).any(), f"seed {seed}"
