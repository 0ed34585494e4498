"""Right rules that are hard to check: cancellation, steep and flat places, domains, kinks close by, odd containers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.testing.pairs import layers, right_algebra
from tests.testing.pairs.pair import CLOSE, ROUGH, Pair, apart, fixed, normal, uniform

Array = Any


def logsumexp(x: Array, *, axis: int) -> Array:
    m = x.max(axis, keepdims=True)
    return np.squeeze(m + np.log(np.exp(x - m).sum(axis, keepdims=True)), axis)


def logsumexp_backward(gy: Array, x: Array, *, axis: int) -> Array:
    return np.expand_dims(gy, axis) * layers.softmax(x, axis)


def labelled(n: int, classes: int, scale: float = 1.0) -> Any:
    return lambda rng: [scale * rng.standard_normal((n, classes)), rng.integers(0, classes, n)]


def power(x: Array, *, p: float) -> Array:
    return x**p


def power_backward(gy: Array, x: Array, *, p: float) -> Array:
    return gy * p * x ** (p - 1)


def mixed_scales(rng: np.random.Generator) -> list[Array]:
    return [1e-8 * rng.uniform(0.5, 2, 6), 1e8 * rng.uniform(0.5, 2, 6)]


def log1p_product_backward(gy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    g = gy / (1 + a * b)
    return g * b, g * a


def variance_backward(gy: Array, x: Array) -> Array:
    return gy[..., None] * 2 * (x - x.mean(-1, keepdims=True)) / x.shape[-1]


def variance_in_one_pass(x: Array) -> Array:
    return (x * x).mean(-1) - x.mean(-1) ** 2


def tanh_in_float32(x: Array) -> Array:
    return np.tanh(x.astype(np.float32)).astype(np.float64)


def tanh_backward(gy: Array, x: Array) -> Array:
    return gy * (1 - np.tanh(x) ** 2)


def product_in_float32(x: Array, w: Array) -> Array:
    return x.astype(np.float32) @ w.astype(np.float32)


def product_backward(gy: Array, x: Array, w: Array) -> tuple[Array, Array]:
    return gy @ w.T, x.T @ gy


def near_zero(rng: np.random.Generator) -> list[Array]:
    x = rng.choice([-1.0, 1.0], 8) * rng.uniform(0.5, 2, 8)
    x[::2] = 1e-5 * np.sign(x[::2])
    return [x]


def huber(x: Array, t: Array, *, delta: float) -> Array:
    d = np.abs(x - t)
    return np.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta)).sum(1)


def huber_backward(gy: Array, x: Array, t: Array, *, delta: float) -> tuple[Array, Array]:
    g = gy[:, None] * np.clip(x - t, -delta, delta)
    return g, -g


def near_the_bend(rng: np.random.Generator) -> list[Array]:
    t = rng.standard_normal((3, 4))
    return [t + rng.choice([-1.0, 1.0], (3, 4)) * (1 + rng.choice([-1e-5, 1e-5], (3, 4))), t]


def saturated(rng: np.random.Generator) -> list[Array]:
    return [np.concatenate([rng.uniform(-40, -15, 3), rng.uniform(-2, 2, 3), rng.uniform(15, 40, 3)])]


def plain_norm_backward(gy: Array, x: Array) -> Array:
    return gy[:, None] * x / np.linalg.norm(x, axis=1, keepdims=True)


def fractional(x: Array) -> Array:
    return np.abs(x) ** 1.5 + np.mod(x, 1.0) * x


def fractional_backward(gy: Array, x: Array) -> Array:
    return gy * (1.5 * np.sign(x) * np.abs(x) ** 0.5 + np.mod(x, 1.0) + x)


def cumprod_backward(gy: Array, x: Array) -> Array:
    return np.cumsum((gy * np.cumprod(x, 1))[:, ::-1], 1)[:, ::-1] / x


def sort_backward(gy: Array, x: Array) -> Array:
    g = np.empty_like(x)
    np.put_along_axis(g, x.argsort(1), gy, 1)
    return g


def median_backward(gy: Array, x: Array) -> Array:
    n = x.shape[1]
    order = x.argsort(1)
    g = np.zeros_like(x)
    np.put_along_axis(g, order[:, (n - 1) // 2 : n // 2 + 1], (gy / (2 - n % 2))[:, None], 1)
    return g


def moments(x: Array, *, axis: int) -> tuple[Array, Array]:
    return x.mean(axis), x.std(axis)


def moments_backward(gy: tuple[Array, Array], x: Array, *, axis: int) -> Array:
    gm, gs = (np.expand_dims(g, axis) for g in gy)
    m, s = (np.expand_dims(v, axis) for v in moments(x, axis=axis))
    return (gm + gs * (x - m) / s) / x.shape[axis]


def linear(x: Array, w: Array, b: Array) -> Array:
    return x @ w if b is None else x @ w + b


def linear_backward(gy: Array, x: Array, w: Array, b: Array) -> list[Array]:
    return [gy @ w.T, x.T @ gy, None if b is None else gy.sum(0)]


def embedding(table: Array, at: Array) -> Array:
    return table[at]


def embedding_backward(gy: Array, table: Array, at: Array) -> tuple[Array, None]:
    g = np.zeros_like(table)
    np.add.at(g, at, gy)
    return g, None


def repeated_rows(rng: np.random.Generator) -> list[Array]:
    return [rng.standard_normal((6, 3)), np.array([[0, 2, 2], [5, 0, 2]])]


def broadcast_backward(gy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    return (gy * b).sum(1, keepdims=True), (gy * a).sum((0, 2))[:, None]


def total_with_nothing(x: Array, w: Array) -> Array:
    return np.concatenate([x, w * w]).sum(0)


def total_with_nothing_backward(gy: Array, x: Array, w: Array) -> tuple[Array, Array]:
    return np.zeros_like(x), 2 * w * gy


class Swish:
    """Keeps what its backward needs, like a layer of an exercise; forward runs just before backward."""

    def forward(self, x: Array, *, beta: float) -> Array:
        self.x, self.gate = x, layers.sigmoid(beta * x)
        return x * self.gate

    def backward(self, gy: Array, _: Array, *, beta: float) -> Array:
        return gy * self.gate * (1 + beta * self.x * (1 - self.gate))


def mean_square_as_float(x: Array) -> float:
    return float(np.mean(x * x))


def every_other(x: Array) -> Array:
    return x.T[::2]


def every_other_backward(gy: Array, x: Array) -> Array:
    g = np.zeros_like(x)
    g.T[::2] = gy
    return g


def not_contiguous(rng: np.random.Generator) -> list[Array]:
    return [rng.standard_normal((4, 6)).T, rng.standard_normal((8, 10))[::-2, 1::2]]


def total_backward(gy: Array, x: Array) -> Array:
    return np.broadcast_to(gy[:, None], x.shape)   # read-only, with a stride of zero


def spectrum_backward(gy: Array, x: Array) -> Array:
    n = len(x)
    g = gy * np.fft.rfft(x) * 2
    full = np.zeros(n, complex)
    full[: len(g)] = g
    return n * np.fft.ifft(full).real


SWISH = Swish()

RIGHT = [
    Pair("logsumexp_of_large_logits", "right", logsumexp, logsumexp_backward, normal((5, 7), scale=300.0), {"axis": 0},
         note="Derivatives are 0 and 1 up to e⁻³⁰⁰."),
    Pair("cross_entropy_of_large_logits", "right", layers.cross_entropy, layers.cross_entropy_backward,
         labelled(8, 5, 100.0)),
    Pair("log_near_zero", "right", np.log, lambda gy, x: gy / x, uniform(1e-6, 3e-6, (5,))),
    Pair("sqrt_near_zero", "right", np.sqrt, lambda gy, x: 0.5 * gy / np.sqrt(x), uniform(1e-6, 3e-6, (5,))),
    Pair("power_near_zero", "right", power, power_backward, uniform(1e-6, 3e-6, (2, 3)), {"p": -0.3}),
    Pair("mixed_scales", "right", lambda a, b: np.log1p(a * b), log1p_product_backward, mixed_scales,
         note="One input is 1e-8, the other 1e8."),
    Pair("fast_sine", "right", lambda x: np.sin(300 * x), lambda gy, x: 300 * gy * np.cos(300 * x), normal((6,))),
    Pair("variance_of_shifted", "right", lambda x: x.var(-1), variance_backward, normal((3, 8), shift=1e4),
         expected=ROUGH),
    Pair("variance_in_one_pass", "right", variance_in_one_pass, variance_backward, normal((3, 8), shift=1e4),
         expected=ROUGH, note="f itself is only good to 1e-8."),
    Pair("tanh_in_float32", "right", tanh_in_float32, tanh_backward, normal((4, 3)), expected=ROUGH,
         note="f rounds to float32, and a complex step is lost in the cast."),
    Pair("product_in_float32", "right", product_in_float32, product_backward, normal((3, 4), (4, 2)), expected=ROUGH),
    Pair("relu_close_to_zero", "right", lambda x: np.maximum(x, 0) * x + np.maximum(x, 0),
         lambda gy, x: gy * (x > 0) * (2 * x + 1), near_zero, expected=CLOSE, note="Kinks 1e-5 away."),
    Pair("huber_close_to_its_bend", "right", huber, huber_backward, near_the_bend, {"delta": 1.0}, expected=CLOSE,
         note="Only the second derivative jumps, 1e-5 away."),
    Pair("saturated_tanh", "right", np.tanh, tanh_backward, saturated),
    Pair("norm_of_rows", "right", lambda x: np.linalg.norm(x, axis=1), plain_norm_backward, normal((4, 3)),
         note="Not analytic: a complex step misleads."),
    Pair("fractional_parts", "right", fractional, fractional_backward,
         lambda rng: [rng.integers(-3, 3, 6) + rng.uniform(0.2, 0.8, 6)], note="abs and mod, away from their jumps."),
    Pair("cumsum", "right", lambda x: np.cumsum(x, 0), lambda gy, _: np.cumsum(gy[::-1], 0)[::-1], normal((5, 3)),
         note="The gradient is a view with a negative stride."),
    Pair("cumprod", "right", lambda x: np.cumprod(x, 1), cumprod_backward, uniform(0.5, 1.5, (2, 6))),
    Pair("sort", "right", lambda x: np.sort(x, 1), sort_backward, apart((3, 5))),
    Pair("median_of_even_count", "right", lambda x: np.median(x, 1), median_backward, apart((3, 6))),
    Pair("mean_and_std", "right", moments, moments_backward, normal((4, 5)), {"axis": 1}),
    Pair("linear_without_bias", "right", linear, linear_backward,
         lambda rng: [rng.standard_normal((3, 4)), rng.standard_normal((4, 2)), None]),
    Pair("embedding", "right", embedding, embedding_backward, repeated_rows, note="An integer input; rows repeat."),
    Pair("broadcast_product", "right", lambda a, b: a * b, broadcast_backward, normal((4, 1, 3), (5, 1))),
    Pair("empty_input_beside_another", "right", total_with_nothing, total_with_nothing_backward,
         normal((0, 3), (1, 3))),
    Pair("zero_dimensional", "right", lambda x, y: np.exp(x) * y, lambda gy, x, y: (gy * np.exp(x) * y, gy * np.exp(x)),
         normal((), ()), note="NumPy turns 0-d arrays into scalars."),
    Pair("layer_with_a_cache", "right", SWISH.forward, SWISH.backward, normal((3, 4)), {"beta": 1.7},
         note="backward reads what the last forward kept."),
    Pair("python_float", "right", mean_square_as_float, lambda gy, x: gy * 2 * x / x.size, normal((4, 3)),
         note="float() refuses complex numbers."),
    Pair("view_of_the_input", "right", every_other, every_other_backward, normal((3, 5)),
         note="The output shares memory with the input."),
    Pair("inputs_not_contiguous", "right", lambda x, y: x[:4, :] * y[:, :4] ** 2,
         lambda gy, x, y: (np.pad(gy * y[:, :4] ** 2, ((0, 2), (0, 0))),
                           np.pad(2 * gy * x[:4] * y[:, :4], ((0, 0), (0, 1)))), not_contiguous),
    Pair("sum_of_rows", "right", lambda x: x.sum(1), total_backward, normal((4, 3)),
         note="The gradient is a read-only broadcast view."),
    Pair("identity", "right", lambda x: x, lambda gy, _: gy, normal((2, 3)),
         note="The output is the input and the gradient is the cotangent, the same objects."),
    Pair("power_spectrum", "right", lambda x: np.abs(np.fft.rfft(x)) ** 2, spectrum_backward, normal((8,)),
         note="Complex numbers inside."),
    Pair("big_input", "right", lambda x: x * np.tanh(x), lambda gy, x: gy * (np.tanh(x) + x * (1 - np.tanh(x) ** 2)),
         normal((100_000,)), note="No full Jacobian of this."),
    Pair("constant_shift_of_one", "right", lambda x, y: x + y * 1e-9, lambda gy, *_: (gy, gy * 1e-9),
         fixed(np.ones(3), np.ones(3)), note="A derivative of 1e-9 beside one of 1."),
    *right_algebra.RIGHT,
]
