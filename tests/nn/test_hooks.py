import numpy as np

import minicnn as mc
from minicnn import nn


def test_forward_hooks_see_and_replace_and_can_be_removed():
    layer = nn.Identity()
    seen = []
    pre = layer.register_forward_pre_hook(lambda m, args: (args[0] + 1.0,))
    post = layer.register_forward_hook(lambda m, args, y: seen.append(args[0].tolist()) or y * 2.0)
    assert layer(mc.tensor([1.0])).tolist() == [4.0] and seen == [[2.0]]
    pre.remove()
    pre.remove()
    assert layer(mc.tensor([1.0])).tolist() == [2.0]
    with post:
        pass
    assert layer(mc.tensor([1.0])).tolist() == [1.0]


def test_a_hook_may_remove_itself_while_it_runs():
    layer, calls = nn.Identity(), []

    def once(module, args, output):
        calls.append(1)
        handle.remove()

    handle = layer.register_forward_hook(once)
    layer(mc.tensor([1.0]))
    layer(mc.tensor([1.0]))
    assert calls == [1]


def test_full_backward_hook_sees_the_gradients_of_this_module_only():
    layer, seen = nn.Linear(2, 1, bias=False), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi[0].tolist(), go[0].tolist())))
    with mc.no_grad():
        layer.weight.copy_(np.array([[2.0, 3.0]]))
    x = mc.tensor([[1.0, 1.0]], requires_grad=True)
    (layer(x) * 10.0 + x.sum()).sum().backward()
    assert seen == [([[20.0, 30.0]], [[10.0]])]
    assert x.grad.tolist() == [[21.0, 31.0]]
    assert layer.weight.grad.tolist() == [[10.0, 10.0]]


def test_full_backward_hook_replaces_the_gradient():
    layer = nn.Identity()
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 0.5,))
    x = mc.tensor([4.0], requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.tolist() == [0.5]


def test_full_backward_hook_of_a_first_layer_shows_none_for_its_input():
    layer, seen = nn.Linear(1, 1), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].tolist())))
    layer(mc.tensor([[1.0]])).sum().backward()
    assert seen == [((None,), [[1.0]])]


def test_full_backward_hook_with_several_inputs_and_outputs():
    class Pair(nn.Module):
        def forward(self, a, b, scale):
            return a * scale, b + a

    pair, seen = Pair(), []
    pair.register_full_backward_hook(
        lambda m, gi, go: seen.append([None if g is None else g.item() for g in gs] for gs in (gi, go))
    )
    a, b = (mc.tensor(v, requires_grad=True) for v in (2.0, 3.0))
    y, z = pair(a, b, 5.0)
    (y * 7.0 + z).backward()
    grad_input, grad_output = map(list, seen[0])
    assert grad_input == [36.0, 1.0] and grad_output == [7.0, 1.0]
    assert (a.grad.item(), b.grad.item()) == (36.0, 1.0)


def test_second_derivatives_pass_through_a_hooked_module():
    class Cube(nn.Module):
        def forward(self, x):
            return x * x * x

    cube = Cube()
    cube.register_full_backward_hook(lambda m, gi, go: None)
    x = mc.tensor(2.0, requires_grad=True)
    (g,) = mc.grad(cube(x), x, create_graph=True)
    assert (g.item(), mc.grad(g, x)[0].item()) == (12.0, 12.0)


def test_without_recording_backward_hooks_cost_and_change_nothing():
    layer = nn.Identity()
    layer.register_full_backward_hook(lambda m, gi, go: 1 / 0)
    x = mc.tensor([1.0], requires_grad=True)
    with mc.no_grad():
        assert layer(x) is x
