"""vjp, jvp, hvp, jacobian and hessian against closed forms."""

import numpy as np

import minicnn as mc

A = np.random.default_rng(0).normal(size=(3, 4))
X = np.random.default_rng(1).normal(size=4)


def f(x):
    return (mc.tensor(A) @ x).tanh()


def jacobian_of_f():
    return (1 - np.tanh(A @ X) ** 2)[:, None] * A


def test_vjp_and_jvp_are_the_jacobian_times_a_vector():
    u, v = np.arange(3.0), np.arange(4.0)
    value, pulled = mc.vjp(f, mc.tensor(X), mc.tensor(u))
    _, pushed = mc.jvp(f, mc.tensor(X), mc.tensor(v))
    np.testing.assert_allclose(value.numpy(), np.tanh(A @ X), rtol=1e-12)
    np.testing.assert_allclose(pulled.numpy(), u @ jacobian_of_f(), rtol=1e-12)
    np.testing.assert_allclose(pushed.numpy(), jacobian_of_f() @ v, rtol=1e-12)


def test_jacobian_is_the_full_matrix():
    np.testing.assert_allclose(mc.jacobian(f, mc.tensor(X)).numpy(), jacobian_of_f(), rtol=1e-12)


def test_hessian_and_hvp_of_a_quartic():
    def q(x):
        return (x * x).sum() ** 2

    n = X @ X
    expected = 4 * n * np.eye(4) + 8 * np.outer(X, X)
    v = np.array([1.0, -1.0, 2.0, 0.0])
    np.testing.assert_allclose(mc.hessian(q, mc.tensor(X)).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(mc.hvp(q, mc.tensor(X), mc.tensor(v))[1].numpy(), expected @ v, rtol=1e-12)


def test_several_inputs_and_inputs_without_influence():
    x, y = mc.tensor(X), mc.tensor(np.ones(2))
    jx, jy = mc.jacobian(lambda a, b: a * a, [x, y])
    np.testing.assert_allclose(jx.numpy(), np.diag(2 * X))
    assert jy.shape == (4, 2)
    assert not jy.numpy().any()
    _, product = mc.hvp(lambda a, b: a.sum(), [x, y], [x, y])
    assert [p.shape for p in product] == [(4,), (2,)]
    _, slope = mc.jvp(lambda a, b: b * 3.0, [x, y], [x, y])
    np.testing.assert_allclose(slope.numpy(), [3.0, 3.0])


def test_a_linear_function_has_a_zero_hessian():
    assert not mc.hessian(lambda x: x.sum(), mc.tensor(X)).numpy().any()


def test_a_function_that_ignores_its_input_has_zero_derivatives():
    x, constant = mc.tensor(X), mc.tensor(np.array(2.0))
    assert not mc.vjp(lambda v: constant, x)[1].numpy().any()
    assert not mc.jvp(lambda v: constant, x, x)[1].numpy().any()
    assert not mc.hvp(lambda v: constant, x, x)[1].numpy().any()
    assert not mc.hessian(lambda v: constant, x).numpy().any()
