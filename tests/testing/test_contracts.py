"""Law 1 is read off the node: undeclared float arrays are found, ints and declared constants are not."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn.core.function import Function
from minicnn.core.tensor import Tensor
from minicnn.testing.contracts import nodes_run, smuggled_arrays
from minicnn.testing.layouts import LAYOUTS


class Held(Function):
    constant_arrays = ("mask",)

    def __init__(self, **values: object) -> None:
        vars(self).update(values)


@pytest.mark.parametrize(
    "value", [np.ones(3), np.ones(3, np.float32), Tensor(np.ones(2)), [np.ones(2)], {"a": np.ones(2)}, np.array(1.0)]
)
def test_float_arrays_on_a_node_are_found_wherever_they_hide(value: object) -> None:
    assert smuggled_arrays(Held(inv_std=value)) == ["inv_std"]


@pytest.mark.parametrize("value", [np.arange(3), np.ones(3, bool), (2, 3), 0.5, np.float64(0.5), "mean", None])
def test_ints_bools_shapes_and_numbers_may_live_on_a_node(value: object) -> None:
    assert smuggled_arrays(Held(option=value)) == []


def test_a_declared_constant_may_be_float() -> None:
    assert smuggled_arrays(Held(mask=np.ones(3))) == []


def test_nodes_of_forward_and_backward_are_collected() -> None:
    x = Tensor(np.ones(3), requires_grad=True)
    with nodes_run() as nodes:
        (x * x).sum().backward(create_graph=True)
    assert [node.name for node in nodes][:2] == ["mul", "sum"]
    assert len(nodes) > 2


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (2, 3, 4), (0, 2)])
def test_layouts_keep_values(layout: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    arranged = LAYOUTS[layout](x)
    np.testing.assert_array_equal(arranged, x, strict=True)
    if x.ndim > 1 and x.size > 1:
        assert not arranged.flags.c_contiguous
