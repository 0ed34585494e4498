"""The checker rejects wrong rules of first and second order, accepts right ones, and says when it proves nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minicnn as mc
from minicnn.core.tensor import Tensor
from minicnn.testing.gradcheck import gradcheck
from minicnn.testing.report import GradientError

ops = mc.ops


def matrix(seed: int = 0, shape: tuple[int, ...] = (4, 3)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


# -- right rules ----------------------------------------------------------------------------------------------------


class Cube(mc.Function):
    def forward(self, x: Any) -> Any:
        self.keep_inputs(0)
        return x * x * x

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        return gy * 3.0 * x * x


class Kinked(mc.Function):
    """max(x, 0)."""

    def forward(self, x: Any) -> Any:
        self.positive = x > 0
        return np.where(self.positive, x, 0.0)

    def backward(self, gy: Tensor) -> Tensor:
        return gy * Tensor(self.positive.astype(float))


def standardise(x: Tensor) -> Tensor:
    centred = x - x.mean(0, keepdim=True)
    return centred / ((centred * centred).mean(0, keepdim=True) + 1e-5).sqrt()


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(
    "f", [lambda x: Cube()(x), lambda x: x * x, standardise, lambda x: Kinked()(x), lambda x: (x.exp(), x.sum(0))],
    ids=["cube", "square", "standardise", "kink", "two outputs"],
)
def test_right_rules_pass(f: Any, order: int) -> None:
    report = gradcheck(f, [matrix()], order=order)
    assert report, str(report)
    assert report.verdict == "PASS" and not report.vacuous


def test_large_inputs_are_checked_along_directions() -> None:
    report = gradcheck(lambda x: Cube()(x), [matrix(shape=(20, 20))])
    assert report and report.comparisons < 400


# -- wrong rules of first order -------------------------------------------------------------------------------------


class Wrong(mc.Function):
    """x**3 with a backward that is given from outside."""

    def __init__(self, rule: Any) -> None:
        self.rule = rule

    def forward(self, x: Any) -> Any:
        self.keep_inputs(0)
        return x * x * x

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.kept_inputs()
        return self.rule(gy, x)


WRONG_RULES = {
    "missing factor": lambda gy, x: gy * x * x,
    "wrong sign": lambda gy, x: gy * -3.0 * x * x,
    "a millionth too large": lambda gy, x: gy * (3.0 * (1 + 1e-5)) * x * x,
    "cotangent ignored": lambda gy, x: 3.0 * x * x,
    "cotangent summed": lambda gy, x: gy.sum() * 3.0 * x * x,
    "first row lost": lambda gy, x: gy * 3.0 * x * x * Tensor((np.arange(4) > 0).astype(float)[:, None]),
    "nothing": lambda gy, x: None,
}


@pytest.mark.parametrize("fault", WRONG_RULES)
def test_wrong_first_order_rules_fail(fault: str) -> None:
    report = gradcheck(lambda x: Wrong(WRONG_RULES[fault])(x), [matrix()])
    assert report.verdict == "FAIL", str(report)
    with pytest.raises(GradientError, match="mismatch"):
        report.require()


class Standardise(mc.Function):
    """(x - mean) / std with the statistics treated as constants, as a forgetful author would."""

    def forward(self, x: Any) -> Any:
        self.inverse = 1 / np.sqrt(x.var(0) + 1e-5)
        return (x - x.mean(0)) * self.inverse

    def backward(self, gy: Tensor) -> Tensor:
        return gy * Tensor(self.inverse)


def test_a_statistic_treated_as_constant_fails() -> None:
    assert gradcheck(lambda x: Standardise()(x), [matrix()]).verdict == "FAIL"


class AddRow(mc.Function):
    """x + row, whose row gradient keeps only the first row of the cotangent instead of their sum."""

    def forward(self, x: Any, row: Any) -> Any:
        return x + row

    def backward(self, gy: Tensor) -> Any:
        return gy, gy[0]


def test_a_lost_broadcast_sum_fails_for_that_input_only() -> None:
    report = gradcheck(lambda x, r: AddRow()(x, r), [matrix(), matrix(1, (3,))])
    assert report.verdict == "FAIL"
    assert all(finding.where.startswith("input 1") for finding in report.findings)


class OneBorderElement(mc.Function):
    """A copy whose last element gets no gradient."""

    def forward(self, x: Any) -> Any:
        return x.copy()

    def backward(self, gy: Tensor) -> Any:
        keep = np.ones(gy.shape)
        keep.flat[-1] = 0
        return gy * Tensor(keep)


@pytest.mark.parametrize("shape", [(4, 3), (30, 30)])
def test_a_single_wrong_element_fails(shape: tuple[int, ...]) -> None:
    assert gradcheck(lambda x: OneBorderElement()(x), [matrix(shape=shape)]).verdict == "FAIL"


# -- wrong rules of second order ------------------------------------------------------------------------------------


class FrozenCube(mc.Function):
    """x**3 whose first gradient is right, but holds the slope as a raw array: the engine takes it for a constant."""

    def forward(self, x: Any) -> Any:
        self.slope = 3 * x * x
        return x * x * x

    def backward(self, gy: Tensor) -> Tensor:
        return gy * Tensor(self.slope)


class FrozenStandardise(mc.Function):
    """Batch normalisation with a right first gradient and the inverse deviation kept as a raw array."""

    def forward(self, x: Any) -> Any:
        self.inverse = 1 / np.sqrt(x.var(0) + 1e-5)
        self.keep_outputs(0)
        return (x - x.mean(0)) * self.inverse

    def backward(self, gy: Tensor) -> Tensor:
        (y,) = self.kept_outputs()
        centred = gy - gy.mean(0, keepdim=True)
        return (centred - y * (gy * y).mean(0, keepdim=True)) * Tensor(self.inverse)


class ProductGradient(mc.Function):
    """gy * b, whose own gradient with respect to b is forgotten."""

    def forward(self, gy: Any, b: Any) -> Any:
        self.keep_inputs(1)
        return gy * b

    def backward(self, ggy: Tensor) -> Any:
        (b,) = self.kept_inputs()
        return ggy * b, None


class Product(mc.Function):
    def forward(self, a: Any, b: Any) -> Any:
        self.keep_inputs(0, 1)
        return a * b

    def backward(self, gy: Tensor) -> Any:
        a, b = self.kept_inputs()
        return ProductGradient()(gy, b), gy * a


SECOND = {
    "slope frozen": (lambda x: FrozenCube()(x), 1),
    "deviation frozen": (lambda x: FrozenStandardise()(x), 1),
    "term dropped": (lambda a, b: Product()(a, b), 2),
}


@pytest.mark.parametrize("fault", SECOND)
def test_wrong_second_order_rules_pass_order_1_and_fail_order_2(fault: str) -> None:
    f, count = SECOND[fault]
    inputs = [matrix(i) for i in range(count)]
    assert gradcheck(f, inputs, order=1)
    report = gradcheck(f, inputs, order=2)
    assert report.verdict == "FAIL"
    assert {finding.order for finding in report.findings} == {2}


# -- checks that prove nothing --------------------------------------------------------------------------------------


def test_a_check_that_cannot_fail_is_vacuous() -> None:
    report = gradcheck(lambda x: (x / x).sum(), [np.abs(matrix()) + 1])
    assert report.vacuous and not report
    assert report.flat == ["input 0"]


def test_an_input_that_does_not_reach_the_output_is_vacuous() -> None:
    report = gradcheck(lambda x, y: x * 2.0, [matrix(), matrix(1)])
    assert report.flat == ["input 1"] and not report


def test_a_function_declared_flat_may_have_a_zero_gradient() -> None:
    assert gradcheck(lambda x: (x / x).sum(), [np.abs(matrix()) + 1], flat=True)


def test_no_float_input_is_vacuous() -> None:
    assert gradcheck(lambda x: x + 1, [np.arange(3)]).vacuous


def test_a_summed_softmax_is_vacuous_but_the_checker_itself_never_sums() -> None:
    assert gradcheck(lambda x: ops.softmax(x, 1).sum(), [matrix()]).vacuous
    wrong = gradcheck(lambda x: ops.softmax(Wrong(lambda gy, x: gy * 0.0)(x), 1), [matrix()])
    assert wrong.verdict == "FAIL"


# -- what else a rule can get wrong ---------------------------------------------------------------------------------


class WritesInput(mc.Function):
    def forward(self, x: Any) -> Any:
        y = x * 2
        x += 0.0
        x[0] += 1e-20 if abs(x[0]) < 1e-18 else x[0] * 1e-15
        return y

    def backward(self, gy: Tensor) -> Any:
        return gy * 2.0


class WritesCotangent(mc.Function):
    def forward(self, x: Any) -> Any:
        return x * 2

    def backward(self, gy: Tensor) -> Any:
        gy.data *= 2
        return gy


class Nondeterministic(mc.Function):
    def forward(self, x: Any) -> Any:
        return x * 2

    def backward(self, gy: Tensor) -> Any:
        return gy * (2.0 + 1e-12 * float(np.random.default_rng().random()))


@pytest.mark.parametrize(
    ("cls", "kind"),
    [(WritesInput, "input modified"), (WritesCotangent, "cotangent modified"), (Nondeterministic, "nondeterministic")],
)
def test_side_effects_are_findings(cls: Any, kind: str) -> None:
    report = gradcheck(lambda x: cls()(x), [np.array([1.0, -2.0, 3.0])])
    assert kind in {finding.kind for finding in report.findings}, str(report)


def test_a_kink_under_the_point_does_not_pass() -> None:
    report = gradcheck(lambda x: Kinked()(x), [np.array([0.0, 1.0, 1e-4])])
    assert not report
    assert "at [1]" not in str(report)


def test_integer_none_list_and_keyword_arguments_pass_through() -> None:
    def f(pair: Any, index: Any, nothing: Any, *, scale: Any, power: int) -> Any:
        assert nothing is None and index.dtype == np.int64
        return (pair[0] * pair[1]) ** power * scale

    report = gradcheck(
        f, [[matrix(0), matrix(1)], np.arange(3), None], kwargs={"scale": matrix(2), "power": 2}, order=2
    )
    assert report, str(report)


def test_float32_inputs_are_promoted() -> None:
    assert gradcheck(lambda x: Cube()(x), [matrix().astype(np.float32)])


def test_a_declared_constant_is_not_differentiated() -> None:
    assert gradcheck(lambda x, m: x * m.detach(), [matrix(), matrix(1)], constants=(1,))


def test_the_seed_reproduces_the_report() -> None:
    a, b = (gradcheck(standardise, [matrix()], order=2, seed=7) for _ in range(2))
    assert a == b


def test_an_order_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="order must be at least 1"):
        gradcheck(lambda x: x, [matrix()], order=0)
