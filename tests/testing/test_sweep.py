"""The sweep finds wrong ops and forgotten ones, and says the same whatever runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minicnn as mc
from minicnn.backends.cuda import emulator
from minicnn.backends.cuda.emulator import compiler
from minicnn.core.function import Function
from minicnn.core.tensor import Tensor
from minicnn.testing import sweep as module
from minicnn.testing.cases.case import CASES, Case, Sample, all_cases
from minicnn.testing.report import FAIL, INCONCLUSIVE, PASS
from minicnn.testing.sweep import Task, check, sweep


def wrong_double(x: Tensor) -> Tensor:
    return Doubled()(x)  # type: ignore[no-any-return]


class Doubled(Function):
    def forward(self, x: Any) -> Any:
        return x * 2.0

    def backward(self, gy: Tensor) -> Any:
        return gy  # the factor is forgotten


class LayoutDependent(Function):
    def forward(self, x: Any) -> Any:
        return x * (2.0 if x.flags.c_contiguous else 3.0)

    def backward(self, gy: Tensor) -> Any:
        return gy * 2.0  # type: ignore[operator]


def sampler(rng: np.random.Generator) -> Sample:
    return Sample((rng.standard_normal((2, 3)),))


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replace all cases by those given."""

    def put(*cases: Case) -> None:
        all_cases()
        for case in cases:
            monkeypatch.setitem(CASES, case.id, case)
        monkeypatch.setattr(module, "all_cases", lambda: list(cases))

    return put


def test_a_wrong_op_fails_by_name(only: Any) -> None:
    only(Case("doubled", sampler, call=wrong_double))
    report = sweep(ops=["doubled"], seeds=[3], processes=1)
    assert report.verdict == FAIL and not report.ok
    assert [row.facts()["verdict"] for row in report.rows] == [FAIL]
    assert "doubled: FAIL: doubled, seed 3" in str(report)


def test_an_op_that_reads_the_memory_layout_fails(only: Any) -> None:
    only(Case("layout", sampler, call=lambda x: LayoutDependent()(x)))
    report = sweep(ops=["layout"], processes=1)
    assert report.verdict == FAIL
    assert {finding.kind for finding in report.rows[0].report.findings} == {"layout"}


def test_an_op_that_raises_fails_and_names_the_error(only: Any) -> None:
    def broken(x: Tensor) -> Tensor:
        raise KeyError("no such table")

    only(Case("broken", sampler, call=broken))
    report = sweep(ops=["broken"], processes=1)
    assert report.verdict == FAIL
    assert "KeyError" in str(report)


def test_a_constant_op_is_vacuous_unless_its_case_says_why(only: Any) -> None:
    only(Case("none", sampler, call=lambda x: x * 0.0), Case("flat", sampler, call=lambda x: x * 0.0, flat="constant"))
    report = sweep(ops=["none", "flat"], processes=1)
    assert report.verdict == PASS and report.vacuous and not report.ok
    assert [row.case for row in report.rows if not row.fine] == ["none"]


@pytest.fixture
def forgotten() -> Iterator[str]:
    cls = type("Forgotten", (Function,), {"__module__": "minicnn.ops.planted"})
    name = f"{cls.__module__}.{cls.__qualname__}"
    yield name
    del Function.registry[name]


def test_a_function_that_no_case_meets_is_named(forgotten: str, only: Any) -> None:
    only(Case("exp", sampler))
    report = sweep(processes=1)
    assert forgotten in report.uncovered
    assert "minicnn.ops.elementwise.Exp" not in report.uncovered
    assert "minicnn.ops.activations.Tanh" in report.uncovered
    assert report.verdict == FAIL
    assert f"{forgotten}: registered, and met by no case" in str(report)


@pytest.mark.parametrize("order", [1, 2, None])
def test_a_sweep_of_low_order_does_not_miss_what_only_higher_derivatives_meet(order: int | None, only: Any) -> None:
    only(*(one for one in all_cases() if one.op == "roi_pool"))
    missed = {name for name in sweep(order=order, processes=1).uncovered if name.startswith("minicnn.ops.roi.")}
    assert missed == {f"minicnn.ops.roi.RoiAlign{suffix}" for suffix in ("", "Adjoint", "Max")}


def test_a_part_of_the_ops_is_not_blamed_for_the_rest() -> None:
    assert sweep(ops=["exp"], processes=1).uncovered == []


def test_the_same_seeds_give_the_same_report_on_one_process_and_on_two() -> None:
    names = ["exp", "softmax", "eq"]
    first, second = (sweep(ops=names, seeds=[5, 6], processes=n) for n in (1, 2))
    assert first.to_json() == second.to_json()
    assert [row.report.to_json() for row in first.rows] == [row.report.to_json() for row in second.rows]
    assert {row.op for row in first.rows} == set(names)


def test_seeds_draw_other_arguments() -> None:
    a, b = (CASES["conv2d"].sample(seed).args[0] for seed in (0, 1))
    assert a.shape != b.shape or not np.array_equal(a, b)


def test_ops_without_a_gradient_are_checked_for_values_only() -> None:
    report, _, _ = check(Task("argmax/dim", 0))
    assert report and report.comparisons > 0
    assert "values" in report.notes[0]


def test_the_order_is_capped() -> None:
    assert check(Task("tanh", 0, order=1))[0].order == 1
    assert check(Task("tanh", 0))[0].order == CASES["tanh"].order == 3


def test_the_order_that_was_reached_is_told() -> None:
    text = str(sweep(ops=["tanh", "eq"], seeds=[0], order=9, processes=1))
    assert "2 draws of 2 cases of 2 ops: 2 PASS" in text and "seed 0; up to order 3;" in text
    text = str(sweep(ops=["eq"], seeds=[0], processes=1))
    assert "1 draw of 1 case of 1 op: 1 PASS" in text and "up to the declared order" in text


def test_every_record_names_the_command_that_repeats_it() -> None:
    report = sweep(ops=["eq"], seeds=[4, 5], order=1, processes=1)
    assert [made["reproduce"] for made in report.records] == [
        f"minicnn gradcheck --op eq --seed {seed} --order 1" for seed in (4, 5)
    ]


def test_a_spent_budget_leaves_the_rest_open() -> None:
    report = sweep(ops=["exp", "log"], seeds=range(3), budget_s=0.0, processes=1)
    assert report.verdict == INCONCLUSIVE and report.unrun == 6 - len(report.rows)
    assert "time budget" in str(report)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"ops": ["expp"]}, "did you mean 'exp'"), ({"order": 0}, "order"), ({"device": "abacus"}, "abacus"),
     ({"processes": 0, "ops": ["exp"]}, "processes")],
)
def test_bad_arguments_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sweep(**wrong)


def test_the_json_counts_and_names() -> None:
    facts = json.loads(sweep(ops=["exp", "eq"], seeds=[1], processes=1).to_json())
    assert facts["verdicts"] == {"PASS": 2} and facts["draws_per_op"] == {"eq": 1, "exp": 1}
    assert [row["case"] for row in facts["rows"]] == ["eq", "exp"]


@pytest.mark.skipif(compiler() is None, reason="needs a C++20 compiler")
def test_a_sweep_on_a_device_computes_there():
    launches = []
    emulator.LISTENERS.append(lambda *launch: launches.append(launch))
    try:
        report = sweep(ops=["max_pool2d/default_stride"], device="cuda-emulated", processes=1)
    finally:
        emulator.LISTENERS.pop()
    assert report.ok
    assert launches


def test_a_sweep_on_a_device_that_is_not_there_says_what_is_missing():
    if mc.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(mc.DeviceUnavailableError, match="cuda: "):
        sweep(ops=["relu"], device="cuda")
