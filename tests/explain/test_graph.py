"""The drawn graph holds every operation and leaf once, and an arrow for every use."""

import pytest

import minicnn as mc


def test_dot_names_operations_leaves_and_shapes():
    x, w = mc.tensor([[1.0, 2.0]], requires_grad=True), mc.tensor([[1.0], [2.0]], requires_grad=True)
    hidden = (x @ w).tanh()
    text = mc.explain.graph((hidden * hidden).sum(), {"x": x, "w": w})
    assert text.startswith("digraph {")
    assert text.endswith("}")
    assert text.count('label="tanh"') == 1
    assert 'label="x (1, 2)"' in text
    assert 'label="w (2, 1)"' in text
    assert text.count("->") == 2 + 1 + 2 + 1  # two inputs, tanh, two uses of hidden, sum


def test_a_deep_graph_does_not_recurse():
    y = mc.tensor([1.0], requires_grad=True)
    for _ in range(3000):
        y = y * 1.0
    assert mc.explain.graph(y).count("->") == 3000


def test_unknown_style_and_leaves_are_refused():
    x = mc.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match="no history"):
        mc.explain.graph(x)
    with pytest.raises(ValueError, match="style must be one of"):
        mc.explain.graph(x * x, style="svg")
