import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn


class Block(nn.Module):
    def __init__(self):
        self.first = nn.Linear(3, 2)
        self.scale = nn.Parameter(mc.tensor([1.0]))
        self.register_buffer("seen", mc.tensor([0.0]))
        self.register_buffer("scratch", mc.tensor([5.0]), persistent=False)
        self.second = nn.Linear(2, 2, bias=False)

    def forward(self, x):
        return self.second(self.first(x)) * self.scale


def test_listings_follow_the_order_of_definition_with_own_parameters_first():
    block = Block()
    assert [n for n, _ in block.named_parameters()] == ["scale", "first.weight", "first.bias", "second.weight"]
    assert [n for n, _ in block.named_buffers()] == ["seen", "scratch"]
    assert [n for n, _ in block.named_children()] == ["first", "second"]
    assert [n for n, _ in block.named_modules()] == ["", "first", "second"]
    assert list(block.state_dict()) == ["scale", "seen", "first.weight", "first.bias", "second.weight"]


def test_order_does_not_depend_on_the_hash_seed():
    code = "import minicnn as mc; print(list(mc.models.LeNet5().state_dict()))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1 and "c1.weight" in seen.pop()


def test_super_init_is_not_needed_and_an_undefined_forward_says_so():
    class Bare(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Bare: forward is not defined"):
        Bare()(1)


def test_a_parameter_shared_by_two_layers_is_listed_once_but_saved_under_both_names():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    assert [n for n, _ in net.named_parameters()] == ["0.weight"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 2
    assert list(net.state_dict()) == ["0.weight", "1.weight"]


def test_a_module_used_twice_is_listed_once():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, layer)
    assert len(list(net.modules())) == 2
    assert len(list(net.children())) == 1
    assert net(mc.tensor([[1.0, 2.0]])).shape == (1, 2)


def test_replacing_an_attribute_keeps_its_place():
    block = Block()
    block.first = nn.Linear(3, 2, bias=False)
    assert next(iter(n for n, _ in block.named_children())) == "first"
    block.seen = mc.tensor([7.0])
    assert block.state_dict()["seen"].tolist() == [7.0]
    block.scale = None
    assert "scale" not in block.state_dict()


def test_train_and_eval_reach_all_modules():
    block = Block()
    assert block.eval() is block and not any(m.training for m in block.modules())
    assert all(m.training for m in block.train().modules())


def test_requires_grad_freezes_and_zero_grad_forgets():
    block = Block()
    block(mc.tensor([[1.0, 2.0, 3.0]])).sum().backward()
    assert all(p.grad is not None for p in block.parameters())
    block.zero_grad(set_to_none=False)
    assert all(not p.grad.numpy().any() for p in block.parameters())
    block.zero_grad()
    assert all(p.grad is None for p in block.parameters())
    block.requires_grad_(False)
    assert not block(mc.tensor([[1.0, 2.0, 3.0]])).requires_grad


def test_apply_visits_children_before_parents():
    seen = []
    Block().apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "Linear", "Block"]


def test_state_dict_shares_memory_and_a_round_trip_restores():
    a, b = Block(), Block()
    state = a.state_dict()
    assert not any(v.requires_grad for v in state.values())
    assert np.shares_memory(state["scale"].numpy(), a.scale.data)
    assert b.load_state_dict(state) == ([], [])
    for name, value in b.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[name].numpy())


def test_loading_casts_and_takes_arrays():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": [3]})
    assert layer.weight.dtype == np.float32 and layer.bias.tolist() == [3.0]


def test_one_error_names_everything_that_does_not_fit_and_nothing_is_loaded():
    layer = nn.Linear(2, 1)
    before = layer.weight.tolist()
    with pytest.raises(
        ValueError,
        match=r"Linear.load_state_dict: wrong shape: weight is \(1, 2\), got \(2, 2\); "
        r"missing keys: bias; unexpected keys: gain",
    ):
        layer.load_state_dict({"weight": np.ones((2, 2)), "gain": np.ones(1)})
    with pytest.raises(ValueError, match="missing keys: bias"):
        layer.load_state_dict({"weight": np.ones((1, 2))})
    assert layer.weight.tolist() == before


def test_loading_without_strict_reports_what_it_left():
    layer = nn.Linear(2, 1)
    missing, unexpected = layer.load_state_dict({"weight": np.ones((1, 2)), "gain": np.ones(1)}, strict=False)
    assert (missing, unexpected) == (["bias"], ["gain"])
    assert layer.weight.tolist() == [[1.0, 1.0]]


def test_to_keeps_the_parameter_objects_and_moves_gradients():
    layer = nn.BatchNorm2d(2)
    weight = layer.weight
    layer(mc.tensor(np.ones((2, 2, 2, 2), np.float32))).sum().backward()
    assert layer.double() is layer and layer.weight is weight
    assert weight.dtype == weight.grad.dtype == layer.running_mean.dtype == np.float64
    assert layer.num_batches_tracked.dtype == np.int64
    layer.to("cpu", mc.float32)
    assert weight.dtype == np.float32
    with pytest.raises(TypeError, match=r"Module.to: dtype must be floating, got int64"):
        layer.to(mc.int64)
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        layer.to("tpu")


def test_casting_is_noticed_by_a_graph_that_was_saved_before():
    layer = nn.Linear(2, 2)
    assert layer.to(dtype="float64")(mc.tensor(np.ones((1, 2)))).dtype == np.float64


def test_deepcopy_and_pickle_give_independent_working_modules():
    block = Block()
    x = mc.tensor([[1.0, 2.0, 3.0]])
    for clone in (copy.deepcopy(block), pickle.loads(pickle.dumps(block))):
        assert list(clone.state_dict()) == list(block.state_dict())
        assert clone(x).tolist() == block(x).tolist()
        assert isinstance(clone.scale, nn.Parameter) and clone.scale.requires_grad
        with mc.no_grad():
            clone.scale.fill_(9.0)
        assert block.scale.tolist() == [1.0]


def test_get_submodule_by_path():
    net = nn.Sequential(Block())
    assert net.get_submodule("0.first") is net[0].first
    assert net.get_submodule("") is net
    with pytest.raises(ValueError, match="get_submodule: Sequential has no module '0.third'"):
        net.get_submodule("0.third")


def test_names_of_buffers_and_children_are_checked():
    module = nn.Module()
    for name in ("", "a.b", "forward"):
        with pytest.raises(ValueError, match="register_buffer"):
            module.register_buffer(name, None)
    with pytest.raises(TypeError, match="is a Parameter"):
        module.register_buffer("w", nn.Parameter(mc.tensor([1.0])))


def test_repr_looks_like_pytorchs():
    net = nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ModuleList([nn.Tanh()]))
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))\n"
        "  (1): ModuleList(\n"
        "    (0): Tanh()\n"
        "  )\n"
        ")"
    )


def test_a_parameter_shares_memory_and_must_be_floating():
    base = mc.tensor([1.0, 2.0])
    parameter = nn.Parameter(base)
    assert parameter.requires_grad and np.shares_memory(parameter.data, base.data)
    assert repr(parameter).startswith("Parameter containing:\ntensor([1., 2.]")
    with pytest.raises(TypeError, match="Parameter: only floating tensors have gradients"):
        nn.Parameter(mc.tensor([1]))
    assert not nn.Parameter(mc.tensor([1]), requires_grad=False).requires_grad
