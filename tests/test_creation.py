"""Tensors from nothing have PyTorch's shapes and dtypes, and repeat with the seed."""

import numpy as np
import pytest

import minicnn as mc
from minicnn.core import rng


@pytest.fixture(autouse=True)
def _restore_global_state():
    before = rng.get_state()
    yield
    rng.set_state(before)


def test_constants_and_ranges():
    assert mc.zeros(2, 3).shape == mc.zeros((2, 3)).shape == (2, 3)
    assert mc.ones(2).tolist() == [1.0, 1.0]
    assert mc.full((2,), 7).dtype == "int64"
    assert mc.eye(2).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert mc.arange(2, 8, 3).tolist() == [2, 5]
    assert mc.linspace(0, 1, 3).tolist() == [0.0, 0.5, 1.0]
    assert mc.zeros(2, requires_grad=True).requires_grad


@pytest.mark.parametrize(
    "make", [lambda: mc.rand(5, 2), lambda: mc.randn(5), lambda: mc.randint(0, 9, (20,)), lambda: mc.randperm(20)]
)
def test_random_tensors_repeat_with_the_seed_and_move_on_without(make):
    mc.manual_seed(4)
    first, second = make().numpy(), make().numpy()
    mc.manual_seed(4)
    np.testing.assert_array_equal(make().numpy(), first)
    assert (first != second).any()


def test_float32_uniforms_never_reach_one():
    mc.manual_seed(0)
    assert mc.rand(1 << 18).numpy().max() < 1


def test_an_empty_range_of_integers_is_refused():
    with pytest.raises(ValueError, match="randint: low must be below high, got 3 and 3"):
        mc.randint(3, 3, (1,))
