import itertools

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn
from minicnn.models import MLP


def test_layerwise_and_one_expression_forms_are_equal():  # A11
    net = MLP([4, 5, 3], last_bias=False)
    x = mc.tensor(np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32))
    w1, b1, w2 = (net.state_dict()[k] for k in ("layers.0.weight", "layers.0.bias", "layers.2.weight"))
    one = mc.ops.linear(mc.ops.tanh(mc.ops.linear(x, w1, b1)), w2)
    assert net(x).tolist() == one.tolist()


def test_parameter_count():
    sizes = [64, 64, 64, 10]
    count = sum(i * o + o for i, o in itertools.pairwise(sizes))
    assert nn.count_parameters(MLP(sizes)) == count
    assert nn.count_parameters(MLP(sizes, last_bias=False)) == count - 10


def test_images_are_flattened_and_predicted():
    net = MLP([784, 256, 10], activation=nn.ReLU)
    x = mc.tensor(np.zeros((3, 1, 28, 28), np.float32))
    assert net(x).shape == (3, 10) and net.predict(x).shape == (3,)
    assert [type(m).__name__ for m in net.layers] == ["Linear", "ReLU", "Linear"]


def test_an_mlp_needs_two_sizes():
    with pytest.raises(ValueError, match="MLP: sizes must name at least input and output"):
        MLP([3])
