"""Radial basis output units: the squared distance to a fixed code for each class."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn import ops
from minicnn.core import checks
from minicnn.core.tensor import Tensor, tensor
from minicnn.nn.module import Module

__all__ = ["RBF"]


class RBF(Module):
    """Euclidean radial basis units, ``y_i = Σ_j (x_j - w_ij)²``; the smallest output names the class.

    Parameters
    ----------
    codes : array (classes, features)
        The fixed centres w; held as a buffer, not trained.
    device, dtype
        Place and dtype of the codes (CPU, float32).

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, 1998, eq. 7.

    Examples
    --------
    >>> import minicnn as mc
    >>> units = mc.nn.RBF([[1.0, 1.0], [-1.0, 1.0]])
    >>> units(mc.tensor([[1.0, 1.0]])).tolist()
    [[0.0, 4.0]]
    """

    codes: Tensor

    def __init__(self, codes: Any, device: str | None = None, dtype: Any = None) -> None:
        values = np.asarray(codes.detach().numpy() if isinstance(codes, Tensor) else codes)
        if values.ndim != 2:
            raise checks.value_error("RBF", "codes must have shape (classes, features)", codes=values)
        self.register_buffer("codes", tensor(values, dtype=np.float32 if dtype is None else dtype, device=device))

    def forward(self, input: Tensor) -> Tensor:
        """(N, features) -> (N, classes) squared distances."""
        return ops.squared_distance(input, self.codes)

    def extra_repr(self) -> str:
        classes, features = self.codes.shape
        return f"classes={classes}, features={features}"
