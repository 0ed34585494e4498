"""Convolution on the CPU: one file per algorithm (``algorithms.py``), and the rules that choose among them."""

import math

from minicnn.backends.convolution import AUTO, Problem
from minicnn.backends.cpu import arrays
from minicnn.backends.cpu.convolution.algorithms import ALGORITHMS
from minicnn.backends.cpu.convolution.choose import CHOOSER
from minicnn.core.types import Array

choose, explain = CHOOSER.choose, CHOOSER.explain
use_table, table = CHOOSER.use_table, CHOOSER.table


def resolve(name: str, which: str, problem: Problem, max_error: float = math.inf, item: int = 4) -> str:
    """The algorithm that will run for a name; what cannot be is a ``ValueError`` (``Chooser.resolve``)."""
    return CHOOSER.resolve(name, which, problem, max_error, item)


def forward(
    x: Array, w: Array, bias: Array | None, problem: Problem, algorithm: str = AUTO, *, relu: bool = False
) -> Array:
    """``conv(x, w) + bias``, or ``max(conv(x, w) + bias, 0)``, of shape ``problem.y_shape``."""
    if bias is not None:
        bias = arrays.ascontiguousarray(bias)
    module = ALGORITHMS[resolve(algorithm, "forward", problem, item=x.itemsize)]
    return module.forward(arrays.ascontiguousarray(x), arrays.ascontiguousarray(w), bias, problem, relu)


def input_grad(gy: Array, w: Array, problem: Problem, algorithm: str = AUTO) -> Array:
    """The gradient of ``sum(gy * conv(x, w))`` by x, of shape ``problem.x_shape``."""
    module = ALGORITHMS[resolve(algorithm, "input_grad", problem, item=gy.itemsize)]
    return module.input_grad(arrays.ascontiguousarray(gy), arrays.ascontiguousarray(w), problem)


def weight_grad(gy: Array, x: Array, problem: Problem, algorithm: str = AUTO) -> Array:
    """The gradient of ``sum(gy * conv(x, w))`` by w, of shape ``problem.w_shape``."""
    module = ALGORITHMS[resolve(algorithm, "weight_grad", problem, item=gy.itemsize)]
    return module.weight_grad(arrays.ascontiguousarray(gy), arrays.ascontiguousarray(x), problem)


__all__ = ["ALGORITHMS", "choose", "explain", "forward", "input_grad", "resolve", "table", "use_table", "weight_grad"]
