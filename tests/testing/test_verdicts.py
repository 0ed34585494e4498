"""How each verdict of the checker comes about: kinks, jumps, edges, noise, special points, budgets, reports."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from minicnn.testing import GradientError, gradcheck, gradgradcheck
from minicnn.testing.modules import functional, parameters


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def relu_backward(gy: Any, x: Any) -> Any:
    return gy * (x > 0)


# -- NONDIFFERENTIABLE ----------------------------------------------------------------------------------------------

EDGES = {
    "kink": (np.abs, lambda gy, x: gy * np.sign(x), [0.0, 1.0], "kink"),
    "even split at a tie": (np.max, lambda gy, x: gy * (x == x.max()) / np.sum(x == x.max()), [2.0, 2.0], "kink"),
    "unbounded slope": (np.cbrt, lambda gy, x: gy / (3 * np.cbrt(x) ** 2 + 1e-300), [0.0], "kink"),
    "jump": (np.floor, lambda gy, x: 0 * gy, [2.0], "jump"),
    "end of the domain": (np.sqrt, lambda gy, x: gy / (2 * np.sqrt(x)), [1.0, 0.0], "edge"),
}


@pytest.mark.parametrize("name", EDGES)
def test_a_point_without_a_derivative_is_named_as_such(name: str) -> None:
    f, backward, x, kind = EDGES[name]
    for seed in range(5):
        report = gradcheck(f, [np.array(x)], backward=backward, seed=seed)
        assert report.verdict == "NONDIFFERENTIABLE" and not report, str(report)
        assert {finding.kind for finding in report.findings} == {kind}, str(report)


def test_a_kink_does_not_hide_a_wrong_rule() -> None:
    for seed in range(5):
        for x in ([0.0], [0.0, 1.0, -1.0], [0.0] * 20):
            report = gradcheck(relu, [np.array(x)], backward=lambda gy, x: 2 * relu_backward(gy, x), seed=seed)
            assert report.verdict == "FAIL", str(report)


def test_opposite_kinks_in_one_direction_are_not_called_a_wrong_rule() -> None:
    x = np.linspace(-0.8, 0.8, 12).reshape(3, 4)
    x[0, 1], x[2, 2] = 1.0, -1.0
    for seed in range(20):
        report = gradcheck(
            lambda x: np.clip(x, -1, 1), [x], backward=lambda gy, x: gy * ((x >= -1) & (x <= 1)), seed=seed
        )
        assert report.verdict == "NONDIFFERENTIABLE", str(report)


@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-6])
def test_a_kink_at_a_distance_does_not_matter(distance: float) -> None:
    for seed in range(5):
        assert gradcheck(relu, [np.array([distance, -1.0, 2.0])], backward=relu_backward, seed=seed)


def test_a_bend_of_the_derivative_is_smooth_at_order_1() -> None:
    for x in (0.0, 1e-5, -1e-5):
        report = gradcheck(
            lambda x: x * np.abs(x), [np.array([x, 1.0])], backward=lambda gy, x: 2 * np.abs(x) * gy, seed=0
        )
        assert report.verdict == "PASS", str(report)


# -- FAIL -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "backward", "x"),
    [
        (lambda x: x * x, lambda gy, x: 2 * gy, 1.0),
        (np.expm1, lambda gy, x: gy, 0.0),
        (lambda x: x * x, lambda gy, x: 3 * x * gy, 0.0),
    ],
    ids=["square at ones", "expm1 at zeros", "square at zeros"],
)
def test_a_rule_that_is_right_only_at_the_given_point_fails(f: Any, backward: Any, x: float) -> None:
    report = gradcheck(f, [np.full(3, x)], backward=backward, seed=0)
    assert report.verdict == "FAIL"
    assert "nearby" in str(report)
    assert gradcheck(f, [np.full(3, x)], backward=backward, seed=0, neighbours=False).verdict == "PASS"


@pytest.mark.parametrize("size", [8, 50, 1000, 50_000])
def test_a_single_wrong_element_is_found_and_shown(size: int) -> None:
    def backward(gy: Any, x: Any) -> Any:
        g = gy * np.cos(x)
        g[size // 3] *= 1 + 1e-5
        return g

    report = gradcheck(np.sin, [np.linspace(-1, 1, size)], backward=backward, seed=0)
    assert report.verdict == "FAIL"
    (pair,) = report.jacobians
    assert size // 3 in pair.columns[pair.wrong.any(0)] or size // 3 in pair.columns


def test_an_element_of_tiny_slope_counts_as_much_as_the_others() -> None:
    scale = np.array([1e-6] + [1.0] * 30)

    def backward(gy: Any, x: Any) -> Any:
        g = gy * scale * np.cos(x)
        g[0] *= 1.01
        return g

    for seed in range(5):
        x = np.random.default_rng(seed).uniform(0.5, 1, 31)
        assert gradcheck(lambda x: scale * np.sin(x), [x], backward=backward, seed=seed).verdict == "FAIL"


CONDUCT = {
    "shape": lambda gy, x: gy[:1] * 2 * x[:1],
    "dtype": lambda gy, x: (gy * 2 * x).astype(np.float32),
    "count": lambda gy, x: (gy * 2 * x, None),
    "not finite": lambda gy, x: gy * 2 * x / np.where(x > 0, 1, 0.0),
    "raises": lambda gy, x: gy @ np.ones(99),
    "cotangent modified": lambda gy, x: np.multiply(gy, 2 * x, out=gy),
    "input modified": lambda gy, x: gy * np.multiply(x, 2, out=x),
}


@pytest.mark.parametrize("kind", CONDUCT)
def test_a_broken_rule_of_conduct_fails(kind: str) -> None:
    report = gradcheck(lambda x: x * x, [np.array([1.0, -2.0, 3.0])], backward=CONDUCT[kind], seed=0)
    assert report.verdict == "FAIL"
    assert kind in {finding.kind for finding in report.findings}, str(report)
    assert report.causes or kind == "raises"


def test_any_gradient_for_an_integer_input_fails() -> None:
    def backward(gy: Any, x: Any, index: Any) -> Any:
        g = np.zeros_like(x)
        np.add.at(g, index, gy)
        return g, np.zeros(index.shape)

    report = gradcheck(lambda x, i: x[i], [np.arange(4.0), np.array([1, 1, 2])], backward=backward, seed=0)
    assert {finding.kind for finding in report.findings} == {"integer gradient"}


def test_a_buffer_that_accumulates_fails() -> None:
    total = np.zeros(3)

    def backward(gy: Any, x: Any) -> Any:
        total[...] += gy * 2 * x
        return total

    report = gradcheck(lambda x: x * x, [np.array([1.0, -2.0, 3.0])], backward=backward, seed=0)
    assert report.causes[0] == "stale-buffer"


def test_a_rule_that_reads_memory_order_fails_for_other_layouts() -> None:
    def backward(gy: Any, x: Any) -> Any:
        flat = (gy * 2 * x).ravel(order="K")  # as it lies in memory
        return flat.reshape(x.shape)

    report = gradcheck(lambda x: x * x, [np.arange(1.0, 7).reshape(2, 3)], backward=backward, seed=0)
    assert report.causes == ["layout-dependent"], str(report)


def test_backward_may_vary_by_rounding_only_where_that_is_declared() -> None:
    count = iter(range(10**6))

    def backward(gy: Any, x: Any) -> Any:
        return gy * 2 * x * (1 + 1e-15 * (next(count) % 3))

    x = np.array([1.0, -2.0, 3.0])
    assert gradcheck(lambda x: x * x, [x], backward=backward, seed=0).causes == ["nondeterministic"]
    assert gradcheck(lambda x: x * x, [x], backward=backward, seed=0, nondeterministic=True)


# -- INCONCLUSIVE, VACUOUS --------------------------------------------------------------------------------------------


def test_a_random_function_is_inconclusive() -> None:
    draws = np.random.default_rng(0)
    report = gradcheck(lambda x: x * draws.random(3), [np.ones(3)], backward=lambda gy, x: gy, seed=0)
    assert report.verdict == "INCONCLUSIVE"
    assert {finding.kind for finding in report.findings} == {"random"}


def test_a_noisy_function_is_inconclusive_or_right_but_never_called_wrong() -> None:
    def noisy(x: Any) -> Any:
        return np.sin(x) + 1e-3 * np.sin(1e9 * x)

    for seed in range(3):
        report = gradcheck(noisy, [np.linspace(0.1, 1, 4)], backward=lambda gy, x: gy * np.cos(x), seed=seed)
        assert report.verdict in {"INCONCLUSIVE", "FAIL"}  # its true slope is that of the noise
        rounded = gradcheck(
            lambda x: np.sin(x.astype(np.float32)), [np.linspace(0.1, 1, 4)],
            backward=lambda gy, x: gy * np.cos(x), seed=seed,
        )
        assert rounded.verdict in {"INCONCLUSIVE", "PASS"}


def test_only_an_input_that_could_not_have_failed_is_flagged() -> None:
    def backward(gy: Any, x: Any, b: Any) -> Any:
        return gy - gy.mean(), 0 * b

    report = gradcheck(lambda x, b: x + b - (x + b).mean(), [np.arange(4.0), np.ones(1)], backward=backward, seed=0)
    assert report.verdict == "PASS" and report.flat == ["input 1"] and not report


def test_an_empty_input_beside_another_is_not_vacuous() -> None:
    report = gradcheck(lambda x, y: x.sum() + y, [np.zeros((0, 3)), np.ones(2)],
                       backward=lambda gy, x, y: (0 * x, gy), seed=0)
    assert report, str(report)
    assert gradcheck(np.tanh, [np.zeros((0, 3))], backward=lambda gy, x: gy, seed=0).vacuous


def test_a_critical_point_is_judged_nearby() -> None:
    assert gradcheck(lambda x: x * x, [np.zeros(3)], backward=lambda gy, x: 2 * x * gy, seed=0)


# -- the report -------------------------------------------------------------------------------------------------------


def test_a_budget_ends_the_check_and_says_so() -> None:
    def slow(x: Any) -> Any:
        time.sleep(0.01)
        return x * x

    report = gradcheck(slow, [np.ones(8)], backward=lambda gy, x: 2 * x * gy, budget_s=0.1, seed=0)
    assert report.seconds < 30
    assert report.verdict == "INCONCLUSIVE"
    assert {finding.kind for finding in report.findings} == {"budget"}


def test_the_same_seed_writes_the_same_json_and_another_draws_anew() -> None:
    texts = [
        gradcheck(np.tanh, [np.linspace(-1, 1, 5)], backward=lambda gy, x: gy, seed=seed).to_json()
        for seed in (3, 3, 4)
    ]
    assert texts[0] == texts[1] != texts[2]
    data = json.loads(texts[0])
    assert data["verdict"] == "FAIL" and data["seed"] == 3 and data["causes"]
    drawn = [gradcheck(np.tanh, [np.ones(2)], backward=lambda gy, x: gy).seed for _ in range(2)]
    assert drawn[0] != drawn[1]


def test_json_has_no_nan() -> None:
    text = gradcheck(np.sqrt, [np.array([0.0, -1.0])], backward=lambda gy, x: gy, seed=0).to_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_promotions_are_said_and_requirements_raise_the_report() -> None:
    report = gradcheck(np.tanh, [np.ones(2, np.float32)], backward=lambda gy, x: gy * (1 - np.tanh(x) ** 2), seed=0)
    assert report.notes == ["promoted float32 to float64"]
    assert report.require() is report
    with pytest.raises(GradientError, match="FAIL"):
        gradcheck(np.tanh, [np.ones(2)], backward=lambda gy, x: gy, seed=0).require()


def test_order_2_of_plain_rules_and_complex_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot"):
        gradgradcheck(np.tanh, [np.ones(2)], backward=lambda gy, x: gy)
    with pytest.raises(ValueError, match="complex"):
        gradcheck(np.tanh, [np.ones(2) + 1j], backward=lambda gy, x: gy)
    with pytest.raises(TypeError, match="backward="):  # a conversion that no framework's arrays follow
        gradcheck(lambda x: np.tanh(np.asarray(x, dtype=np.float64)), [np.ones(2)])


def test_a_module_is_checked_with_its_parameters_and_left_as_it_was() -> None:
    from minicnn import nn

    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    before = {name: value.numpy().copy() for name, value in net.state_dict().items()}
    report = gradcheck(net, [np.random.default_rng(0).normal(size=(5, 3))], order=2, seed=0)
    assert report.verdict == "PASS", str(report)
    assert report.flat == ["0.bias"]  # a bias before batch normalisation
    assert {c.input for c in report.compared} >= {"input 0", "0.weight", "1.weight", "3.bias"}
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert set(parameters(net)) == {name for name, _ in net.named_parameters()}
    assert callable(functional(net, ()))


# -- what hides a slope from a careless checker -----------------------------------------------------------------------

SEEDS = range(6)


@pytest.mark.parametrize(
    ("f", "slope", "x"),
    [
        (lambda x: np.sin(1e5 * x), lambda x: 1e5 * np.cos(1e5 * x), 1.0),
        (lambda x: np.exp(-(((x - 0.99995) / 1e-4) ** 2)), lambda x: -2 * (x - 0.99995) / 1e-8 * np.exp(
            -(((x - 0.99995) / 1e-4) ** 2)), 1.0),
        (lambda x: 1 / (1 + np.exp(-1e6 * (x - 1))), lambda x: 1e6 / 4 * np.ones_like(x), 1.0),
    ],
    ids=["fast", "narrow", "steep"],
)
def test_structure_too_fine_for_large_steps_is_not_called_a_wrong_rule(f: Any, slope: Any, x: float) -> None:
    for seed in SEEDS:
        report = gradcheck(f, [np.array([x])], backward=lambda gy, x: gy * slope(x), seed=seed, neighbours=False)
        assert report.verdict in {"PASS", "INCONCLUSIVE"}, str(report)


@pytest.mark.parametrize("offset", [1e10, 1e12, 1e13])
def test_a_large_number_in_the_output_does_not_let_a_wrong_rule_pass(offset: float) -> None:
    for seed in SEEDS:
        x = np.array([0.5, -1.0, 2.0])
        assert not gradcheck(lambda x: x + offset, [x], backward=lambda gy, x: 1.001 * gy, seed=seed)
        beside = gradcheck(
            lambda x: np.concatenate([[offset], x]), [x], backward=lambda gy, x: 1.5 * gy[1:], seed=seed
        )
        assert beside.verdict == "FAIL", str(beside)


def test_small_outputs_count_beside_large_ones() -> None:
    for seed in range(20):
        report = gradcheck(
            lambda x: np.array([1e9 * x.sum(), (x**2).sum()]), [np.array([0.5, -1.0, 2.0])],
            backward=lambda gy, x: gy[0] * 1e9 + gy[1] * x, seed=seed,
        )
        assert report.verdict == "FAIL", str(report)


@pytest.mark.parametrize("fill", [-1e30, np.finfo(float).min, -np.inf])
def test_masked_outputs_neither_hide_a_wrong_rule_nor_spoil_a_right_one(fill: float) -> None:
    mask = np.tri(3, dtype=bool)
    for seed in SEEDS:
        x = np.random.default_rng(seed).normal(size=(3, 3))
        right, wrong = (
            gradcheck(lambda x: np.where(mask, x, fill), [x], backward=lambda gy, x, k=k: k * gy * mask, seed=seed)
            for k in (1, 2)
        )
        assert right, str(right)
        assert wrong.verdict == "FAIL", str(wrong)


@pytest.mark.parametrize("bound", [1.0, 5.0, 1000.0])
def test_a_backward_that_is_not_linear_in_its_cotangent_fails_at_every_seed(bound: float) -> None:
    for seed in range(20):
        report = gradcheck(
            lambda x: (x * x).sum(), [np.array([1.0, -2.0])], backward=lambda gy, x: 2 * x * np.clip(gy, -bound, bound),
            seed=seed,
        )
        assert report.verdict == "FAIL", str(report)


def test_writing_into_an_array_that_is_not_differentiated_fails() -> None:
    def f(x: Any, index: Any) -> Any:
        index -= 1
        return x[index]

    def scatter(gy: Any, x: Any, index: Any) -> Any:
        g = np.zeros_like(x)
        np.add.at(g, index - 1, gy)
        return g, None

    report = gradcheck(f, [np.arange(4.0), np.array([1, 2])], backward=scatter, seed=0)
    assert "input-modified" in report.causes, str(report)


def test_a_rule_for_a_function_that_rounds_to_float32_is_never_called_wrong() -> None:
    for seed in range(30):
        x = np.random.default_rng(seed).normal(size=4)
        report = gradcheck(
            lambda x: (x.astype(np.float32) ** 2).astype(float), [x], backward=lambda gy, x: 2 * gy * x, seed=seed
        )
        assert report.verdict in {"PASS", "INCONCLUSIVE"}, str(report)


@pytest.mark.parametrize("number", [2.0, np.float32(2), np.float64(2)], ids=["Python", "float32", "float64"])
def test_numbers_among_the_inputs_are_differentiated_where_the_rule_answers(number: Any) -> None:
    def check(k: float) -> Any:
        return gradcheck(
            lambda x, a: a * x, [np.ones(3), number], backward=lambda gy, x, a: (gy * a, k * (gy * x).sum()), seed=0
        )

    assert check(1)
    assert check(5).verdict == "FAIL"
    assert gradcheck(lambda x, a: a * x, [np.ones(3), number], backward=lambda gy, x, a: (gy * a, None), seed=0)


@pytest.mark.parametrize("inputs", [np.ones(3), {"x": np.ones(3)}, "x", 1.0], ids=["array", "dict", "text", "number"])
def test_inputs_that_are_no_list_are_refused(inputs: Any) -> None:
    with pytest.raises(TypeError, match="list of arguments"):
        gradcheck(np.tanh, inputs, backward=lambda gy, x: gy)


@pytest.mark.parametrize("result", [None, {}, "y"], ids=["None", "dict", "text"])
def test_functions_that_return_no_array_are_refused(result: Any) -> None:
    with pytest.raises(TypeError, match="f returned"):
        gradcheck(lambda x: result, [np.ones(3)], backward=lambda gy, x: gy)


def test_bad_orders_seeds_and_rules_are_refused_in_our_words() -> None:
    for options, words in (({"order": 1.5}, "order"), ({"seed": -1}, "seed"), ({"seed": "x"}, "seed")):
        with pytest.raises(ValueError, match=words):
            gradcheck(np.tanh, [np.ones(2)], backward=lambda gy, x: gy, **options)
    with pytest.raises(TypeError, match="callable"):
        gradcheck(np.tanh, [np.ones(2)], backward=3)
    with pytest.raises(ValueError, match="empty"):
        gradcheck(np.tanh, [], backward=lambda gy: gy)


def test_a_rule_with_another_signature_is_told_how_it_is_called() -> None:
    report = gradcheck(np.tanh, [np.ones(2)], backward=lambda x: x, seed=0)
    assert "backward(gy, *inputs, **kwargs)" in str(report)


def test_the_report_says_whose_gradients_were_checked() -> None:
    assert "no backward= was given" in str(gradcheck(lambda x: x * x, [np.ones(2)], seed=0))
