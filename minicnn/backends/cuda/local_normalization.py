"""Local response normalisation, its gradient, and sums over channels (``kernels/local_normalization.cu``)."""

from minicnn.backends.cuda import seam
from minicnn.core.types import Array


def local_response_norm(
    x: Array, before: int, after: int, share: float, beta: float, k: float
) -> tuple[Array, Array]:
    """``x * s**-beta`` of ``x`` (N, C, ...), and s: k plus share times the sum of x^2 over c - before .. c + after."""
    y, scale = seam.empty(x.shape, x.dtype), seam.empty(x.shape, x.dtype)
    if x.size:
        arrays, sizes = (seam.contiguous(x), y, scale), _sizes(x, before, after)
        seam.elementwise("local_normalization.local_response_norm", x.size, *arrays, *sizes, share, beta, k, x.size)
    return y, scale


def local_response_norm_grad(
    gy: Array, x: Array, scale: Array, before: int, after: int, share: float, beta: float
) -> Array:
    """The gradient of ``sum(gy * y)`` for x, which ``scale`` depends on as well."""
    gx = seam.empty(x.shape, x.dtype)
    if x.size:
        arrays, sizes = (*map(seam.contiguous, (gy, x, scale)), gx), _sizes(x, before, after)
        seam.elementwise("local_normalization.local_response_norm_grad", x.size, *arrays, *sizes, share, beta, x.size)
    return gx


def channel_window_sum(x: Array, before: int, after: int) -> Array:
    """Sums over the channels ``c - before .. c + after`` of ``x`` (N, C, ...); channels outside count as zero."""
    y = seam.empty(x.shape, x.dtype)
    if x.size:
        arrays = seam.contiguous(x), y
        seam.elementwise("local_normalization.channel_window_sum", x.size, *arrays, *_sizes(x, before, after), x.size)
    return y


def _sizes(x: Array, before: int, after: int) -> tuple[int, int, int, int]:
    """Channels, elements of one, and the window, no wider than there are channels."""
    channels = x.shape[1]
    return channels, x.size // (x.shape[0] * channels), min(before, channels), min(after, channels)
