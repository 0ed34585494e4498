"""Convolution on the GPU: one file per algorithm (``algorithms.py``), and the rules that choose among them."""

import math

from minicnn.backends.convolution import AUTO, Problem
from minicnn.backends.cuda import seam
from minicnn.backends.cuda.convolution.algorithms import ALGORITHMS, DEVICE_ONLY
from minicnn.backends.cuda.convolution.choose import CHOOSER
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
        bias = seam.contiguous(bias)
    module = ALGORITHMS[resolve(algorithm, "forward", problem, item=x.itemsize)]
    return module.forward(seam.contiguous(x), seam.contiguous(w), bias, problem, relu)


def input_grad(gy: Array, w: Array, problem: Problem, algorithm: str = AUTO) -> Array:
    """The gradient of ``sum(gy * conv(x, w))`` by x, of shape ``problem.x_shape``."""
    module = ALGORITHMS[resolve(algorithm, "input_grad", problem, item=gy.itemsize)]
    return module.input_grad(seam.contiguous(gy), seam.contiguous(w), problem)


def weight_grad(gy: Array, x: Array, problem: Problem, algorithm: str = AUTO) -> Array:
    """The gradient of ``sum(gy * conv(x, w))`` by w, of shape ``problem.w_shape``."""
    module = ALGORITHMS[resolve(algorithm, "weight_grad", problem, item=gy.itemsize)]
    return module.weight_grad(seam.contiguous(gy), seam.contiguous(x), problem)


__all__ = [
    "ALGORITHMS",
    "DEVICE_ONLY",
    "choose",
    "explain",
    "forward",
    "input_grad",
    "resolve",
    "table",
    "use_table",
    "weight_grad",
]
