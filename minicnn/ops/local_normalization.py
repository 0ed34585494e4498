"""Normalisation by a neighbourhood or a norm: local response, local contrast, unit length."""

from math import exp

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.tensor import Tensor, tensor
from minicnn.core.types import Array, Ints
from minicnn.ops.arithmetic import maximum
from minicnn.ops.autocast import in_float32
from minicnn.ops.convolution import conv2d
from minicnn.ops.reduce import amax


class ChannelWindowSum(Function):
    """Sum over the channels c - before .. c + after; its adjoint is the same with the two exchanged."""

    def __init__(self, before: int, after: int) -> None:
        self.before, self.after = before, after

    def forward(self, x: Array) -> Array:
        return self.backend.local_normalization.channel_window_sum(x, self.before, self.after)

    def backward(self, gy: Tensor) -> Tensor:
        out: Tensor = ChannelWindowSum(self.after, self.before)(gy)
        return out


class LocalResponseNorm(Function):
    """y = x s^-beta, and s = k + share W(x^2) as an auxiliary output; W sums over the window of channels."""

    aux = 1

    def __init__(self, before: int, after: int, share: float, beta: float, k: float) -> None:
        self.before, self.after, self.share, self.beta, self.k = before, after, share, beta, k

    def forward(self, x: Array) -> tuple[Array, Array]:
        self.keep_inputs(0)
        self.keep_outputs(1)
        kernels, window = self.backend.local_normalization, (self.before, self.after)
        out: tuple[Array, Array] = kernels.local_response_norm(x, *window, self.share, self.beta, self.k)
        return out

    def backward(self, gy: Tensor | None, gs: Tensor | None) -> Tensor | None:
        (x,), (s,), gx = self.kept_inputs(), self.kept_outputs(), None
        if gy is not None:
            gx = LocalResponseNormGrad(self.before, self.after, self.share, self.beta)(gy, x, s)
        if gs is not None:
            through = ChannelWindowSum(self.after, self.before)(gs) * x * (2.0 * self.share)
            gx = through if gx is None else gx + through
        return gx


class LocalResponseNormGrad(Function):
    """The gradient of LocalResponseNorm for x as a function of gy, x and s.

    With c = 2 share beta, W' the window mirrored (W's adjoint)::

        gx = gy s^-beta - c x W'(gy x s^(-beta - 1))
    """

    def __init__(self, before: int, after: int, share: float, beta: float) -> None:
        self.before, self.after, self.share, self.beta = before, after, share, beta

    def forward(self, gy: Array, x: Array, s: Array) -> Array:
        self.keep_inputs(0, 1, 2)
        kernels, window = self.backend.local_normalization, (self.before, self.after)
        return kernels.local_response_norm_grad(gy, x, s, *window, self.share, self.beta)

    def backward(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gy, x, s = self.kept_inputs()
        c, power = 2.0 * self.share * self.beta, s**-self.beta
        steep = power / s  # s^(-beta - 1)
        window = ChannelWindowSum(self.before, self.after)(u * x)
        mirrored = ChannelWindowSum(self.after, self.before)(gy * x * steep)
        ggy = u * power - c * x * steep * window
        gx = -c * (u * mirrored + gy * steep * window)
        gs = gy * steep * (c * (self.beta + 1.0) * x * window / s - self.beta * u)
        return ggy, gx, gs


@in_float32
def local_response_norm(
    input: Tensor,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    alpha_over_n: bool = True,
) -> Tensor:
    """Divide each value by a power of the energy of its neighbours in channel (AlexNet).

    ``y_c = x_c / (k + a * sum_{j = c - size//2}^{c + (size-1)//2} x_j^2) ^ beta``, with ``a = alpha / size``, or
    ``a = alpha`` as in the paper if ``alpha_over_n`` is False. Channels outside count as zero.

    Parameters
    ----------
    input : Tensor (N, C, ...), at least 3-d
    size : int
        Channels in the window (the paper's n).
    alpha, beta, k : float
        AlexNet: 1e-4, 0.75, 2 with ``size=5, alpha_over_n=False``.
    alpha_over_n : bool
        Divide alpha by ``size``, as PyTorch, Caffe and Torch do.

    Raises
    ------
    ValueError
        For ``size`` < 1 or an input with fewer than 3 axes.

    Gradient
    --------
    ``gx = gy s^-beta - 2 a beta x W'(gy x s^(-beta - 1))``, with s what is raised to ``beta`` above and W' the sum over
    the window mirrored. Any order.

    References
    ----------
    Krizhevsky, Sutskever and Hinton (2012), section 3.3.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([1.0] * 8, dtype="float64").reshape((1, 8, 1))
    >>> y = mc.ops.local_response_norm(x, 5, k=2.0, alpha_over_n=False)
    >>> round(y[0, 4, 0].item(), 9), round(y[0, 0, 0].item(), 9)
    (0.594492094, 0.594536673)
    """
    op = "local_response_norm"
    checks.kernel_dtype(op, input=input)
    if input.ndim < 3:
        raise checks.value_error(op, "input must be (N, C, ...) with at least one spatial axis", input=input)
    if size < 1:
        raise checks.value_error(op, f"size must be at least 1, got {size}", input=input)
    share = alpha / size if alpha_over_n else alpha
    y: Tensor = LocalResponseNorm(size // 2, (size - 1) // 2, share, beta, k)(input)
    return y


def _gaussian_mean(x: Tensor, size: int, sigma: float) -> Tensor:
    """Mean of ``x`` (N, C, H, W) over channels and a Gaussian window, renormalised at the border: (N, 1, H, W)."""
    half = size // 2
    taps = [exp(-0.5 * (i / sigma) ** 2) for i in range(-half, half + 1)]
    dtype, device = x.dtype, str(x.device)
    column = tensor([[[[t] for t in taps]]], dtype=dtype, device=device)
    row = tensor([[[taps]]], dtype=dtype, device=device)

    def window(t: Tensor) -> Tensor:
        return conv2d(conv2d(t, column, padding=(half, 0)), row, padding=(0, half))

    inside = tensor([[[[1.0] * x.shape[3]] * x.shape[2]]], dtype=dtype, device=device)
    return window(x.mean(1, keepdim=True)) / window(inside)


@in_float32
def local_contrast_norm(input: Tensor, kernel_size: int = 7, sigma: float = 1.75, eps: float = 1e-8) -> Tensor:
    """Make the local mean 0 and the local standard deviation 1, where "local" is a Gaussian window.

    ``v = x - sum w x``, ``s = sqrt(sum w v^2)``, ``y = v / max(mean(s), s)``. The window w covers
    ``kernel_size`` x ``kernel_size`` positions and all channels, and sums to 1, at the border too.

    Parameters
    ----------
    input : Tensor (N, C, H, W)
    kernel_size : int
        Odd.
    sigma : float
        Of the Gaussian, in pixels.
    eps : float
        Smallest divisor: a constant image gives 0.

    Returns
    -------
    Tensor, shape of ``input``; unchanged by ``a * x + b`` with a > 0

    Raises
    ------
    ValueError
        For an even window or an input that is not 4-d.

    Gradient
    --------
    By composition, also through the mean of s over the map. Any order.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato and LeCun, "What is the best multi-stage architecture for object recognition?"
    (2009). The paper's window is 9 x 9; it gives neither sigma nor a border rule, those here are ours.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.local_contrast_norm(mc.tensor([[[[5.0, 5.0], [5.0, 5.0]]]])).tolist()
    [[[[0.0, 0.0], [0.0, 0.0]]]]
    """
    op = "local_contrast_norm"
    checks.kernel_dtype(op, input=input)
    checks.ndim(op, "input", input, 4)
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise checks.value_error(op, f"kernel_size must be odd, got {kernel_size}", input=input)
    if not input.numel():
        return input * 1.0
    # v does not depend on an offset (its derivative by one is exactly 0): taking off the first pixel, as a constant,
    # makes flat images vanish exactly instead of leaving rounding errors to be scaled up to contrast 1.
    x = input - input[:, :1, :1, :1].detach()
    v = x - _gaussian_mean(x, kernel_size, sigma)
    deviation = maximum(_gaussian_mean(v * v, kernel_size, sigma), eps * eps) ** 0.5
    return v / maximum(deviation.mean((2, 3), keepdim=True), deviation)


@in_float32
def normalize(input: Tensor, p: float = 2.0, dim: Ints = 1, eps: float = 1e-12) -> Tensor:
    """Divide by the Lp norm along ``dim``: ``y = x / max(||x||_p, eps)``.

    Parameters
    ----------
    input : Tensor
    p : float
        At least 1; ``float("inf")`` for the maximum norm.
    dim : int or tuple of int
    eps : float
        Smallest divisor.

    Raises
    ------
    ValueError
        For p < 1 or an axis out of range.

    Gradient
    --------
    For p = 2, ``gx = (gy - y (y . gy)) / ||x||``; where the norm is below ``eps``, ``gy / eps``. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> [round(v, 3) for v in mc.ops.normalize(mc.tensor([3.0, 4.0]), dim=0).tolist()]
    [0.6, 0.8]
    """
    op = "normalize"
    checks.kernel_dtype(op, input=input)
    if p < 1:
        raise checks.value_error(op, f"p must be at least 1, got {p}", input=input)
    axes = checks.dims(op, dim, input.ndim)
    if p == 2:
        length = maximum((input * input).sum(axes, keepdim=True), eps * eps) ** 0.5
    elif p == float("inf"):
        length = maximum(amax(abs(input), axes, keepdim=True), eps)
    else:
        power = abs(input) if p == 1 else abs(input) ** p
        smallest = max(eps**p, 1e-37)  # eps**p may be 0 in float32, where the root has no slope
        length = maximum(power.sum(axes, keepdim=True), smallest) ** (1.0 / p)
    return input / length
