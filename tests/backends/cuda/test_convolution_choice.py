"""Which algorithm runs: names, rules, tables, and what differs for halves."""

import numpy as np
import pytest

import minicnn as mc
from minicnn.backends.convolution import PASSES, Problem
from minicnn.backends.cuda import convolution as table
from tests.backends.cuda.convolutions import PROBLEMS


def test_a_name_holds_for_tensors_of_the_device_and_only_for_its_own_algorithms(device):
    x, w = np.ones((1, 2, 5, 5), np.float32), np.ones((3, 2, 3, 3), np.float32)
    with mc.conv_algorithm("implicit_gemm"):
        y = mc.ops.conv2d(mc.tensor(x, device=device), mc.tensor(w, device=device, requires_grad=True))
        assert y.node.algorithms.forward == y.node.algorithms.weight_grad == "implicit_gemm"
        with pytest.raises(ValueError, match="no algorithm 'implicit_gemm' on cpu"):
            mc.ops.conv2d(mc.tensor(x), mc.tensor(w))
    with mc.conv_algorithm("direct"), pytest.raises(ValueError, match="no algorithm 'direct' on a GPU"):
        mc.ops.conv2d(mc.tensor(x, device=device), mc.tensor(w, device=device))


def test_rules_say_why_and_a_table_goes_before_them():
    p = Problem(8, 1, 64, 64, 56, 56, 56, 56, 3, 3, 1, 1, 1, 1)
    chosen = {
        "winograd": p, "implicit_gemm": p._replace(stride_h=2, out_h=28), "pointwise": PROBLEMS["pixels"],
        "depthwise": PROBLEMS["a filter a channel"], "dense": PROBLEMS["one window"],
    }  # fmt: skip
    for name, problem in chosen.items():
        assert {table.choose(which, problem) for which in PASSES} == {name}
        assert len(table.explain("forward", problem).reason) > 20
    assert table.choose("forward", p, 5e-6) == "winograd_f2"
    assert table.choose("forward", p, 1e-7) == "naive"
    with pytest.raises(ValueError, match="error of at most 1e-08 in float32; the least is 1e-07"):
        table.choose("forward", p, 1e-8)
    try:
        table.use_table({("forward", p): "im2col"})
        assert table.choose("forward", p) == "im2col"
        assert table.choose("input_grad", p) == "winograd"
    finally:
        table.use_table({})


def test_halves_are_not_multiplied_as_float32_by_rule(backend):
    p = Problem(8, 1, 64, 64, 56, 56, 56, 56, 3, 3, 1, 1, 1, 1)
    assert {table.choose(which, p, item=2) for which in PASSES} == {"implicit_gemm"}
    assert not any("winograd" in table.choose(which, q, item=2) for which in PASSES for q in PROBLEMS.values())
    x, w = np.ones((1, 32, 4, 4), np.float16), np.ones((32, 32, 3, 3), np.float16)
    x, w = (mc.tensor(a, device="cuda-emulated", requires_grad=True) for a in (x, w))
    y = mc.ops.conv2d(x, w, padding=1)
    assert y.node.algorithms[:3] == ("implicit_gemm",) * 3
    assert mc.ops.conv2d(x.float(), w.float(), padding=1).node.algorithms[:3] == ("winograd",) * 3
    with mc.conv_algorithm("winograd"):
        np.testing.assert_allclose(mc.ops.conv2d(x, w, padding=1).detach().numpy(), y.detach().numpy(), rtol=2e-3)


def test_a_table_serves_halves_or_the_others():
    p = Problem(8, 1, 64, 64, 56, 56, 56, 56, 3, 3, 1, 1, 1, 1)
    for item, found in ((4, {2: "implicit_gemm", 4: "im2col", 8: "im2col"}),
                        (2, {2: "im2col", 4: "winograd", 8: "winograd"})):  # fmt: skip
        try:
            table.use_table({("forward", p): "im2col"}, item)
            assert {size: table.choose("forward", p, item=size) for size in found} == found
        finally:
            table.use_table({})


def test_the_input_gradient_of_a_first_layer_goes_by_columns():
    p = Problem(8, 1, 3, 64, 224, 224, 112, 112, 7, 7, 2, 2, 3, 3)
    assert [table.choose(which, p) for which in PASSES] == ["implicit_gemm", "im2col", "implicit_gemm"]
    assert table.choose("input_grad", p, item=2) == "implicit_gemm"  # columns would be rounded
    assert table.choose("input_grad", p._replace(in_channels=16)) == "implicit_gemm"
    assert table.choose("input_grad", p._replace(in_channels=3, out_channels=3)) == "implicit_gemm"
