"""The rules change a backward's source as they say, and leave alone what is no fault to change."""

from __future__ import annotations

import textwrap

import pytest

from minicnn.testing.mutation.rules import edits

HEAD = "def backward(self, gy):\n    x, w = self.kept_inputs()\n"


def lines(body: str, rule: str) -> list[str]:
    """What the rule makes of the lines of a backward that has ``x`` and ``w``."""
    source = HEAD + textwrap.indent(textwrap.dedent(body), "    ")
    return [edit.line for edit in edits(source) if edit.rule == rule]


@pytest.mark.parametrize(
    ("body", "rule", "wanted"),
    [
        ("return gy * x - w", "operator", {"return gy * x + w"}),
        ("return gy * x - w", "term dropped", {"return gy * x", "return -w"}),
        ("return gy + x", "term doubled", {"return gy + x + x", "return gy + (gy + x)"}),
        ("return gy * x", "factor dropped", {"return gy", "return x"}),
        ("return gy * x", "factor repeated", {"return gy * x * x", "return gy * (gy * x)"}),
        ("return gy / x", "operator", {"return gy * x"}),
        ("return -gy * x", "sign", {"return gy * x"}),
        ("return gy * 3.0", "constant", {"return gy * 6.0", "return gy * 4.0"}),
        ("return sum(gy, 1)", "constant", {"return sum(gy, 2)", "return sum(gy, 0)"}),
        ("return sum(gy, 1)", "call dropped", {"return gy"}),
        ("return sum(gy, 1)", "related function", {"return gy.mean(1)"}),
        ("return sum(gy, 1, keepdim=True)", "argument dropped", {"return sum(gy, 1)", "return sum(gy, keepdim=True)"}),
        ("return fit(gy * x, x.shape)", "call dropped", {"return gy * x"}),
        ("return transpose(gy, 0, 1)", "call dropped", {"return gy"}),
        ("return Matmul()(gy, w)", "arguments swapped", {"return Matmul()(w, gy)"}),
        ("return Matmul()(gy, w)", "transposed",
         {"return Matmul()(gy.transpose(-1, -2), w)", "return Matmul()(gy, w.transpose(-1, -2))"}),
        ("return where(x > 0, gy, 0.0)", "comparison", {"return where(x < 0, gy, 0.0)"}),
        ("return where(x > 0, gy, 0.0)", "arguments swapped", {"return where(x > 0, 0.0, gy)"}),
        ("return Grad(self.p, self.q)(gy, x)", "arguments swapped",
         {"return Grad(self.q, self.p)(gy, x)", "return Grad(self.p, self.q)(x, gy)"}),
        ("if self.low:\n    gy = gy * x\nreturn gy", "statement dropped", {"pass for gy = gy * x"}),
        ("if self.low:\n    gy = gy * x\nreturn gy", "branch",
         {"if True: for if self.low:", "if False: for if self.low:"}),
        ("g = gy * x\nreturn g", "sign", {"g = -(gy * x)"}),
        ("return gy * x", "kept values swapped", {"w, x = self.kept_inputs()"}),
    ],
)
def test_a_rule_makes_the_source_it_promises(body: str, rule: str, wanted: set[str]) -> None:
    assert set(lines(body, rule)) == wanted


def test_a_kept_value_is_detached_with_its_history_cut() -> None:
    found = [edit.source for edit in edits(HEAD + "    return gy * x * w") if edit.rule == "detached"]
    assert len(found) == 2
    assert "x = x.detach()" in found[0] and "w = w.detach()" in found[1]


def test_a_list_of_kept_values_is_detached_one_by_one() -> None:
    source = "def backward(self, gy):\n    x, *rest = self.kept_inputs()\n    return gy * x"
    assert any("rest = [t.detach() for t in rest]" in edit.source for edit in edits(source))


def test_a_gradient_that_nobody_wants_is_no_fault() -> None:
    source = HEAD + "    return gy if self.needs(0) else None"
    assert {edit.rule for edit in edits(source)} <= {"kept values swapped", "detached"}


def test_what_is_no_tensor_is_not_calculated_with() -> None:
    assert lines("n = x.shape[0] + 1\nreturn reshape(gy, (n,))", "operator") == []


def test_no_two_changes_give_one_source_and_each_has_its_own_line() -> None:
    found = edits(HEAD + "    return gy * x + gy * x")
    assert len({edit.source for edit in found}) == len(found)
    assert len({(edit.rule, edit.line) for edit in found}) == len(found)


def test_docstring_and_annotations_do_not_matter() -> None:
    plain = "def backward(self, gy):\n    return gy * 2.0"
    dressed = 'def backward(self, gy: Tensor) -> Tensor:\n    """Twice."""\n    return gy * 2.0'
    assert [edit.source for edit in edits(plain)] == [edit.source for edit in edits(dressed)]
