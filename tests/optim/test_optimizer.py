"""The base class: groups, errors, state, versions."""

import json

import numpy as np
import pytest

import minicnn as mc
from minicnn.core import events

RULES = {
    "SGD": {"lr": 0.1, "momentum": 0.9},
    "LARS": {"lr": 0.1},
    "Adagrad": {},
    "Adadelta": {},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "Adam": {"amsgrad": True},
    "AdamW": {},
}


def weights():
    rng = np.random.default_rng(3)
    return [mc.tensor(rng.normal(size=s), requires_grad=True) for s in ((2, 3), (3,))]


def steps(optimizer, params, n):
    for _ in range(n):
        optimizer.zero_grad()
        loss = (params[0] * params[0]).sum() + (params[1] * params[1] * params[1]).sum()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("name", RULES)
def test_a_restored_optimizer_continues_bit_for_bit(name):
    params = weights()
    rule = getattr(mc.optim, name)
    optimizer = rule(params, **RULES[name])
    steps(optimizer, params, 3)
    state = optimizer.state_dict()
    copies = [mc.tensor(p.detach(), requires_grad=True) for p in params]
    other = rule(copies, lr=123.0)
    other.load_state_dict(state)
    steps(optimizer, params, 3)
    steps(other, copies, 3)
    for p, q in zip(params, copies, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())


def test_the_state_is_plain_and_survives_json():
    params = weights()
    optimizer = mc.optim.Adam(params)
    steps(optimizer, params, 2)
    text = json.dumps(optimizer.state_dict(), default=lambda a: a.tolist())
    other = mc.optim.Adam(weights())
    other.load_state_dict(json.loads(text))
    assert other.param_groups[0]["betas"] == (0.9, 0.999)
    for key, value in optimizer.state_dict()["state"][1].items():
        np.testing.assert_array_equal(other.state_dict()["state"][1][key], value)


def test_the_state_is_a_copy_in_the_order_of_the_parameters():
    params = weights()
    optimizer = mc.optim.SGD(params, lr=0.1, momentum=0.9)
    steps(optimizer, params, 1)
    state = optimizer.state_dict()
    before = state["state"][0]["momentum_buffer"].copy()
    steps(optimizer, params, 1)
    np.testing.assert_array_equal(state["state"][0]["momentum_buffer"], before)
    assert list(state["state"]) == [0, 1]


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    params = weights()
    optimizer = mc.optim.SGD(params, lr=0.1, momentum=0.9)
    steps(optimizer, params, 1)
    other = mc.optim.SGD([params[0]], lr=0.5)
    with pytest.raises(ValueError, match=r"SGD: stored groups have \[2\] parameters, the optimiser has \[1\]"):
        other.load_state_dict(optimizer.state_dict())
    swapped = mc.optim.SGD(params[::-1], lr=0.5)
    with pytest.raises(ValueError, match="does not fit its parameter"):
        swapped.load_state_dict(optimizer.state_dict())
    assert swapped.param_groups[0]["lr"] == 0.5 and not swapped.state
    with pytest.raises(ValueError, match="SGD: the state lacks 'state' and 'param_groups'"):
        swapped.load_state_dict({})
    with pytest.raises(ValueError, match="SGD: the state is of parameter 7"):
        swapped.load_state_dict({**swapped.state_dict(), "state": {7: {}}})


def test_groups_have_options_of_their_own():
    a, b = weights()
    optimizer = mc.optim.SGD([{"params": [a]}, {"params": [b], "lr": 1.0}], lr=0.0)
    before = a.detach().numpy().copy()
    steps(optimizer, [a, b], 1)
    np.testing.assert_array_equal(a.detach().numpy(), before)
    c = mc.tensor([1.0], requires_grad=True)
    optimizer.add_param_group({"params": c, "momentum": 0.5})
    assert [len(g["params"]) for g in optimizer.param_groups] == [1, 1, 1]


def test_mistakes_are_named():
    w = mc.tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"SGD: params must be an iterable of Tensors; write \[tensor\]"):
        mc.optim.SGD(w)
    with pytest.raises(ValueError, match="SGD: params is empty"):
        mc.optim.SGD([])
    with pytest.raises(ValueError, match="SGD: parameter 0 is not a leaf"):
        mc.optim.SGD([w * 2.0])
    with pytest.raises(ValueError, match="SGD: parameter 1 is given twice"):
        mc.optim.SGD([w, w])
    with pytest.raises(TypeError, match="SGD: parameter 0 must be floating"):
        mc.optim.SGD([mc.tensor([1])])
    with pytest.raises(ValueError, match="SGD: unknown option 'rate'"):
        mc.optim.SGD([{"params": [w], "rate": 1.0}])
    with pytest.raises(ValueError, match=r"SGD: lr must be >= 0, got -1"):
        mc.optim.SGD([w], lr=-1.0)
    for lr in ("a", None):
        with pytest.raises(TypeError, match=f"SGD: lr must be a number, got {lr!r}"):
            mc.optim.SGD([w], lr=lr)
    with pytest.raises(ValueError, match=r"RMSprop: alpha must be in \[0, 1\), got 1.0"):
        mc.optim.RMSprop([w], alpha=1.0)
    with pytest.raises(ValueError, match=r"Adadelta: rho must be in \[0, 1\], got 1.5"):
        mc.optim.Adadelta([w], rho=1.5)
    with pytest.raises(ValueError, match="SGD: a parameter group lacks 'params'"):
        mc.optim.SGD([{"lr": 1.0}])
    with pytest.raises(ValueError, match="nesterov needs momentum"):
        mc.optim.SGD([w], nesterov=True)
    with pytest.raises(ValueError, match=r"Adam: beta2 must be in \[0, 1\), got 1.0"):
        mc.optim.Adam([w], betas=(0.9, 1.0))


def test_a_step_is_noticed_by_a_graph_that_saved_the_weight():
    w = mc.tensor([2.0], requires_grad=True)
    optimizer = mc.optim.SGD([w], lr=0.1)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_parameters_without_gradient_stay():
    a, b = weights()
    before = b.detach().numpy().copy()
    optimizer = mc.optim.Adam([a, b])
    (a * a).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(b.detach().numpy(), before)
    assert b not in optimizer.state


def test_zero_grad_forgets_or_fills():
    w = mc.tensor([2.0], requires_grad=True)
    optimizer = mc.optim.SGD([w])
    (w * w).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert w.grad is None


def test_a_closure_is_evaluated_with_gradients_and_its_loss_returned():
    w = mc.tensor([2.0], requires_grad=True)
    optimizer = mc.optim.SGD([w], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with mc.no_grad():
        assert optimizer.step(closure).item() == 4.0
    assert w.item() == 0.0


def test_updates_are_on_the_event_stream():
    w = mc.tensor([2.0], requires_grad=True)
    w.grad = mc.tensor([1.0])
    seen = []
    with events.listen(lambda kind, *args: seen.append((kind, args))):
        mc.optim.SGD([w], lr=0.5).step()
    assert seen == [("update", (w,))]


def test_options_that_are_switched_on_later_find_their_state():
    w = mc.tensor([2.0], requires_grad=True)
    optimizer = mc.optim.RMSprop([w], lr=0.1)
    w.grad = mc.tensor([1.0])
    optimizer.step()
    optimizer.param_groups[0].update(momentum=0.9, centered=True)
    optimizer.step()
    assert np.isfinite(w.item())
