"""Correct first: no time is shown of a result that is wrong.

A contender computes a small layer with the same remainders by tile sizes, of which every number is checked, and the
layer itself, of which about a thousand are; on normal and on non-negative inputs. The error is
``max|y - y64| / max|y64|`` over what was checked. A contender that names no bound of its own gets a wide one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from minicnn.bench import reference
from minicnn.bench.layers import Layer
from minicnn.core.types import Array

SAMPLES = 1000
FOREIGN_BOUND = 1e-4  # of contenders that state none: far above rounding in float32, far below a wrong result
KINDS = ("normal", "non-negative")

Compute = Callable[..., Callable[[], Array]]  # from a layer and its operands to the call that computes it


@dataclass(frozen=True)
class Verdict:
    """What the gate found: the worst error, and the seconds of the first calls."""

    error: float
    small_first: float
    small_second: float
    first: float


def operands(which: str, layer: Layer, dtype: str, kind: str = "normal", seed: int = 0) -> tuple[Array, Array]:
    """The arrays of a pass: (x, w), (gy, w) or (gy, x)."""
    p = layer.problem
    x, w, gy = p.x_shape, p.w_shape, p.y_shape
    shapes = {"forward": (x, w), "input_grad": (gy, w), "weight_grad": (gy, x)}
    draw = np.random.default_rng([seed, KINDS.index(kind)])
    first, second = (draw.standard_normal(shape, np.float32).astype(dtype) for shape in shapes[which])
    return (np.abs(first), np.abs(second)) if kind == "non-negative" else (first, second)


@dataclass(frozen=True)
class Question:
    """Operands, and what they give: all of a small layer, or some numbers of a large one."""

    layer: Layer
    a: Array
    b: Array
    where: tuple[Array, ...] | None
    expected: Array


def questions(which: str, layer: Layer, dtype: str, samples: int = SAMPLES) -> list[Question]:
    """What :func:`check` asks, the same of every contender: the small and the full layer on both kinds of inputs."""
    asked = []
    for kind in KINDS:
        for chosen, full in ((layer.reduced(), False), (layer, True)):
            a, b = operands(which, chosen, dtype, kind)
            if full:
                where, expected = reference.sample(which, a, b, chosen.problem, samples)
                asked.append(Question(chosen, a, b, where, expected))
            else:
                asked.append(Question(chosen, a, b, None, reference.whole(which, a, b, chosen.problem)))
    return asked


def check(
    compute: Compute, which: str, layer: Layer, dtype: str, samples: int = SAMPLES, asked: list[Question] | None = None
) -> Verdict:
    """Run all questions (``asked``, where they are kept for several algorithms).

    NaN or a wrong shape is an infinite error.
    """
    errors, seconds = [], []
    for question in asked or questions(which, layer, dtype, samples):
        call = compute(question.layer, question.a, question.b)
        start = time.perf_counter()
        found = call()
        seconds.append(time.perf_counter() - start)
        errors.append(_error(found, which, question))
    return Verdict(max(errors), seconds[0], seconds[2], seconds[1])


def check_fused(compute: Compute, layer: Layer, dtype: str) -> float:
    """The error of ``max(conv(x, w) + bias, 0)`` of the small layer."""
    small = layer.reduced()
    operands_of_it, expected = _fused(small, dtype)
    found = compute(small, *operands_of_it)()
    if tuple(found.shape) != tuple(small.problem.y_shape):
        return np.inf
    error = float(np.max(np.abs(found - np.maximum(expected, 0))) / np.max(np.abs(expected)))
    return error if np.isfinite(error) else np.inf


@lru_cache(maxsize=1)  # the same for every algorithm
def _fused(small: Layer, dtype: str) -> tuple[tuple[Array, ...], Array]:
    """x, w and bias, and ``conv(x, w) + bias`` in float64."""
    x, w = operands("forward", small, dtype)
    bias = np.random.default_rng(2).standard_normal(small.out_channels).astype(dtype)
    bias *= np.float32(np.sqrt(small.problem.taps))  # as large as what it is added to
    return (x, w, bias), reference.whole("forward", x, w, small.problem) + bias.astype(np.float64)[:, None, None]


def _error(found: Array, which: str, question: Question) -> float:
    p = question.layer.problem
    shape = {"forward": p.y_shape, "input_grad": p.x_shape, "weight_grad": p.w_shape}[which]
    if tuple(found.shape) != tuple(shape):
        return np.inf
    if question.where is not None:
        found = found[question.where]
    error = float(np.max(np.abs(found - question.expected)) / np.max(np.abs(question.expected)))
    return error if np.isfinite(error) else np.inf
