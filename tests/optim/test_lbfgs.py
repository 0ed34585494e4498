"""L-BFGS on problems whose answer is known."""

import numpy as np
import pytest

import minicnn as mc


def minimise(optimizer, w, loss, calls):
    def closure():
        optimizer.zero_grad()
        value = loss(w)
        value.backward()
        return value

    for _ in range(calls):
        optimizer.step(closure)
    closure()
    return w


def rosenbrock(w):
    x, y = w[0], w[1]
    return (1.0 - x) ** 2 + 100.0 * (y - x * x) ** 2


def problem(seed=0, n=10, condition=100.0):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    a = q @ np.diag(np.linspace(1.0, condition, n)) @ q.T
    b = rng.normal(size=n)
    matrix, vector = mc.tensor((a + a.T) / 2), mc.tensor(b)
    return lambda w: (mc.ops.matmul(matrix, w) * w).sum() * 0.5 - (vector * w).sum(), np.linalg.solve(a, b)


@pytest.mark.parametrize("seed", range(5))
def test_a_quadratic_of_condition_100_is_solved_within_forty_iterations(seed):
    loss, solution = problem(seed)
    w = mc.tensor(np.zeros(10), requires_grad=True)
    options = {"max_iter": 40, "tolerance_grad": 2e-8, "tolerance_change": 0.0, "history_size": 10}
    optimizer = mc.optim.LBFGS([w], **options, line_search_fn="strong_wolfe")
    minimise(optimizer, w, loss, 1)
    assert optimizer.iterations <= 40
    assert np.linalg.norm(w.grad.numpy()) <= 1e-7
    np.testing.assert_allclose(w.detach().numpy(), solution, atol=1e-7)


def test_rosenbrocks_valley_takes_at_most_sixty_iterations():
    w = mc.tensor(np.array([-1.2, 1.0]), requires_grad=True)
    optimizer = mc.optim.LBFGS([w], max_iter=60, max_eval=200, history_size=10, line_search_fn="strong_wolfe")
    minimise(optimizer, w, rosenbrock, 1)
    assert rosenbrock(w).item() <= 1e-10 and optimizer.iterations <= 60


def test_several_parameters_are_one_vector():
    a, b = mc.tensor(np.ones((2, 3)), requires_grad=True), mc.tensor(np.array(5.0), requires_grad=True)
    optimizer = mc.optim.LBFGS([a, b], line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = ((a - 2.0) ** 2).sum() * 3.0 + (b * b + a.sum() * b * 0.1)
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    closure()
    assert abs(a.grad.numpy()).max() < 1e-5 and abs(b.grad.item()) < 1e-5


def test_a_step_returns_the_loss_it_started_from():
    w = mc.tensor(np.array([3.0]), requires_grad=True)
    optimizer = mc.optim.LBFGS([w], max_iter=3)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9.0


def test_a_restored_history_continues_bit_for_bit():
    loss, _ = problem(4)
    w = mc.tensor(np.zeros(10), requires_grad=True)
    first = mc.optim.LBFGS([w], max_iter=4, line_search_fn="strong_wolfe")
    minimise(first, w, loss, 1)
    v = mc.tensor(w.detach(), requires_grad=True)
    second = mc.optim.LBFGS([v], max_iter=4, line_search_fn="strong_wolfe")
    second.load_state_dict(first.state_dict())
    minimise(first, w, loss, 2)
    minimise(second, v, loss, 2)
    np.testing.assert_array_equal(w.detach().numpy(), v.detach().numpy())


def test_mistakes_are_named():
    w = mc.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match="line_search_fn must be None or 'strong_wolfe'"):
        mc.optim.LBFGS([w], line_search_fn="armijo")
    with pytest.raises(ValueError, match="one parameter group only"):
        mc.optim.LBFGS([{"params": [w]}, {"params": [mc.tensor([1.0], requires_grad=True)]}])
    with pytest.raises(ValueError, match="LBFGS: the state lacks steps, changes, last"):
        mc.optim.LBFGS([mc.tensor([1.0], requires_grad=True)]).load_state_dict({})
    with pytest.raises(TypeError, match="step needs a closure"):
        mc.optim.LBFGS([w]).step()
