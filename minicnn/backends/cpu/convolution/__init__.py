"""Convolution on the CPU: one file per algorithm, each with the same three passes and one signature.

    forward(x, w, bias, problem) -> y
    input_grad(gy, w, problem) -> gx         the adjoint by x: also the transposed convolution
    weight_grad(gy, x, problem) -> gw        the adjoint by w
    cannot(which, problem) -> reason or None
    workspace(which, problem, item) -> bytes

To add an algorithm: write the file, enter it in ``ALGORITHMS``, give it a rule in ``choose.py``; the tests iterate
over the table.
"""

from minicnn.backends.convolution import AUTO, Problem
from minicnn.backends.cpu import arrays
from minicnn.backends.cpu.convolution import dense, depthwise, direct, fft, im2col, naive, pointwise
from minicnn.backends.cpu.convolution.choose import choose
from minicnn.core.types import Array

ALGORITHMS = {
    "naive": naive,
    "im2col": im2col,
    "direct": direct,
    "dense": dense,
    "pointwise": pointwise,
    "depthwise": depthwise,
    "fft": fft,
}


def resolve(name: str, which: str, problem: Problem) -> str:
    """The algorithm that will run for a name (``auto`` included).

    Raises
    ------
    ValueError
        If there is no such algorithm, or it cannot do that pass of that problem.
    """
    if name == AUTO:
        return choose(which, problem)
    if name not in ALGORITHMS:
        known = ", ".join(repr(known) for known in (AUTO, *ALGORITHMS))
        raise ValueError(f"conv_algorithm: no algorithm {name!r} on cpu; there are {known}")
    reason = ALGORITHMS[name].cannot(which, problem)
    if reason:
        raise ValueError(f"conv_algorithm: {name!r} cannot do the pass {which!r}: {reason} [{problem}]")
    return name


def forward(x: Array, w: Array, bias: Array | None, problem: Problem, algorithm: str = AUTO) -> Array:
    """``conv(x, w) + bias`` of shape ``problem.y_shape``."""
    if bias is not None:
        bias = arrays.ascontiguousarray(bias)
    module = ALGORITHMS[resolve(algorithm, "forward", problem)]
    return module.forward(arrays.ascontiguousarray(x), arrays.ascontiguousarray(w), bias, problem)


def input_grad(gy: Array, w: Array, problem: Problem, algorithm: str = AUTO) -> Array:
    """The gradient of ``sum(gy * conv(x, w))`` by x, of shape ``problem.x_shape``."""
    module = ALGORITHMS[resolve(algorithm, "input_grad", problem)]
    return module.input_grad(arrays.ascontiguousarray(gy), arrays.ascontiguousarray(w), problem)


def weight_grad(gy: Array, x: Array, problem: Problem, algorithm: str = AUTO) -> Array:
    """The gradient of ``sum(gy * conv(x, w))`` by w, of shape ``problem.w_shape``."""
    module = ALGORITHMS[resolve(algorithm, "weight_grad", problem)]
    return module.weight_grad(arrays.ascontiguousarray(gy), arrays.ascontiguousarray(x), problem)


__all__ = ["ALGORITHMS", "choose", "forward", "input_grad", "resolve", "weight_grad"]
