"""Mutants are planted in memory, do what they say, and leave no trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minicnn as mc
from minicnn.core.function import Function
from minicnn.testing.mutation.faults import SPOILT, faults
from minicnn.testing.mutation.meeting import Met, meet
from minicnn.testing.mutation.mutant import Mutant, mutants_of, planted

EXP = "minicnn.ops.elementwise.Exp"


def slope(f: Any, *values: float) -> list[float]:
    x = mc.tensor(np.array(values), requires_grad=True)
    (g,) = mc.grad(f(x).sum(), [x])
    found: list[float] = g.tolist()
    return found


def every(name: str, *cases: str) -> Iterator[Mutant]:
    met = Met()
    for case in cases:
        met.merge(meet((case, 0))[0].get(name, Met()))
    yield from mutants_of(name, met)


def test_a_fault_is_there_inside_the_block_and_gone_after_it() -> None:
    cls = Function.registry[EXP]
    before = dict(vars(cls))
    with planted(Mutant(EXP, "doubled", "gradient 0")):
        assert slope(mc.ops.exp, 0.0) == [2.0]
    assert slope(mc.ops.exp, 0.0) == [1.0]
    assert dict(vars(cls)) == before


def test_an_error_inside_the_block_restores_too() -> None:
    before = vars(Function.registry[EXP])["backward"]
    with pytest.raises(KeyError), planted(Mutant(EXP, "zero", "gradient 0")):
        raise KeyError
    assert vars(Function.registry[EXP])["backward"] is before


def test_an_inherited_backward_is_replaced_for_one_op_only() -> None:
    maximum = "minicnn.ops.arithmetic.Maximum"
    with planted(Mutant(maximum, "zero", "gradient 0")):
        assert slope(lambda x: mc.ops.maximum(x, mc.tensor(0.0)), 1.0) == [0.0]
        assert slope(lambda x: mc.ops.minimum(x, mc.tensor(5.0)), 1.0) == [1.0]
    assert "backward" not in vars(Function.registry[maximum])


def test_a_changed_source_runs_in_the_ops_module() -> None:
    source = "def backward(self, gy):\n    (y,) = self.kept_outputs()\n    return gy + y"
    with planted(Mutant(EXP, "operator", "return gy + y", source=source)):
        assert slope(mc.ops.exp, 0.0) == [2.0]


def test_super_still_finds_its_class() -> None:
    rows = "minicnn.ops.indexing.EmbeddingRows"
    line = "return super().backward(where(learnt, gy, 1.0))"
    other = next(m for m in every(rows, "embedding/padding") if m.line == line)
    weight = mc.tensor(np.ones((3, 2)), requires_grad=True)
    with planted(other):
        mc.ops.embedding(mc.tensor(np.array([0, 1])), weight, padding_idx=0).sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]


def test_a_helper_of_the_module_is_changed_for_this_backward_only() -> None:
    scale = "minicnn.ops.normalization.ScaleShift"
    helpers = [m for m in every(scale, "batch_norm/inference") if m.where == "_rows"]
    assert helpers
    module = vars(__import__("minicnn.ops.normalization", fromlist=["x"]))
    before = module["_rows"]
    with planted(helpers[0]):
        assert module["_rows"] is before


def test_a_method_that_only_backward_calls_is_changed_on_the_class() -> None:
    found = [m for m in every("minicnn.ops.arithmetic.Maximum", "maximum") if m.where == "losing"]
    assert [m.line for m in found] == ["return a > b"]
    with planted(found[0]):
        assert slope(lambda x: mc.ops.maximum(x, mc.tensor(0.0)), 1.0) == [0.0]
    assert slope(lambda x: mc.ops.maximum(x, mc.tensor(0.0)), 1.0) == [1.0]


@pytest.mark.parametrize("rule", [rule for rule in SPOILT if rule not in {"missing", "detached", "rounded to float32"}])
def test_every_named_bug_class_changes_the_gradient_it_applies_to(rule: str) -> None:
    x = np.arange(1.0, 10.0).reshape(3, 3)
    upstream = mc.tensor(np.arange(2.0, 11.0).reshape(3, 3) ** 2)

    def gradient() -> np.ndarray:
        leaf = mc.tensor(x, requires_grad=True)
        (g,) = mc.grad(mc.ops.sin(leaf), [leaf], [upstream])
        return np.asarray(g.numpy())

    right = gradient()
    with planted(Mutant("minicnn.ops.elementwise.Sin", rule, "gradient 0")):
        wrong = gradient()
    assert wrong.shape == right.shape and not np.array_equal(wrong, right)


def test_bug_classes_need_something_to_spoil() -> None:
    rules = {rule for rule, _ in faults({0: {(1, 1)}}, set())}
    assert {"sign flipped", "missing", "upstream ignored"} <= rules
    assert not rules & {"rolled by one", "equal axes exchanged", "divided by the batch", "border dropped"}
    assert ("swapped", 1) in faults({0: {(2,)}, 1: {(2,)}}, {(0, 1)})


def test_float_ops_have_at_least_eight_mutants_with_keys_of_their_own() -> None:
    for name, case in {EXP: "exp", "minicnn.ops.arithmetic.Neg": "neg", "minicnn.ops.linear.Linear": "linear"}.items():
        found = list(every(name, case))
        assert len(found) >= 8
        assert len({m.key for m in found}) == len(found)
