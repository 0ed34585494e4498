"""Dropout layers: off in evaluation mode."""

from __future__ import annotations

from minicnn import ops
from minicnn.core import checks
from minicnn.core.tensor import Tensor
from minicnn.nn.module import Module

__all__ = ["Dropout", "Dropout2d"]


class Dropout(Module):
    """In training mode, zero each element with probability p and multiply the others by 1/(1 - p).

    Parameters
    ----------
    p : float in [0, 1]
        Probability of zero.
    inplace : bool
        Accepted for PyTorch's signature; the result is always a new tensor.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, *Dropout*, JMLR 2014.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0 <= p <= 1:
            raise checks.value_error(type(self).__name__, f"p must be in [0, 1], got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout2d(Dropout):
    """Dropout of whole maps: (N, C, H, W), each (sample, channel) zero or kept as one."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.dropout2d(input, self.p, self.training)
