"""Starting values of weights, under the names of `torch.nn.init`.

All numbers are drawn on the host in float64 from the stream ``"init"`` and then cast and copied to the
parameter, so the same seed gives the same weights in every dtype and on every device. Every function writes
into the tensor it is given, records nothing for backward, and returns the tensor.

An explicit ``stream`` (a `minicnn.core.rng.Stream`) makes a draw independent of the global seed.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import numpy as np
from numpy.typing import NDArray

from minicnn.core import checks, rng
from minicnn.core.rng import Stream
from minicnn.core.tensor import Tensor
from minicnn.core.types import Shape
from minicnn.nn.transfer import assign_

__all__ = [
    "bilinear_",
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "fan_in_and_fan_out",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "skip",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_Draw = NDArray[np.float64]
_P = ParamSpec("_P")


class _Skipping(threading.local):
    on = False


_skipping = _Skipping()


@contextmanager
def skip() -> Iterator[None]:
    """Draw nothing inside: the random functions of this module leave tensors as they are.

    A layer made inside has zeros where it would have random weights. For a network whose weights are loaded next,
    whose parameters are only counted, or which draws its own.

    Examples
    --------
    >>> import minicnn as mc
    >>> with mc.nn.init.skip():
    ...     layer = mc.nn.Linear(2, 1)
    >>> layer.weight.tolist()
    [[0.0, 0.0]]
    """
    before, _skipping.on = _skipping.on, True
    try:
        yield
    finally:
        _skipping.on = before


def _drawing(function: Callable[_P, Tensor]) -> Callable[_P, Tensor]:
    """Make a function that fills its first argument at random do nothing inside `skip`."""

    @wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> Tensor:
        if not _skipping.on:
            return function(*args, **kwargs)
        tensor = args[0] if args else kwargs["tensor"]
        assert isinstance(tensor, Tensor)
        return tensor

    return wrapped


def _stream(stream: Stream | None) -> Stream:
    return rng.stream("init") if stream is None else stream


def fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """Number of inputs and outputs of one unit of a weight tensor.

    Parameters
    ----------
    tensor : Tensor (out, in / groups, *kernel)
        A linear or convolution weight.

    Returns
    -------
    (int, int)
        ``(in / groups) * prod(kernel)`` and ``out * prod(kernel)``.

    Raises
    ------
    ValueError
        If the tensor has fewer than two dimensions.
    """
    if tensor.ndim < 2:
        raise checks.value_error("fan_in_and_fan_out", "a weight of at least 2 dimensions is needed", tensor=tensor)
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _fan(op: str, tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise checks.value_error(op, f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return fan_in_and_fan_out(tensor)[mode == "fan_out"]


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Factor by which a layer before this non-linearity has its weights scaled, as PyTorch recommends.

    Parameters
    ----------
    nonlinearity : str
        "linear", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "sigmoid" (all 1), "tanh" (5/3),
        "relu" (√2), "leaky_relu" (√(2 / (1 + slope²))), "selu" (3/4).
    param : float, optional
        Slope of the leaky ReLU (0.01 if absent).

    Examples
    --------
    >>> from minicnn.nn import init
    >>> round(init.calculate_gain("relu"), 4)
    1.4142
    """
    if nonlinearity in ("linear", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "sigmoid"):
        return 1.0
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2.0 / (1.0 + slope * slope))
    gains = {"tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75}
    if nonlinearity not in gains:
        raise checks.value_error("calculate_gain", f"unknown nonlinearity {nonlinearity!r}")
    return gains[nonlinearity]


@_drawing
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, stream: Stream | None = None) -> Tensor:
    """Fill from the uniform distribution U[a, b)."""
    return assign_(tensor, a + (b - a) * _stream(stream).uniform(tensor.shape))


@_drawing
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, stream: Stream | None = None) -> Tensor:
    """Fill from the normal distribution N(mean, std²)."""
    return assign_(tensor, mean + std * _stream(stream).normal(tensor.shape))


@_drawing
def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, stream: Stream | None = None
) -> Tensor:
    """Fill from N(mean, std²) restricted to [a, b]; values outside are drawn again.

    Raises
    ------
    ValueError
        If ``std`` is not positive, or the interval holds less than a thousandth of the distribution.
    """
    if not std > 0:
        raise checks.value_error("trunc_normal_", f"std must be > 0, got {std}")
    inside = 0.5 * (math.erf((b - mean) / (std * math.sqrt(2))) - math.erf((a - mean) / (std * math.sqrt(2))))
    if inside < 1e-3:
        raise checks.value_error("trunc_normal_", f"[{a}, {b}] holds only {inside:.1e} of N({mean}, {std}²)")
    source = _stream(stream)
    values = mean + std * source.normal((tensor.numel(),))
    while (outside := np.flatnonzero((values < a) | (values > b))).size:
        values[outside] = mean + std * source.normal((outside.size,))
    return assign_(tensor, values.reshape(tensor.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    return assign_(tensor, np.full(tensor.shape, val))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with ones on its diagonal: a linear layer that passes its input through."""
    if tensor.ndim != 2:
        raise checks.value_error("eye_", "a 2-d tensor is needed", tensor=tensor)
    return assign_(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, stream: Stream | None = None) -> Tensor:
    """Fill from U[-a, a] with ``a = gain · √(6 / (fan_in + fan_out))``, variance ``gain² · 2/(fan_in + fan_out)``.

    References
    ----------
    Glorot and Bengio, *Understanding the difficulty of training deep feedforward neural networks*, 2010, eq. 16.

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.nn.init.xavier_uniform_(mc.nn.Parameter(mc.tensor([[0.0] * 3] * 3)))
    >>> bool(abs(w).max() <= 1.0)
    True
    """
    fans = sum(fan_in_and_fan_out(tensor))
    if not fans:  # no values to draw
        return tensor
    bound = gain * math.sqrt(6.0 / fans)
    return uniform_(tensor, -bound, bound, stream)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, stream: Stream | None = None) -> Tensor:
    """Fill from N(0, gain² · 2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    fans = sum(fan_in_and_fan_out(tensor))
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / fans), stream) if fans else tensor


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    stream: Stream | None = None,
) -> Tensor:
    """Fill from U[-b, b] with ``b = gain · √(3 / fan)``, the gain being that of the non-linearity with slope `a`.

    ``a=√5`` gives ``b = 1/√fan_in``, the default of linear and convolution layers.
    """
    fan = _fan("kaiming_uniform_", tensor, mode)
    if not fan:  # no values to draw
        return tensor
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / fan)
    return uniform_(tensor, -bound, bound, stream)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    stream: Stream | None = None,
) -> Tensor:
    """Fill from N(0, gain² / fan); for ReLU that is the standard deviation √(2 / fan_in).

    References
    ----------
    He, Zhang, Ren, Sun, *Delving deep into rectifiers*, ICCV 2015, eq. 10.
    """
    fan = _fan("kaiming_normal_", tensor, mode)
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(fan), stream) if fan else tensor


@_drawing
def lecun_uniform_(
    tensor: Tensor, fan_in: float | tuple[float, ...] | None = None, stream: Stream | None = None
) -> Tensor:
    """Fill from U[-2.4 / fan_in, 2.4 / fan_in], LeNet-5's initialisation.

    Parameters
    ----------
    tensor : Tensor
        Weight or bias.
    fan_in : number or tuple of numbers, optional
        Inputs of one unit, or one number for each output channel (maps of a connection table differ);
        derived from the shape if absent.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, 1998, section III.
    """
    fans = np.asarray(fan_in_and_fan_out(tensor)[0] if fan_in is None else fan_in, dtype=np.float64)
    if fans.ndim:
        fans = fans.reshape(-1, *[1] * (tensor.ndim - 1))
    draw: _Draw = 2.0 * _stream(stream).uniform(tensor.shape) - 1.0
    return assign_(tensor, draw * (2.4 / fans))


@_drawing
def orthogonal_(tensor: Tensor, gain: float = 1.0, stream: Stream | None = None) -> Tensor:
    """Fill with a random (semi-)orthogonal matrix: rows, flattened, are orthonormal (or columns, if fewer).

    References
    ----------
    Saxe, McClelland, Ganguli, *Exact solutions to the nonlinear dynamics of learning in deep linear networks*.
    """
    if tensor.ndim < 2:
        raise checks.value_error("orthogonal_", "a tensor of at least 2 dimensions is needed", tensor=tensor)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    draw = _stream(stream).normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(draw)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # without it the distribution is not uniform
    matrix = q if rows >= columns else q.T
    return assign_(tensor, gain * matrix.reshape(tensor.shape))


def _kernel(op: str, tensor: Tensor, ndims: Shape) -> Shape:
    if tensor.ndim not in ndims:
        raise checks.value_error(op, f"a tensor of {' or '.join(map(str, ndims))} dimensions is needed", tensor=tensor)
    return tensor.shape[2:]


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill a convolution weight so that the layer passes its input channels through (1 at the kernel's centre)."""
    kernel = _kernel("dirac_", tensor, (3, 4, 5))
    out, per_group = tensor.shape[0], tensor.shape[1]
    if out % groups:
        raise checks.value_error("dirac_", f"groups {groups} does not divide {out} output channels", tensor=tensor)
    values = np.zeros(tensor.shape)
    centre = tuple(k // 2 for k in kernel)
    for group in range(groups):
        for channel in range(min(out // groups, per_group)):
            values[(group * (out // groups) + channel, channel, *centre)] = 1.0
    return assign_(tensor, values)


def bilinear_(tensor: Tensor) -> Tensor:
    """Fill a transposed-convolution weight with bilinear interpolation of each channel.

    For upsampling by f the kernel size is ``k = 2f - f mod 2`` and the 1-d weights are ``1 - |i - c| / f`` with
    ``c = (k - 1) / 2``; channel i goes to channel i only.

    Parameters
    ----------
    tensor : Tensor (in, out / groups, k, k)
        With one channel per group (out / groups = 1) every kernel is filled, otherwise those with in = out.

    Examples
    --------
    >>> import minicnn as mc
    >>> up = mc.nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)
    >>> mc.nn.init.bilinear_(up.weight)[0, 0, 0].tolist()
    [0.0625, 0.1875, 0.1875, 0.0625]
    """
    kernel = _kernel("bilinear_", tensor, (4,))
    rows, columns = (_ramp(k) for k in kernel)
    values = np.zeros(tensor.shape)
    if tensor.shape[1] == 1:
        values[:, 0] = np.outer(rows, columns)
    else:
        same = np.arange(min(tensor.shape[:2]))
        values[same, same] = np.outer(rows, columns)
    return assign_(tensor, values)


def _ramp(k: int) -> _Draw:
    factor = (k + 1) // 2  # the f with k = 2f - f mod 2, if there is one
    ramp: _Draw = 1.0 - np.abs(np.arange(k) - (k - 1) / 2) / factor
    return ramp
