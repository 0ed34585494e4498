from collections import OrderedDict

import pytest

import minicnn as mc
from minicnn import nn


def test_sequential_applies_in_order_and_indexes():
    a, b = nn.Linear(2, 3), nn.Linear(3, 1)
    net = nn.Sequential(a, b)
    x = mc.tensor([[1.0, 2.0]])
    assert net(x).tolist() == b(a(x)).tolist()
    assert net[0] is a and net[-1] is b and len(net) == 2 and list(net) == [a, b]
    assert list(net[1:]) == [b]
    net[1] = nn.Identity()
    assert net(x).shape == (1, 3)
    with pytest.raises(IndexError, match="index 2 is out of range for 2 modules"):
        net[2]


def test_sequential_with_names_keeps_them():
    net = nn.Sequential(OrderedDict([("stem", nn.Identity()), ("head", nn.Linear(1, 1))]))
    assert list(net.state_dict()) == ["head.weight", "head.bias"]
    assert repr(net).splitlines()[1] == "  (stem): Identity()"


def test_empty_sequential_is_the_identity_and_append_grows_it():
    net = nn.Sequential()
    x = mc.tensor([[1.0]])
    assert net(x) is x
    assert net.append(nn.Linear(1, 4)) is net and net(x).shape == (1, 4)
    assert len(net.extend([nn.ReLU(), nn.ReLU()])) == 3


def test_module_list_registers_its_modules():
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers.append(nn.Linear(1, 1, bias=False)).extend([nn.ReLU()])
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "1.weight"]
    assert len(layers[1:]) == 2
    with pytest.raises(NotImplementedError):
        layers(1)
    with pytest.raises(TypeError, match="ModuleList: expected a Module, got int"):
        layers.append(3)


def test_module_dict_registers_its_modules():
    heads = nn.ModuleDict({"a": nn.Linear(1, 1)})
    heads["b"] = nn.ReLU()
    assert heads.keys() == ["a", "b"] and "b" in heads and "c" not in heads and len(heads) == 2
    assert [n for n, _ in heads.items()] == list(heads) and len(heads.values()) == 2
    del heads["b"]
    assert "b" not in heads
    with pytest.raises(KeyError):
        heads["b"]
    with pytest.raises(KeyError):
        del heads["b"]
    with pytest.raises(TypeError, match="ModuleDict: expected a Module"):
        heads["c"] = 1
    with pytest.raises(ValueError, match="already has an attribute 'forward'"):
        heads["forward"] = nn.ReLU()
