"""Resizing: nearest, bilinear and bicubic, PyTorch's conventions.

Resizing is linear, so its gradient is the adjoint map and does not depend on the input. ``Resize`` and
``ResizeAdjoint`` are each other's backward.
"""

from math import floor
from typing import NamedTuple

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Shape
from minicnn.ops.average_pooling import adaptive_avg_pool2d
from minicnn.ops.shape import reshape

MODES = ("nearest", "nearest-exact", "linear", "bilinear", "bicubic", "area")

Sizes = int | tuple[int, ...] | list[int]
Factors = float | tuple[float, ...] | list[float]


class Sampling(NamedTuple):
    """How to resample; ``scales`` are the factors that a user gave, where they and not the sizes decide."""

    mode: str
    align_corners: bool
    scales: tuple[float | None, float | None]
    antialias: bool


class Resize(Function):
    def __init__(self, out: Shape, sampling: Sampling) -> None:
        self.out, self.sampling = out, sampling

    def forward(self, x: Array) -> Array:
        return self.backend.resample.resize(x, self.out, *self.sampling)

    def backward(self, gy: Tensor) -> Tensor:
        return ResizeAdjoint(self.in_shapes[0][-2:], self.sampling)(gy)  # type: ignore[no-any-return]


class ResizeAdjoint(Function):
    def __init__(self, size: Shape, sampling: Sampling) -> None:
        self.size, self.sampling = size, sampling

    def forward(self, gy: Array) -> Array:
        return self.backend.resample.resize_adjoint(gy, self.size, *self.sampling)

    def backward(self, ggx: Tensor) -> Tensor:
        return Resize(self.in_shapes[0][-2:], self.sampling)(ggx)  # type: ignore[no-any-return]


def _target(
    input: Tensor, size: Sizes | None, scale_factor: Factors | None
) -> tuple[Shape, tuple[float | None, ...]]:
    """Output size, and the factors given (``None`` each where a size was given)."""
    op, axes = "interpolate", input.shape[2:]
    if (size is None) == (scale_factor is None):
        raise checks.value_error(op, "give exactly one of size and scale_factor", size=size, scale_factor=scale_factor)
    scales: tuple[float | None, ...] = (None,) * len(axes)
    if scale_factor is not None:
        factors = (
            (float(scale_factor),) * len(axes)
            if isinstance(scale_factor, int | float)
            else tuple(float(f) for f in scale_factor)
        )
        if len(factors) != len(axes) or not all(0 < f < float("inf") for f in factors):
            raise checks.value_error(
                op, f"scale_factor must be a positive number or {len(axes)} of them, got {scale_factor!r}", input=input
            )
        out, scales = tuple(floor(n * f) for n, f in zip(axes, factors, strict=True)), factors
    else:
        out = (size,) * len(axes) if isinstance(size, int) else tuple(size or ())
    if len(out) != len(axes) or any(not isinstance(n, int) or n < 1 for n in out):
        raise checks.value_error(
            op, f"output size {out} must be {len(axes)} positive ints", input=input, scale_factor=scale_factor
        )
    if 0 in axes:
        raise checks.value_error(op, "input has no pixels to sample", input=input)
    return out, scales


def interpolate(
    input: Tensor,
    size: Sizes | None = None,
    scale_factor: Factors | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize the spatial axes to ``size``, or by ``scale_factor`` (then ``floor(in * factor)``).

    Output pixel o reads the input at ``(o + 1/2) s - 1/2`` with ``s = in / out`` (pixels are areas), or at
    ``o (in - 1) / (out - 1)`` with ``align_corners`` (pixels are points). Bilinear mixes the two neighbours per axis
    with weights ``1 - t, t``; ``"nearest"`` takes pixel ``floor(o s)``, ``"nearest-exact"`` pixel
    ``floor((o + 1/2) s)``; ``"area"`` averages.

    Parameters
    ----------
    input : Tensor, (N, C, H, W), or (N, C, L) for the modes nearest, nearest-exact and linear
    size : int or ints, optional
        Output size per spatial axis; give this or ``scale_factor``.
    scale_factor : float or floats, optional
    mode : {"nearest", "nearest-exact", "linear", "bilinear", "bicubic", "area"}
        ``"linear"`` is for 3-D input, ``"bilinear"``, ``"bicubic"`` and ``"area"`` are for 4-D input.
    align_corners : bool, optional
        Linear and cubic modes only; False by default.
    recompute_scale_factor : bool, optional
        Sample with ``s = in / out`` although a factor was given; otherwise ``s = 1 / scale_factor``.
    antialias : bool
        Bilinear and bicubic only: widen the kernel when shrinking, as image libraries do.

    Returns
    -------
    Tensor, (N, C, out_h, out_w) or (N, C, out_l)

    Raises
    ------
    ValueError
        Unless exactly one of size and factor is given, for an unknown mode, or options that the mode lacks.

    Gradient
    --------
    The adjoint: every output pixel adds its weighted share to the pixels that it read. Any order.

    Notes
    -----
    ``"nearest"`` computes positions in float32, as PyTorch does, so that both choose the same pixel.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    >>> mc.ops.interpolate(x, size=(1, 4), mode="bilinear").tolist()
    [[[[1.0, 1.25, 1.75, 2.0]]]]
    """
    checks.kernel_dtype("interpolate", input=input)
    checks.ndim("interpolate", "input", input, 3, 4)
    if mode not in MODES:
        raise checks.value_error("interpolate", f"mode must be one of {MODES}, got {mode!r}")
    if mode in {3: ("bilinear", "bicubic", "area"), 4: ("linear",)}[input.ndim]:
        raise checks.value_error("interpolate", f"mode {mode!r} is not for {input.ndim}-d input", input=input)
    if align_corners is not None and not mode.endswith(("linear", "cubic")):
        raise checks.value_error("interpolate", f"align_corners has no meaning for mode {mode!r}; leave it out")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise checks.value_error("interpolate", f"antialias is for bilinear and bicubic, not for mode {mode!r}")
    out, scales = _target(input, size, scale_factor)
    if mode == "area":
        return adaptive_avg_pool2d(input, (out[0], out[1]))
    if recompute_scale_factor:
        scales = (None,) * len(out)
    options = (bool(align_corners), bool(antialias))
    if input.ndim == 4:
        return Resize(out, Sampling(mode, options[0], (scales[0], scales[1]), options[1]))(input)  # type: ignore[no-any-return]
    n, c, length = input.shape
    line = Resize((1, out[0]), Sampling(mode.replace("linear", "bilinear"), options[0], (None, scales[0]), False))
    return reshape(line(reshape(input, (n, c, 1, length))), (n, c, out[0]))


def upsample_nearest(input: Tensor, size: Sizes | None = None, scale_factor: Factors | None = None) -> Tensor:
    """Repeat pixels: :func:`interpolate` with ``mode="nearest"``.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (N, C, L)
    size, scale_factor
        Give exactly one.

    Gradient
    --------
    The sum of the gradient over the copies of a pixel. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.upsample_nearest(mc.tensor([[[1.0, 2.0]]]), scale_factor=2).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """
    return interpolate(input, size, scale_factor, "nearest")
