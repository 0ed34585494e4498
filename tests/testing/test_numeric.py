"""The numerical derivative is accurate, and its error bound holds."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn.testing.numeric import derivative

FUNCTIONS = {
    "exp": (np.exp, np.exp),
    "sin": (np.sin, np.cos),
    "log": (np.log, lambda x: 1 / x),
    "sixth power": (lambda x: x**6, lambda x: 6 * x**5),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "constant": (lambda x: 0 * x + 5, lambda x: 0 * x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_error_bound_holds_and_is_small(name: str) -> None:
    f, slope = FUNCTIONS[name]
    x = np.random.default_rng(0).uniform(0.1, 3, 50)
    estimate, error = derivative(lambda t: f(x + t))
    assert np.all(np.abs(estimate - slope(x)) <= error)
    assert np.all(error <= 1e-7 * np.maximum(1, np.abs(slope(x))))


def test_a_kink_inside_the_whole_stencil_gives_a_wide_bound() -> None:
    _, error = derivative(lambda t: np.array([abs(t - 1e-4)]))
    assert error[0] > 1e-3


def test_a_kink_outside_the_finest_steps_does_no_harm() -> None:
    estimate, error = derivative(lambda t: np.array([abs(t - 4e-4)]))
    assert abs(estimate[0] + 1) <= error[0] < 1e-10
