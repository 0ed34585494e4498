"""Findings that need no Jacobian, and failures that only several of them together explain."""

from types import SimpleNamespace

import numpy as np
import pytest

from minicnn.testing.diagnosis import diagnose, diagnose_all, from_finding
from tests.testing.diagnosis.building import Wrong, evidence_of


def finding(kind):
    return SimpleNamespace(kind=kind, where="bias", message="what was seen", order=1)


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("dtype", "wrong-dtype"),
        ("count", "gradient-count"),
        ("integer gradient", "gradient-of-integer"),
        ("not finite", "non-finite-gradient"),
        ("input modified", "input-modified"),
        ("cotangent modified", "upstream-modified"),
        ("nondeterministic", "nondeterministic"),
        ("accumulates", "stale-buffer"),
        ("layout", "layout-dependent"),
        ("shape", "wrong-shape"),
    ],
)
def test_a_finding_has_its_cause(kind, cause):
    found = from_finding(finding(kind))
    assert (found.cause, found.where, found.sentence) == (cause, "bias", "what was seen")


@pytest.mark.parametrize("kind", ["mismatch", "kink", "edge", "error bar", "random", "budget"])
def test_other_findings_have_none(kind):
    assert from_finding(finding(kind)) is None


@pytest.mark.parametrize(
    ("expected", "got", "cause"),
    [
        ((3,), (5, 3), "broadcast-not-summed"),
        ((1, 3), (5, 3), "broadcast-not-summed"),
        ((), (4,), "broadcast-not-summed"),
        ((2, 4), (4, 2), "transposed-gradient"),
        ((2, 3, 4), (2, 4, 3), "transposed-gradient"),
        ((2, 6), (12,), "wrong-shape"),
        ((1, 3), (3,), "wrong-shape"),
        ((4, 3), (3,), "wrong-shape"),
        ((4, 3), (5, 2), "wrong-shape"),
    ],
)
def test_a_wrong_shape_is_a_broadcast_a_transpose_or_neither(expected, got, cause):
    found = from_finding(finding("shape"), expected, got)
    assert found.cause == cause
    assert str(expected) in found.sentence and str(got) in found.sentence


def product(backward, by, r):
    return evidence_of(
        Wrong(lambda a, b: np.sin(a) * b**2, backward, [r.standard_normal(4), r.standard_normal(4)], by=by)
    )


def test_gradients_exchanged_between_two_inputs_are_one_cause():
    def exchanged(gy, a, b):
        return gy * 2 * b * np.sin(a), gy * np.cos(a) * b**2

    r = np.random.default_rng(0)
    inputs = [r.standard_normal(4), r.standard_normal(4)]
    both = [evidence_of(Wrong(lambda a, b: np.sin(a) * b**2, exchanged, inputs, by=i)) for i in (0, 1)]
    found = diagnose_all(both)
    assert [(d.cause, d.where) for d in found] == [("swapped-gradients", "input 0, input 1")]


def test_every_failure_keeps_its_own_cause():
    def two_bugs(gy, a, b):
        return -gy * np.cos(a) * b**2, gy * b * np.sin(a)

    r = np.random.default_rng(0)
    found = diagnose_all([product(two_bugs, 0, r), product(two_bugs, 1, r)])
    assert [d.cause for d in found] == ["sign-flipped", "constant-factor"]
    assert [d.where for d in found] == ["input 0 → output 0", "input 1 → output 0"]


def test_a_right_rule_has_no_cause():
    x = np.random.default_rng(0).standard_normal(5)
    assert diagnose(evidence_of(Wrong(np.tanh, lambda gy, x: (gy * (1 - np.tanh(x) ** 2),), [x]))) == []


def test_noise_has_no_cause_that_explains_everything():
    random = np.random.default_rng(3)
    noise = random.standard_normal((6, 6))
    w = random.standard_normal((6, 6))
    found = diagnose(
        evidence_of(Wrong(lambda x: np.tanh(w @ x), lambda gy, x: (noise @ gy,), [random.standard_normal(6)]))
    )
    assert found == []


def test_a_wrong_second_derivative_is_something_that_backward_took_for_a_constant():
    def second(gy, x):  # of the gradient 3 x², computed as 3 x · constant
        return (gy * 3 * x,)

    evidence = evidence_of(Wrong(lambda x: 3 * x**2, second, [np.random.default_rng(0).standard_normal(5)]), order=2)
    assert [d.cause for d in diagnose(evidence)] == ["constant-in-backward"]


def test_an_absent_second_derivative_is_all_of_backward_outside_the_graph():
    evidence = evidence_of(
        Wrong(lambda x: 3 * x**2, lambda gy, x: (0 * gy,), [np.random.default_rng(0).random(5)]), order=2
    )
    (found,) = diagnose(evidence)
    assert found.cause == "constant-in-backward" and "outside the graph" in found.sentence


def test_a_buffer_that_grows_and_a_mask_that_is_drawn_anew_are_told_apart():
    buffer = np.zeros(4)

    def grows(gy, x):
        buffer[...] += gy * np.cos(x)
        return (buffer.copy(),)

    random = np.random.default_rng(0)
    x = random.standard_normal(4)
    drawn = Wrong(np.sin, lambda gy, x: (gy * np.cos(x) * (random.random(4) > 0.5),), [x])
    assert diagnose(evidence_of(Wrong(np.sin, grows, [x])))[0].cause == "stale-buffer"
    assert diagnose(evidence_of(drawn))[0].cause == "nondeterministic"


def test_nan_in_a_gradient_is_told_before_anything_else():
    def backward(gy, x):
        with np.errstate(all="ignore"):
            return (gy * (x > 0) * 0.5 / np.sqrt(x),)

    pair = Wrong(lambda x: np.sqrt(np.maximum(x, 1e-9)), backward, [np.array([1.0, 2.0, -1.0])])
    assert [d.cause for d in diagnose(evidence_of(pair))] == ["non-finite-gradient"]


def test_a_sentence_has_the_number_and_what_it_is():
    x = np.random.default_rng(0).standard_normal((64, 2))
    pair = Wrong(lambda x: (x**2).mean(0), lambda gy, x: (2 * gy * x,), [x])
    (found,) = diagnose(evidence_of(pair))
    assert found.cause == "mean-not-divided"
    assert "analytic is 64 times numeric everywhere" in found.sentence and "axis 0 of input 0" in found.sentence
