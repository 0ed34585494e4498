"""Resizing layers."""

from __future__ import annotations

from typing import Any

from minicnn import ops
from minicnn.core import checks
from minicnn.core.tensor import Tensor
from minicnn.nn.module import Module

__all__ = ["Upsample"]


class Upsample(Module):
    """Resize images (or signals) to a size or by a factor.

    Parameters
    ----------
    size : int or ints, optional
        Size of the output for each spatial axis.
    scale_factor : float or floats, optional
        The output is that many times as large; exactly one of the two is given.
    mode : {"nearest", "nearest-exact", "linear", "bilinear", "bicubic", "area"}
    align_corners : bool, optional
        Whether the corner pixels of input and output coincide (linear and cubic modes only).
    recompute_scale_factor : bool, optional
        Sample by the ratio of the sizes instead of the factor given.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.nn.Upsample(scale_factor=2)(mc.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise checks.value_error(
                "Upsample", "give either size or scale_factor", size=size, scale_factor=scale_factor
            )
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        return ops.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        what = f"size={self.size}" if self.size is not None else f"scale_factor={self.scale_factor}"
        return f"{what}, mode={self.mode!r}"
