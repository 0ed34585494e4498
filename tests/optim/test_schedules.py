"""Schedules as formulas, beside PyTorch, and resumed."""

import math

import numpy as np
import pytest

import minicnn as mc

RULES = {
    "StepLR": {"step_size": 3, "gamma": 0.96},
    "MultiStepLR": {"milestones": [2, 5, 5, 9], "gamma": 0.3},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingLR": {"T_max": 7, "eta_min": 0.01},
    "LinearLR": {"start_factor": 0.1, "total_iters": 6},
    "ConstantLR": {"factor": 0.25, "total_iters": 4},
    "PolynomialLR": {"total_iters": 8, "power": 0.9},
}


def optimizer(lr=0.5):
    return mc.optim.SGD([mc.tensor([0.0], requires_grad=True)], lr=lr)


def rates(schedule, n):
    seen = []
    for _ in range(n):
        seen.append(schedule.get_last_lr()[0])
        schedule.step()
    return seen


FORMULAS = {
    "StepLR": lambda t: 0.5 * 0.96 ** (t // 3),
    "MultiStepLR": lambda t: 0.5 * 0.3 ** ((t >= 2) + 2 * (t >= 5) + (t >= 9)),
    "ExponentialLR": lambda t: 0.5 * 0.9**t,
    "CosineAnnealingLR": lambda t: 0.01 + 0.49 * (1 + math.cos(math.pi * (t / 7))) / 2,
    "LinearLR": lambda t: 0.5 * (0.1 + 0.9 * (min(t, 6) / 6)),
    "ConstantLR": lambda t: 0.125 if t < 4 else 0.5,
    "PolynomialLR": lambda t: 0.5 * (1 - min(t, 8) / 8) ** 0.9,
}


@pytest.mark.parametrize("name", RULES)
def test_rates_are_the_closed_formula(name):
    seen = rates(getattr(mc.optim, name)(optimizer(), **RULES[name]), 15)
    np.testing.assert_allclose(seen, [FORMULAS[name](t) for t in range(15)], rtol=1e-15)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RULES)
def test_rates_equal_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    expected = rates(getattr(torch.optim.lr_scheduler, name)(theirs, **RULES[name]), 15)
    np.testing.assert_allclose(rates(getattr(mc.optim, name)(optimizer(), **RULES[name]), 15), expected, rtol=1e-12)


def test_the_published_decays():
    googlenet = rates(mc.optim.StepLR(optimizer(1.0), 8, 0.96), 17)
    assert googlenet[7:9] == [1.0, 0.96] and googlenet[16] == 0.96**2
    inception = rates(mc.optim.StepLR(optimizer(0.045), 2, 0.94), 5)
    np.testing.assert_allclose(inception, [0.045, 0.045, 0.0423, 0.0423, 0.045 * 0.94**2])


def test_warm_up_then_cosine():
    seen = rates(mc.optim.WarmupCosineLR(optimizer(1.0), warmup=4, total=12, eta_min=0.1), 15)
    assert seen[:5] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert seen[8] == pytest.approx(0.55) and seen[12:] == [0.1] * 3


def test_a_lambda_multiplies_the_base_rate_of_its_group():
    params = [mc.tensor([0.0], requires_grad=True) for _ in range(2)]
    rule = mc.optim.SGD([{"params": [params[0]]}, {"params": [params[1]], "lr": 2.0}], lr=1.0)
    schedule = mc.optim.LambdaLR(rule, [lambda t: 1.0 / (t + 1), lambda t: 0.5**t])
    schedule.step()
    schedule.step()
    assert schedule.get_last_lr() == [1.0 / 3, 0.5]
    with pytest.raises(ValueError, match="expected 2 functions"):
        mc.optim.LambdaLR(rule, [lambda t: 1.0])


def test_one_schedule_after_another_counts_from_its_milestone():
    rule = optimizer(1.0)
    parts = [mc.optim.LinearLR(rule, 0.25, total_iters=3), mc.optim.ExponentialLR(rule, 0.5)]
    seen = rates(mc.optim.SequentialLR(rule, parts, [3]), 6)
    np.testing.assert_allclose(seen, [0.25, 0.5, 0.75, 1.0, 0.5, 0.25])


def test_a_plateau_forgives_patience_epochs_and_fires_at_the_next():
    rule = optimizer(1.0)
    schedule = mc.optim.ReduceLROnPlateau(rule, factor=0.1, patience=3)
    seen = []
    for loss in [5.0, 4.0] + [4.0] * 8:
        schedule.step(loss)
        seen.append(rule.param_groups[0]["lr"])
    np.testing.assert_allclose(seen, [1.0] * 5 + [0.1] * 4 + [0.01])


@pytest.mark.torch
@pytest.mark.parametrize("seed", range(4))
def test_a_plateau_equals_pytorchs(seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    options = {
        "mode": ["min", "max"][seed % 2], "threshold_mode": ["rel", "abs"][seed // 2], "threshold": 0.05, "factor": 0.5,
        "patience": 2, "cooldown": 1, "min_lr": 0.05,
    }  # fmt: skip
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    ours = optimizer(1.0)
    a, b = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options), mc.optim.ReduceLROnPlateau(ours, **options)
    for metric in rng.normal(size=40) + 3:
        a.step(metric)
        b.step(metric)
        assert ours.param_groups[0]["lr"] == theirs.param_groups[0]["lr"]


@pytest.mark.parametrize("name", RULES)
def test_a_resumed_schedule_continues(name):
    whole = rates(getattr(mc.optim, name)(optimizer(), **RULES[name]), 12)
    rule = optimizer()
    schedule = getattr(mc.optim, name)(rule, **RULES[name])
    rates(schedule, 5)
    saved, state = rule.state_dict(), schedule.state_dict()
    other = optimizer()
    resumed = getattr(mc.optim, name)(other, **RULES[name])
    other.load_state_dict(saved)
    resumed.load_state_dict(state)
    assert rates(resumed, 7) == whole[5:]


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="StepLR: step_size must be >= 1"):
        mc.optim.StepLR(optimizer(), 0)
    for name, option in (("CosineAnnealingLR", "T_max"), ("LinearLR", "total_iters"), ("PolynomialLR", "total_iters")):
        with pytest.raises(ValueError, match=f"{name}: {option} must be >= 1, got 0"):
            getattr(mc.optim, name)(optimizer(), **{option: 0})
    with pytest.raises(ValueError, match="WarmupCosineLR: expected 0 <= warmup < total"):
        mc.optim.WarmupCosineLR(optimizer(), 5, 5)
    with pytest.raises(ValueError, match="ReduceLROnPlateau: factor must be < 1"):
        mc.optim.ReduceLROnPlateau(optimizer(), factor=1.0)
    with pytest.raises(ValueError, match="need 1 milestones"):
        mc.optim.SequentialLR(optimizer(), [mc.optim.ExponentialLR(optimizer(), 0.5)] * 2, [])
