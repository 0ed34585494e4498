"""Slopes are accurate, their bars hold, and rounding is measured as what it is."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn.testing.numeric import EPS, noise_level, reach, slope

FUNCTIONS = {
    "exp": (np.exp, np.exp),
    "sin": (np.sin, np.cos),
    "log": (np.log, lambda x: 1 / x),
    "sixth power": (lambda x: x**6, lambda x: 6 * x**5),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "constant": (lambda x: 0 * x + 5, lambda x: 0 * x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_error_bar_holds_and_is_small(name: str) -> None:
    f, derivative = FUNCTIONS[name]
    x = np.random.default_rng(0).uniform(0.1, 3, 50)
    noise = 2 * EPS * (np.abs(f(x)) + x * np.abs(derivative(x)))  # of the argument x + t too
    found = slope(lambda t: f(x + t), f(x), noise)
    assert np.all(np.abs(found.value - derivative(x)) <= found.error)
    assert np.all(found.error <= 1e-6 * np.maximum(1, np.abs(derivative(x))))
    assert not np.any(found.trouble)


@pytest.mark.parametrize("distance", [1e-2, 4e-4, 1e-4, 1e-6])
def test_a_kink_at_a_distance_is_avoided(distance: float) -> None:
    zero = np.zeros(1)
    found = slope(lambda t: np.array([abs(t - distance) - distance]), zero, zero)
    assert abs(found.value[0] + 1) <= found.error[0] < 1e-8


@pytest.mark.parametrize(
    ("f", "trouble"),
    [
        (abs, "kink"), (lambda t: max(t, 0), "kink"), (np.cbrt, "kink"), (lambda t: abs(t) ** 0.5, "kink"),
        (np.floor, "jump"), (np.sign, "jump"), (np.sqrt, "edge"),
    ],
)  # fmt: skip
def test_what_keeps_a_slope_from_being_is_named(f: object, trouble: str) -> None:
    with np.errstate(invalid="ignore"):
        found = slope(lambda t: np.array([float(f(np.float64(t)))]), np.zeros(1), np.zeros(1))  # type: ignore[operator]
    assert found.trouble[0] == trouble, found.detail


@pytest.mark.parametrize(("size", "expected"), [(1e-3, 1e-3), (1e-6, 1e-6)])
def test_noise_is_measured(size: float, expected: float) -> None:
    draws = np.random.default_rng(0)
    levels = [
        noise_level(lambda t: np.array([np.sin(t) + size * draws.standard_normal()]), np.ones(1))[0] for _ in range(20)
    ]
    assert 0.5 * expected < np.median(levels) / 12 < 2 * expected


def test_a_kink_is_no_noise() -> None:
    assert noise_level(lambda t: np.array([abs(t)]), np.ones(1))[0] <= EPS


def test_a_jump_is_no_noise() -> None:
    assert noise_level(lambda t: np.array([np.sign(t)]), np.ones(1))[0] <= EPS


def test_float32_inside_is_seen_as_noise() -> None:
    level = noise_level(lambda t: np.array([float(np.float32(np.sin(1 + t)))]), np.ones(1))[0]
    assert 1e-9 < level < 1e-6


def test_reach_follows_the_elements_and_is_never_zero() -> None:
    assert np.all(reach(np.zeros(3)) == 1)
    assert reach(np.array([1e-6, 100.0]))[0] == pytest.approx(0.1)
    assert reach(np.array([1e-8, 2e-8]))[1] == pytest.approx(2e-8)
