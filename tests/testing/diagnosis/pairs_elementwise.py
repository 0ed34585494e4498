"""Activations and arithmetic: each function makes a wrong pair from a random generator; its cause stands in PAIRS."""

import numpy as np

from tests.testing.diagnosis.building import Wrong

PAIRS = []


def wrong(cause):
    def register(make):
        PAIRS.append((cause, make))
        return make

    return register


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def away(r, *shape):
    """Numbers at least 0.15 from zero."""
    x = r.standard_normal(shape)
    return x + 0.15 * np.sign(x)


@wrong("sign-flipped")
def cos_without_minus(r):
    return Wrong(np.cos, lambda gy, x: (gy * np.sin(x),), [r.standard_normal((3, 4))])


@wrong("sign-flipped")
def subtraction(r):
    return Wrong(lambda a, b: a - b, lambda gy, a, b: (gy, gy), [r.standard_normal(5), r.standard_normal(5)], by=1)


@wrong("sign-flipped")
def absolute_of_negative(r):
    return Wrong(np.abs, lambda gy, x: (gy * np.ones_like(x),), [away(r, 3, 4)])


@wrong("constant-factor")
def square_without_two(r):
    return Wrong(lambda x: x**2, lambda gy, x: (gy * x,), [r.standard_normal((2, 3))])


@wrong("constant-factor")
def exp_with_alpha(r):
    return Wrong(
        lambda x, alpha: np.exp(alpha * x),
        lambda gy, x, alpha: (gy * np.exp(alpha * x),),
        [r.standard_normal((2, 5))],
        {"alpha": 1.7},
    )


@wrong("constant-factor")
def log2_as_log(r):
    return Wrong(np.log2, lambda gy, x: (gy / x,), [r.random((3, 3)) + 0.5])


@wrong("constant-factor")
def elu_negative_alpha(r):
    return Wrong(
        lambda x, alpha: np.where(x > 0, x, alpha * (np.exp(x) - 1)),
        lambda gy, x, alpha: (gy * np.where(x > 0, 1, np.exp(x)),),
        [away(r, 4, 5)],
        {"alpha": 0.7},
    )


@wrong("constant-factor")
def dropout_scale(r):
    mask = (r.random((4, 5)) > 0.3).astype(float)
    mask[0, 0], mask[1, 1] = 1.0, 0.0
    return Wrong(
        lambda x, m, p: x * m / (1 - p),
        lambda gy, x, m, p: (gy * m, None),
        [r.standard_normal((4, 5)), mask],
        {"p": 0.3},
    )


@wrong("upstream-ignored")
def tanh_without_upstream(r):
    return Wrong(np.tanh, lambda gy, x: (1 - np.tanh(x) ** 2,), [r.standard_normal((2, 3))])


@wrong("upstream-squared")
def upstream_twice(r):
    return Wrong(np.exp, lambda gy, x: (gy * gy * np.exp(x),), [r.standard_normal(4)])


@wrong("nonlinear-in-upstream")
def guided_relu(r):
    return Wrong(lambda x: np.maximum(x, 0), lambda gy, x: (np.maximum(gy, 0) * (x > 0),), [away(r, 3, 4)])


@wrong("weight-decay-in-gradient")
def decay_inside(r):
    return Wrong(
        lambda x, w: x @ w,
        lambda gy, x, w: (gy @ w.T, x.T @ gy + 0.01 * w),
        [r.standard_normal((3, 4)), r.standard_normal((4, 2))],
        by=1,
    )


@wrong("gradient-clipped")
def clipped_upstream(r):
    return Wrong(lambda x: 3 * x, lambda gy, x: (np.clip(3 * gy, -1, 1),), [r.standard_normal(6)])


@wrong("gradient-clipped")
def norm_clipped(r):
    def backward(gy, x):
        g = gy * np.cos(x)
        return (g / max(1.0, np.linalg.norm(g)),)

    return Wrong(np.sin, backward, [r.standard_normal((2, 3))])


@wrong("missing-gradient")
def nothing_returned(r):
    return Wrong(
        lambda a, b: a * b, lambda gy, a, b: (gy * b, None), [r.standard_normal(4), r.standard_normal(4)], by=1
    )


@wrong("missing-factor")
def tanh_passed_through(r):
    return Wrong(np.tanh, lambda gy, x: (gy,), [r.standard_normal((3, 3))])


@wrong("missing-factor")
def sigmoid_half(r):
    return Wrong(sigmoid, lambda gy, x: (gy * sigmoid(x),), [r.standard_normal((3, 3))])


@wrong("missing-factor")
def product_ignores_other(r):
    return Wrong(
        lambda a, b: a * b, lambda gy, a, b: (gy, gy * a), [r.standard_normal((2, 3)), r.standard_normal((2, 3))]
    )


@wrong("missing-factor")
def log_without_division(r):
    return Wrong(np.log, lambda gy, x: (gy,), [r.random((2, 4)) + 0.5])


@wrong("missing-factor")
def division_without_divisor(r):
    return Wrong(lambda a, b: a / b, lambda gy, a, b: (gy, -gy * a / b**2), [r.standard_normal(5), r.random(5) + 0.5])


@wrong("wrong-power")
def cube(r):
    return Wrong(lambda x: x**3, lambda gy, x: (3 * gy * x**3,), [away(r, 2, 4)])


@wrong("wrong-power")
def quotient_denominator(r):
    return Wrong(
        lambda a, b: a / b, lambda gy, a, b: (gy / b, -gy * a / b), [away(r, 2, 3), r.random((2, 3)) + 0.5], by=1
    )


@wrong("missing-term")
def silu_first_term_only(r):
    return Wrong(lambda x: x * sigmoid(x), lambda gy, x: (gy * sigmoid(x),), [r.standard_normal((3, 4))])


@wrong("missing-term")
def silu_second_term_only(r):
    return Wrong(
        lambda x: x * sigmoid(x), lambda gy, x: (gy * x * sigmoid(x) * (1 - sigmoid(x)),), [r.standard_normal((3, 4))]
    )


@wrong("missing-term")
def x_sin_x(r):
    return Wrong(lambda x: x * np.sin(x), lambda gy, x: (gy * x * np.cos(x),), [r.standard_normal(7)])


@wrong("missing-term")
def polynomial(r):
    return Wrong(lambda x: x**3 + 2 * x, lambda gy, x: (gy * 3 * x**2,), [r.standard_normal((2, 3))])


@wrong("missing-term")
def product_plus(r):
    return Wrong(
        lambda a, b: a * b + a**2, lambda gy, a, b: (gy * 2 * a, gy * a), [r.standard_normal(5), r.standard_normal(5)]
    )


@wrong("wrong-local-derivative")
def softplus_as_tanh(r):
    return Wrong(lambda x: np.log1p(np.exp(x)), lambda gy, x: (gy * np.tanh(x),), [r.standard_normal((3, 4))])


@wrong("saved-value-confused")
def tanh_of_input(r):
    return Wrong(np.tanh, lambda gy, x: (gy * (1 - x**2),), [r.standard_normal((3, 4))])


@wrong("saved-value-confused")
def tanh_twice(r):
    return Wrong(np.tanh, lambda gy, x: (gy * (1 - np.tanh(np.tanh(x)) ** 2),), [r.standard_normal((3, 4))])


@wrong("saved-value-confused")
def sigmoid_of_input(r):
    return Wrong(sigmoid, lambda gy, x: (gy * x * (1 - x),), [r.standard_normal((3, 4))])


@wrong("saved-value-confused")
def log_of_output(r):
    return Wrong(np.log, lambda gy, x: (gy / np.log(x),), [r.random((2, 4)) + 1.5])


@wrong("wrong-operand")
def product_with_itself(r):
    return Wrong(
        lambda a, b: a * b, lambda gy, a, b: (gy * a, gy * a), [r.standard_normal((2, 3)), r.standard_normal((2, 3))]
    )


@wrong("mask-missing")
def relu_identity(r):
    return Wrong(lambda x: np.maximum(x, 0), lambda gy, x: (gy,), [away(r, 4, 5)])


@wrong("mask-missing")
def clip_identity(r):
    return Wrong(
        lambda x, lo, hi: np.clip(x, lo, hi), lambda gy, x, lo, hi: (gy,), [3 * away(r, 5, 5)], {"lo": -1.0, "hi": 1.0}
    )


@wrong("mask-inverted")
def relu_inverted(r):
    return Wrong(lambda x: np.maximum(x, 0), lambda gy, x: (gy * (x < 0),), [away(r, 4, 5)])


@wrong("mask-inverted")
def leaky_inverted(r):
    return Wrong(
        lambda x, slope: np.where(x > 0, x, slope * x),
        lambda gy, x, slope: (gy * np.where(x > 0, slope, 1),),
        [away(r, 4, 5)],
        {"slope": 0.1},
    )


@wrong("mask-inverted")
def where_exchanged(r):
    c = np.array([True, False, True, True, False, False])
    return Wrong(
        lambda c, a, b: np.where(c, a, b),
        lambda gy, c, a, b: (None, gy * ~c, gy * c),
        [c, r.standard_normal(6), r.standard_normal(6)],
        by=1,
    )


@wrong("mask-inverted")
def dropout_inverted(r):
    mask = (r.random((4, 5)) > 0.4).astype(float)
    mask[0, :2] = 0, 1
    return Wrong(
        lambda x, m: x * m / 0.6, lambda gy, x, m: (gy * (1 - m) / 0.6, None), [r.standard_normal((4, 5)), mask]
    )


@wrong("mask-too-strict")
def leaky_without_leak(r):
    return Wrong(lambda x: np.where(x > 0, x, 0.1 * x), lambda gy, x: (gy * (x > 0),), [away(r, 4, 5)])


@wrong("mask-too-strict")
def huber_clipped_away(r):
    return Wrong(
        lambda x: np.where(np.abs(x) < 1, x * x / 2, np.abs(x) - 0.5),
        lambda gy, x: (gy * x * (np.abs(x) < 1),),
        [2 * away(r, 4, 5)],
    )


@wrong("reduced-too-much")
def upstream_summed(r):
    return Wrong(np.exp, lambda gy, x: (gy.sum() * np.exp(x),), [r.standard_normal((2, 3))])


@wrong("epsilon-mismatch")
def eps_dropped(r):
    return Wrong(lambda x, eps: np.log(x + eps), lambda gy, x, eps: (gy / x,), [r.random((3, 4)) + 0.5], {"eps": 1e-3})


@wrong("reduced-precision")
def through_float16(r):
    def backward(gy, x):
        return ((gy * np.exp(x)).astype(np.float16).astype(float),)

    return Wrong(np.exp, backward, [r.standard_normal((3, 4))])


@wrong("reduced-precision")
def inner_half(r):
    return Wrong(
        lambda x: np.tanh(x) * 3.3,
        lambda gy, x: (3.3 * gy * (1 - np.tanh(x).astype(np.float16).astype(float) ** 2),),
        [r.standard_normal((5, 6))],
    )


@wrong("missing-factor")
def gate_without_tanh(r):
    def f(c, o):
        return sigmoid(o) * np.tanh(c)

    return Wrong(f, lambda gy, c, o: (gy * sigmoid(o), gy), [r.standard_normal((2, 4)), r.standard_normal((2, 4))])


@wrong("missing-factor")
def swish_beta_gradient(r):
    return Wrong(
        lambda x, s: s * np.sin(x),
        lambda gy, x, s: (gy * np.cos(x), (gy * np.sin(x)).sum()),
        [r.standard_normal((2, 4)), np.array(1.7)],
    )
