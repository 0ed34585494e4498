"""Every optimiser against scalar loops on a quadratic, the checks of its own formula, and PyTorch."""

import numpy as np
import pytest

import minicnn as mc
from tests.oracles import optim as oracle

A = np.array([[3.0, 0.5, -0.2], [0.5, 1.0, 0.1], [-0.2, 0.1, 0.3]])
X0 = np.array([1.0, -2.0, 0.7])

RULES = {
    "sgd": (mc.optim.SGD, {"lr": 0.1}, oracle.sgd, {}),
    "momentum": (mc.optim.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}, oracle.sgd, {}),
    "dampened": (mc.optim.SGD, {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}, oracle.sgd, {}),
    "nesterov": (mc.optim.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}, oracle.sgd, {}),
    "adagrad": (mc.optim.Adagrad, {"lr": 0.3, "lr_decay": 0.01, "weight_decay": 0.02}, oracle.adagrad, {}),
    "adadelta": (mc.optim.Adadelta, {"rho": 0.95, "weight_decay": 0.01}, oracle.adadelta, {}),
    "rmsprop": (mc.optim.RMSprop, {"lr": 0.01, "alpha": 0.9, "weight_decay": 0.01}, oracle.rmsprop, {}),
    "rmsprop_centered": (
        mc.optim.RMSprop, {"lr": 0.01, "alpha": 0.9, "momentum": 0.9, "centered": True}, oracle.rmsprop, {},
    ),
    "rmsprop_inside": (
        mc.optim.RMSprop, {"lr": 0.045, "alpha": 0.9, "eps": 1.0, "momentum": 0.9, "eps_inside_root": True},
        oracle.rmsprop, {"inside": True},
    ),
    "adam": (mc.optim.Adam, {"lr": 0.1, "weight_decay": 0.1}, oracle.adam, {}),
    "amsgrad": (mc.optim.Adam, {"lr": 0.1, "amsgrad": True}, oracle.adam, {}),
    "adamw": (mc.optim.AdamW, {"lr": 0.1, "weight_decay": 0.1}, oracle.adam, {"decoupled": True}),
    "lars": (
        mc.optim.LARS, {"lr": 1.0, "weight_decay": 0.1, "trust_coefficient": 0.05, "exclude": lambda p: False},
        oracle.lars, {"trust": 0.05},
    ),
}  # fmt: skip


def quadratic(w, a=A):
    """x'Ax / 2."""
    return (mc.ops.matmul(mc.tensor(a), w) * w).sum() * 0.5


def descend(optimizer, w, steps, loss=quadratic):
    path = [w.detach().numpy().copy()]
    for _ in range(steps):
        optimizer.zero_grad()
        loss(w).backward()
        optimizer.step()
        path.append(w.detach().numpy().copy())
    return np.array(path)


def leaf(values=X0):
    return mc.tensor(np.array(values, dtype=np.float64), requires_grad=True)


@pytest.mark.parametrize("name", RULES)
def test_fifty_steps_on_a_quadratic_equal_the_scalar_loop(name):
    rule, options, loop, changes = RULES[name]
    w = leaf()
    descend(rule([w], **options), w, 50)
    own = {"exclude", "trust_coefficient", "eps_inside_root"}
    expected = loop(X0, oracle.quadratic_gradient(A.tolist()), 50, **{
        **{k: v for k, v in options.items() if k not in own}, **({"lr": 1.0} if name == "adadelta" else {}), **changes,
    })  # fmt: skip
    np.testing.assert_allclose(w.detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.torch
@pytest.mark.parametrize("name", [n for n in RULES if n not in ("lars", "rmsprop_inside")])
def test_steps_equal_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    rule, options, _, _ = RULES[name]
    w, v = leaf(), torch.tensor(X0, requires_grad=True)
    optimizer = getattr(torch.optim, rule.__name__)([v], **options)
    for _ in range(20):
        optimizer.zero_grad()
        (0.5 * v @ torch.tensor(A) @ v).backward()
        optimizer.step()
    descend(rule([w], **options), w, 20)
    np.testing.assert_allclose(w.detach().numpy(), v.detach().numpy(), rtol=0, atol=1e-12)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["SGD", "Adagrad", "Adadelta", "RMSprop", "Adam", "AdamW"])
def test_defaults_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)]).defaults
    ours = getattr(mc.optim, name)([leaf()]).defaults
    for key, value in ours.items():
        if key in theirs:
            assert value == theirs[key], key


def test_alexnets_form_of_momentum_is_the_same():
    mu, rate, decay = 0.9, 0.01, 0.0005
    w = leaf()
    ours = descend(mc.optim.SGD([w], lr=rate, momentum=mu, weight_decay=decay), w, 30)
    x, v = X0.copy(), np.zeros(3)
    for step in range(30):
        v = mu * v - decay * rate * x - rate * (A @ x)
        x = x + v
        np.testing.assert_allclose(ours[step + 1], x, atol=1e-13)


def test_momentum_on_a_quadratic_is_a_matrix_power():
    curvature, rate, mu, steps = 2.5, 0.1, 0.9, 25
    w = leaf([1.5])
    ours = descend(mc.optim.SGD([w], lr=rate, momentum=mu), w, steps, lambda w: (w * w).sum() * (curvature / 2))
    # (x, v) -> (x - rate (mu v + curvature x), mu v + curvature x)
    one = np.array([[1 - rate * curvature, -rate * mu], [curvature, mu]])
    state = np.linalg.matrix_power(one, steps) @ np.array([1.5, 0.0])
    np.testing.assert_allclose(ours[-1], state[:1], atol=1e-12)


def test_nesterovs_two_forms_agree_after_the_change_of_variable():
    mu, rate = 0.9, 0.05
    w = leaf()
    library = descend(mc.optim.SGD([w], lr=rate, momentum=mu, nesterov=True), w, 30)
    x, v = X0.copy(), np.zeros(3)
    for step in range(30):
        v = mu * v - rate * (A @ (x + mu * v))
        x = x + v
        np.testing.assert_allclose(library[step + 1], x + mu * v, atol=1e-12)


def test_adagrad_steps_shrink_with_the_root_of_time():
    w = leaf([0.0, 0.0])
    path = descend(mc.optim.Adagrad([w], lr=0.01), w, 20, lambda w: (w * mc.tensor(np.array([3.0, -0.2]))).sum())
    sizes = np.abs(np.diff(path, axis=0))
    expected = 0.01 / np.sqrt(np.arange(1, 21))
    np.testing.assert_allclose(sizes, np.stack([expected, expected], 1), rtol=1e-8)


def test_adadelta_starts_with_the_printed_step():
    w = leaf([0.0, 0.0])
    g = np.array([0.4, -7.0])
    descend(mc.optim.Adadelta([w], rho=0.95, eps=1e-6), w, 1, lambda w: (w * mc.tensor(g)).sum())
    np.testing.assert_allclose(w.detach().numpy(), -np.sqrt(1e-6) / np.sqrt(0.05 * g**2 + 1e-6) * g, rtol=1e-12)


def test_adadelta_hardly_notices_the_scale_of_the_loss():
    paths = []
    for scale in (1.0, 10.0):
        w = leaf([2.0, -3.0])
        paths.append(descend(mc.optim.Adadelta([w], rho=0.95), w, 10, lambda w, k=scale: (w * w).sum() * (0.5 * k))[-1])
    moved = np.abs(paths[0] - np.array([2.0, -3.0]))
    assert np.all(np.abs(paths[1] - paths[0]) < 0.01 * moved)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [  # g = 1, alpha = 0.75, eps = 0.25, lr = 1: E = 0.25, 0.4375, 0.578125
        (False, -(1 / 0.75 + 1 / (0.4375**0.5 + 0.25) + 1 / (0.578125**0.5 + 0.25))),
        (True, -(1 / 0.5**0.5 + 1 / 0.6875**0.5 + 1 / 0.828125**0.5)),
    ],
)
def test_rmsprop_puts_epsilon_where_it_is_told(inside, expected):
    w = leaf([0.0])
    optimizer = mc.optim.RMSprop([w], lr=1.0, alpha=0.75, eps=0.25, eps_inside_root=inside)
    descend(optimizer, w, 3, lambda w: w.sum())
    assert abs(w.item() - expected) < 1e-14


def test_adams_first_step_has_the_size_of_the_rate():
    w = leaf([0.0, 0.0, 0.0])
    descend(mc.optim.Adam([w], lr=0.125), w, 1, lambda w: (w * mc.tensor(np.array([0.1, -5.0, 1e6]))).sum())
    np.testing.assert_allclose(w.detach().numpy(), [-0.125, 0.125, -0.125], rtol=1e-6)


def test_lars_moves_by_a_part_of_the_norm_whatever_the_scale_of_the_gradient():
    sizes = []
    for scale in (1.0, 1000.0):
        w = leaf([[3.0, 4.0]])
        path = descend(mc.optim.LARS([w], lr=0.5), w, 1, lambda w, k=scale: (w * w).sum() * k)
        sizes.append(np.linalg.norm(path[1] - path[0]))
    np.testing.assert_allclose(sizes, 0.5 * 0.001 * 5.0, rtol=1e-12)


def test_lars_leaves_vectors_and_dead_tensors_to_plain_momentum():
    bias, zero = leaf([1.0, 1.0]), leaf([[0.0, 0.0]])
    optimizer = mc.optim.LARS([bias, zero], lr=0.5, weight_decay=10.0)
    (bias.sum() + zero.sum()).backward()
    optimizer.step()
    assert bias.tolist() == [0.5, 0.5]
    assert zero.tolist() == [[-0.5, -0.5]]


def test_maximize_goes_up():
    w = leaf([1.0])
    descend(mc.optim.SGD([w], lr=0.1, maximize=True), w, 1, lambda w: (w * w).sum())
    assert w.item() == pytest.approx(1.2)


@pytest.mark.parametrize("shape", [(7,), (1,), (0,), (3, 70_000)])
def test_float32_steps_of_any_size_are_the_same_numbers(shape):
    rng = np.random.default_rng(0)
    start, g = rng.normal(size=shape).astype(np.float32), rng.normal(size=shape).astype(np.float32)
    w = mc.tensor(start, requires_grad=True)
    w.grad = mc.tensor(g)
    mc.optim.SGD([w], lr=0.5, momentum=0.9, weight_decay=0.25).step()
    np.testing.assert_allclose(w.detach().numpy(), start - 0.5 * (g + 0.25 * start), rtol=1e-6, atol=1e-6)


def test_a_parameter_that_is_not_contiguous_is_updated():
    w = mc.Tensor(np.ones((3, 2)).T, requires_grad=True)
    w.grad = mc.tensor(np.arange(6.0).reshape(2, 3))
    mc.optim.SGD([w], lr=1.0).step()
    np.testing.assert_array_equal(w.detach().numpy(), 1 - np.arange(6.0).reshape(2, 3))
