"""The multi-layer perceptron of the lecture."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from minicnn import nn, ops
from minicnn.core import checks
from minicnn.core.tensor import Tensor

__all__ = ["MLP"]


class MLP(nn.Module):
    """Fully connected layers with an activation between them, ``h = g(h Wᵀ + b)``; the last is linear.

    Parameters
    ----------
    sizes : sequence of int
        Features of the input, of each hidden layer, and of the output.
    activation : callable that makes a Module
        The function g.
    last_bias : bool
        Whether the last layer adds a bias; the lecture prints it without.

    Notes
    -----
    ``Σ (d_in d_out + d_out)`` parameters, less the last bias where there is none.

    Examples
    --------
    >>> import minicnn as mc
    >>> net = mc.models.MLP([64, 64, 64, 10])
    >>> mc.nn.count_parameters(net)
    8970
    >>> net(mc.tensor([[[0.5] * 8] * 8])).shape
    (1, 10)
    """

    def __init__(
        self, sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.Tanh, last_bias: bool = True
    ) -> None:
        if len(sizes) < 2:
            raise checks.value_error("MLP", f"sizes must name at least input and output, got {list(sizes)}")
        self.sizes = tuple(sizes)
        self.layers = nn.Sequential()
        last = len(sizes) - 2
        for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
            self.layers.append(nn.Linear(inputs, outputs, bias=last_bias or i < last))
            if i < last:
                self.layers.append(activation())

    def forward(self, input: Tensor) -> Tensor:
        """(N, ...) with as many numbers per sample as the input has features -> (N, outputs)."""
        scores: Tensor = self.layers(ops.flatten(input, 1))
        return scores

    def predict(self, input: Tensor) -> Tensor:
        """(N, ...) -> (N,) classes."""
        return ops.argmax(self(input), 1)
