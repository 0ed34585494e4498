"""Wrong rules as they are really written: in element-wise functions, reductions, losses and matrix functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.testing.pairs import layers, wrong_contract, wrong_layers
from tests.testing.pairs.pair import FAIL, Pair, apart, away, fixed, normal, uniform

Array = Any


def wrong(name: str, f: Any, backward: Any, inputs: Any, cause: str | tuple[str, ...], *, note: str = "",
          **kwargs: Any) -> Pair:
    return Pair(name, "wrong", f, backward, inputs, kwargs, cause, FAIL, note=note)


def mse(p: Array, t: Array) -> Array:
    return ((p - t) ** 2).mean()


def mse_summed(gy: Array, p: Array, t: Array) -> tuple[Array, Array]:
    g = 2 * gy * (p - t)
    return g, -g


def mse_without_two(gy: Array, p: Array, t: Array) -> tuple[Array, Array]:
    g = gy * (p - t) / p.size
    return g, -g


def distances(a: Array, b: Array) -> Array:
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))


def distances_one_sign(gy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    g = gy[..., None] * (a[:, None] - b[None]) / distances(a, b)[..., None]
    return g.sum(1), g.sum(0)


def divided_by_batch_twice(gy: Array, x: Array, labels: Array) -> tuple[Array, None]:
    return layers.cross_entropy_backward(gy, x, labels)[0] / len(x), None


def batch(n: int, classes: int) -> Any:
    return lambda rng: [rng.standard_normal((n, classes)), rng.integers(0, classes, n)]


def scaled(x: Array, w: Array, *, scale: float) -> Array:
    return scale * (x @ w)


def scaled_backward(gy: Array, x: Array, w: Array, **_: float) -> tuple[Array, Array]:
    return gy @ w.T, x.T @ gy


def square_layer(x: Array, w: Array) -> Array:
    return x @ w.T


def log_softmax(x: Array) -> Array:
    m = x.max(1, keepdims=True)
    return x - m - np.log(np.exp(x - m).sum(1, keepdims=True))


def dropout(x: Array, *, keep: float, seed: int) -> Array:
    return x * (np.random.default_rng(seed).random(x.shape) < keep) / keep


def dropout_unscaled(gy: Array, x: Array, *, keep: float, seed: int) -> Array:
    return gy * (np.random.default_rng(seed).random(x.shape) < keep)


def swish_gate_only(gy: Array, x: Array) -> Array:
    return gy * layers.sigmoid(x)


def cosine(a: Array, b: Array) -> Array:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def cosine_fixed_norms(gy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    g = (gy / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))[:, None]
    return g * b, g * a


def rms_norm(x: Array, *, eps: float) -> Array:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)


def rms_norm_without_eps(gy: Array, x: Array, **_: float) -> Array:
    r = np.sqrt((x * x).mean(-1, keepdims=True))
    return (gy - x * (gy * x).mean(-1, keepdims=True) / r**2) / r


def variance_in_float32(gy: Array, x: Array) -> Array:
    small = x.astype(np.float32)
    return (gy[:, None] * 2 * (small - small.mean(1, keepdims=True)) / x.shape[1]).astype(np.float64)


def cumprod_by_division(gy: Array, x: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.cumsum((gy * np.cumprod(x))[::-1])[::-1] / x


def one_zero(rng: np.random.Generator) -> list[Array]:
    x = rng.uniform(0.5, 1.5, 5)
    x[2] = 0.0
    return [x]


def safe_sqrt(x: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.where(x > 0, np.sqrt(x), 0 * x)


def safe_sqrt_backward(gy: Array, x: Array) -> Array:
    with np.errstate(all="ignore"):
        return gy * (x > 0) * 0.5 / np.sqrt(x)


def sorted_by_the_same_order(gy: Array, x: Array) -> Array:
    return np.take_along_axis(gy, x.argsort(1), 1)


def rotated(rng: np.random.Generator) -> list[Array]:
    """Rows whose sorting permutation is not its own inverse."""
    return [np.array([[2.0, 0.0, 1.0, 3.0], [1.0, 2.0, 3.0, 0.0]]) + rng.uniform(-0.2, 0.2, (2, 4))]


def spread_std(x: Array, *, ddof: int) -> Array:
    return x.std(1, ddof=ddof)


def spread_std_by_n(gy: Array, x: Array, *, ddof: int) -> Array:
    return gy[:, None] * (x - x.mean(1, keepdims=True)) / x.std(1, ddof=ddof)[:, None] / x.shape[1]


def triplet(a: Array, p: Array, n: Array, *, margin: float) -> Array:
    return np.maximum(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + margin, 0)


def triplet_anchor_half(gy: Array, a: Array, p: Array, n: Array, *, margin: float) -> tuple[Array, ...]:
    g = 2 * (gy * (triplet(a, p, n, margin=margin) > 0))[:, None]
    return g * (a - p), g * (p - a), g * (a - n)


def determinant_backward(gy: Array, a: Array) -> Array:
    return gy * np.linalg.det(a) * np.linalg.inv(a)


def shifted(n: int) -> Any:
    return lambda rng: [n * np.eye(n) + rng.standard_normal((n, n))]


def solve_plus(gy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    g = np.linalg.solve(a.T, gy)
    return g @ np.linalg.solve(a, b).T, g


def moments(x: Array) -> tuple[Array, Array]:
    return x.mean(0), x.var(0)


def moments_swapped(gy: tuple[Array, Array], x: Array) -> Array:
    return (gy[1] + gy[0] * 2 * (x - x.mean(0))) / len(x)


WRONG = [
    wrong("subtraction_second_sign", lambda x, y: x - y, lambda gy, *_: (gy, gy),
          normal((3, 4), (3, 4)), "sign-flipped"),
    wrong("distances_second_sign", distances, distances_one_sign, normal((3, 2), (4, 2)), "sign-flipped"),
    wrong("mse_not_divided", mse, mse_summed, normal((64,), (64,)), ("mean-not-divided", "constant-factor")),
    wrong("cross_entropy_divided_twice", layers.cross_entropy, divided_by_batch_twice, batch(16, 5),
          ("divided-too-often", "constant-factor")),
    wrong("mse_without_factor_two", mse, mse_without_two, normal((5, 3), (5, 3)), "constant-factor"),
    wrong("scale_forgotten", scaled, scaled_backward, normal((3, 4), (4, 2)),
          ("missing-factor", "constant-factor"), scale=0.35),
    wrong("tanh_cotangent_ignored", np.tanh, lambda _, x: 1 - np.tanh(x) ** 2, normal((3, 4)), "upstream-ignored"),
    wrong("exp_cotangent_squared", np.exp, lambda gy, x: gy * gy * np.exp(x), normal((3, 4)),
          ("upstream-squared", "nonlinear-in-upstream")),
    wrong("softplus_derivative_missing", lambda x: np.log1p(np.exp(x)), lambda gy, _: gy, normal((3, 4)),
          ("missing-factor", "wrong-local-derivative")),
    wrong("tanh_at_input", np.tanh, lambda gy, x: gy * (1 - x * x), normal((3, 4)),
          ("saved-value-confused", "wrong-local-derivative")),
    wrong("log_at_output", np.log, lambda gy, x: gy / np.log(x), uniform(2, 5, (6,)),
          ("saved-value-confused", "wrong-local-derivative")),
    wrong("linear_weight_not_transposed", square_layer, lambda gy, x, w: (gy @ w.T, gy.T @ x), normal((2, 4), (4, 4)),
          "transposed-weight"),
    wrong("product_gradient_transposed", lambda x, w: x @ w, lambda gy, x, w: (gy @ w.T, gy.T @ x),
          normal((4, 4), (4, 4)), "transposed-gradient"),
    wrong("bilinear_gradient_transposed", lambda a, m, b: np.einsum("ni,ij,nj->n", a, m, b),
          lambda gy, a, m, b: (gy[:, None] * (b @ m.T), np.einsum("n,ni,nj->ji", gy, a, b), gy[:, None] * (a @ m)),
          normal((3, 4), (4, 4), (3, 4)), "transposed-gradient"),
    wrong("softmax_diagonal_only", layers.softmax, lambda gy, x: gy * layers.softmax(x) * (1 - layers.softmax(x)),
          normal((3, 5)), "coupling-dropped"),
    wrong("log_softmax_sum_missing", log_softmax, lambda gy, x: gy - layers.softmax(x), normal((3, 4)),
          ("upstream-ignored", "nonlinear-in-upstream"), note="Right whenever the cotangent of a row sums to one."),
    wrong("softmax_axis", layers.softmax, lambda gy, x: layers.softmax_backward(gy, layers.softmax(x), 0),
          normal((4, 4)), "wrong-axis"),
    wrong("row_sums_axis", lambda x: x.sum(1) ** 2, lambda gy, x: np.tile(2 * gy * x.sum(1), (len(x), 1)),
          normal((4, 4)), ("wrong-axis", "transposed-gradient")),
    wrong("bias_sum_lost_shape", lambda x, b: x + b, lambda gy, *_: (gy, gy), normal((4, 3), (3,)),
          ("broadcast-not-summed", "wrong-shape")),
    wrong("scale_sum_lost_first_row", lambda x, s: x * s, lambda gy, x, s: (gy * s, (gy * x)[:1]),
          normal((4, 3), (1, 3)), "broadcast-not-summed", note="The shape is right, three rows are missing."),
    wrong("scale_sum_is_mean", lambda x, s: x * s, lambda gy, x, s: (gy * s, (gy * x).mean(0)), normal((5, 3), (3,)),
          ("divided-too-often", "reduced-too-much", "constant-factor")),
    wrong("reshape_order", lambda x: x.transpose(0, 2, 1).reshape(len(x), -1) ** 2,
          lambda gy, x: (2 * gy * x.transpose(0, 2, 1).reshape(len(x), -1)).reshape(x.shape), normal((2, 3, 4)),
          "wrong-reshape"),
    wrong("relu_mask_missing", lambda x: np.maximum(x, 0), lambda gy, _: gy, away((4, 5)), "mask-missing"),
    wrong("leaky_relu_mask_inverted", lambda x, slope: np.where(x > 0, x, slope * x),
          lambda gy, x, slope: gy * np.where(x > 0, slope, 1), away((4, 5)), "mask-inverted", slope=0.1),
    wrong("clip_passes_all", lambda x: np.clip(x, -0.7, 0.7), lambda gy, _: gy,
          lambda rng: [rng.choice([-1.2, -0.9, -0.4, 0.1, 0.5, 1.1], 20) + rng.uniform(-0.1, 0.1, 20)],
          "mask-missing"),
    wrong("dropout_scale", dropout, dropout_unscaled, normal((5, 6)), ("missing-factor", "constant-factor"),
          keep=0.6, seed=3),
    wrong("swish_term_dropped", lambda x: x * layers.sigmoid(x), swish_gate_only, normal((3, 4)), "missing-term"),
    wrong("cosine_norms_constant", cosine, cosine_fixed_norms, normal((4, 3), (4, 3)),
          ("statistic-as-constant", "missing-term")),
    wrong("product_gradients_swapped", lambda x, y: np.sin(x) * y,
          lambda gy, x, y: (gy * np.sin(x), gy * y * np.cos(x)), normal((3, 4), (3, 4)), "swapped-gradients"),
    wrong("quotient_power", lambda x, y: x / y, lambda gy, x, y: (gy / y, -gy * x / y), uniform(1.5, 3, (6,), (6,)),
          ("wrong-local-derivative", "wrong-power")),
    wrong("power_exponent", lambda x, p: x**p, lambda gy, x, p: gy * p * x**p, uniform(1.5, 3, (6,)),
          ("wrong-local-derivative", "wrong-power"), p=3.0),
    wrong("rms_norm_eps_dropped", rms_norm, rms_norm_without_eps, normal((3, 6)), "epsilon-mismatch", eps=1e-4),
    wrong("log_eps_dropped", lambda x: np.log(x + 1e-6), lambda gy, x: gy / x,
          uniform(0.3, 1, (5,)), "epsilon-mismatch",
          note="Relative error 1e-6 to 3e-6."),
    wrong("variance_rule_in_float32", lambda x: x.var(1), variance_in_float32,
          normal((3, 8), shift=1000.0), "reduced-precision",
          note="The shift costs float32 four digits; f itself is computed in float64."),
    wrong("cumsum_forwards", lambda x: np.cumsum(x, 1), lambda gy, _: np.cumsum(gy, 1), normal((3, 5)),
          ("forward-not-adjoint", "transposed-gradient")),
    wrong("cumprod_divides_by_zero", np.cumprod, cumprod_by_division, one_zero, "non-finite-gradient"),
    wrong("where_times_nan", safe_sqrt, safe_sqrt_backward,
          lambda rng: [rng.uniform(0.2, 1.5, 6) * np.array([1, -1, 1, 1, -1, 1])], "non-finite-gradient",
          note="0 times NaN."),
    wrong("sort_permuted_again", lambda x: np.sort(x, 1), sorted_by_the_same_order, rotated,
          "forward-not-adjoint"),
    wrong("std_by_n", spread_std, spread_std_by_n, normal((3, 5)), ("missing-factor", "constant-factor"), ddof=1),
    wrong("triplet_anchor_term", triplet, triplet_anchor_half, normal((4, 3), (4, 3), (4, 3), scale=0.3),
          "missing-term", margin=3.0, note="The anchor lacks the term of the negative."),
    wrong("determinant_not_transposed", np.linalg.det, determinant_backward, shifted(3),
          ("transposed-gradient", "transposed-weight")),
    wrong("solve_matrix_sign", np.linalg.solve, solve_plus,
          lambda rng: [*shifted(4)(rng), rng.standard_normal((4, 2))], "sign-flipped"),
    wrong("median_index_off", lambda x: np.sort(x)[2], lambda gy, x: gy * (np.arange(5) == x.argsort()[3]),
          apart((5,)), "off-by-one-shift"),
    wrong("two_outputs_second_ignored", lambda x: (np.sin(x), np.cos(x)), lambda gy, x: gy[0] * np.cos(x),
          normal((3, 4)), ("missing-term", "upstream-ignored")),
    wrong("two_outputs_swapped", moments, moments_swapped, normal((5, 3)), ("swapped-gradients", "wrong-operand")),
    wrong("cube_right_at_ones", lambda x: x**3 / 3, lambda gy, x: gy * x, fixed(np.ones((2, 3))),
          ("wrong-power", "wrong-local-derivative", "missing-factor")),
    wrong("expm1_right_at_zeros", np.expm1, lambda gy, _: gy, fixed(np.zeros(5)),
          ("missing-factor", "wrong-local-derivative")),
    wrong("inverse_right_at_identity", np.linalg.inv, lambda gy, _: -gy, fixed(np.eye(3)),
          ("missing-factor", "wrong-local-derivative")),
    *wrong_layers.WRONG,
    *wrong_contract.WRONG,
]
