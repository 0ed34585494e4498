"""Dropout layers: they drop in training mode only."""

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
    convention : {"inverted", "paper"}
        "paper" leaves what is kept as it is, and multiplies by 1 - p in evaluation mode.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, *Dropout*, JMLR 2014.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *, convention: str = "inverted") -> None:
        if not 0 <= p <= 1:
            raise checks.value_error(type(self).__name__, f"p must be in [0, 1], got {p}")
        if convention not in ("inverted", "paper"):
            raise checks.value_error(
                type(self).__name__, f"convention must be 'inverted' or 'paper', got {convention!r}"
            )
        self.p, self.inplace, self.convention = p, inplace, convention

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.dropout(input, self.p, self.training, convention=self.convention)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout2d(Dropout):
    """Dropout of whole maps: (N, C, H, W), each (sample, channel) zero or kept as one."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        return ops.dropout2d(input, self.p, self.training, convention=self.convention)
