"""Normalisation layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn import ops
from minicnn.core import checks
from minicnn.core.modes import no_grad, recomputing
from minicnn.core.tensor import Storage, Tensor
from minicnn.nn import init
from minicnn.nn.module import Module
from minicnn.nn.parameter import empty_buffer, empty_parameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "LayerNorm",
    "LocalContrastNorm",
    "LocalResponseNorm",
]


class _TrackedNorm(Module):
    """Scale, shift and running statistics for each channel: what batch and instance norm share."""

    ndims: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: str | None,
        dtype: Any,
    ) -> None:
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        shape = (num_features,)
        self.weight = empty_parameter(shape, device, dtype) if affine else None
        self.bias = empty_parameter(shape, device, dtype) if affine else None
        tracked = track_running_stats
        self.register_buffer("running_mean", empty_buffer(shape, device, dtype) if tracked else None)
        self.register_buffer("running_var", empty_buffer(shape, device, dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", empty_buffer((), device, np.int64) if tracked else None)
        self.reset_parameters()

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def reset_running_stats(self) -> None:
        """Back to mean 0, variance 1, no batches seen."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Scale 1, shift 0, and fresh statistics."""
        self.reset_running_stats()
        if self.weight is not None and self.bias is not None:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def _check(self, input: Tensor) -> None:
        if input.ndim not in self.ndims or input.shape[1] != self.num_features:
            raise checks.value_error(
                type(self).__name__,
                f"input must be {' or '.join(f'{n}-d' for n in self.ndims)} with {self.num_features} channels",
                input=input,
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_TrackedNorm):
    _counted: tuple[Storage, int, int] | None = None  # memory and version of the count of batches, and its value then

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """The input, normalised over all axes but the second; same shape."""
        self._check(input)
        batch_statistics = self.training or self.running_mean is None
        momentum = self._count() if self.training else self.momentum
        # In training mode the op normalises by the batch and updates the running statistics it is given.
        return ops.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            batch_statistics,
            0.0 if momentum is None else momentum,
            self.eps,
        )

    def _count(self) -> float | None:
        """Count the batch; the weight of its statistics, 1/n where the plain average is asked for."""
        buffer = self.num_batches_tracked
        if buffer is None:
            return self.momentum
        count = self._batches_on_host(buffer)
        if not recomputing():
            count += 1
            with no_grad():
                buffer.fill_(count)
            self._counted = (buffer.storage, buffer.storage.version, count)
        return 1.0 / count if self.momentum is None else self.momentum

    def _batches_on_host(self, buffer: Tensor) -> int:
        """The buffer's number, read back from the device only where someone else wrote it: reading waits for it.

        Writes to the array behind the Tensor's back (``buffer.data[...]``) are not seen.
        """
        storage, version, count = self._counted or (None, 0, 0)
        if storage is buffer.storage and version == storage.version:
            return count
        return int(buffer.item())


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L); see `BatchNorm2d`."""

    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images, for each channel over the batch and all positions.

    ``y = γ (x - μ) / √(σ² + ε) + β``, with the biased variance. In training mode μ and σ² are those of the
    batch, and ``running ← (1 - momentum) running + momentum · batch`` (there the unbiased variance); in
    evaluation mode they are the running ones.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        ε.
    momentum : float or None
        Weight of the newest batch; None averages all batches alike.
    affine : bool
        Whether γ and β exist.
    track_running_stats : bool
        Whether running statistics exist; without them the batch's are used in evaluation mode too.
    device, dtype
        Place and dtype of the parameters (CPU, float32).

    Attributes
    ----------
    weight, bias : Parameter (num_features,) or None
        γ, from 1, and β, from 0.
    running_mean, running_var : buffer (num_features,) or None
    num_batches_tracked : buffer () or None

    References
    ----------
    Ioffe, Szegedy, *Batch normalization*, ICML 2015, algorithms 1 and 2.

    Examples
    --------
    >>> import minicnn as mc
    >>> layer = mc.nn.BatchNorm2d(1, affine=False)
    >>> y = layer(mc.tensor([[[[0.0, 2.0]]]]))
    >>> [round(v, 3) for v in y.tolist()[0][0][0]], layer.running_mean.tolist()
    ([-1.0, 1.0], [0.10000000149011612])
    """

    ndims = (4,)


class _InstanceNorm(_TrackedNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """The input, normalised for each sample and channel over its positions; same shape."""
        self._check(input)
        return ops.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of (N, C, L); see `InstanceNorm2d`."""

    ndims = (3,)


class InstanceNorm2d(_InstanceNorm):
    """Normalise each map of each image by its own mean and variance.

    Parameters
    ----------
    num_features : int
        Channels.
    eps, momentum, affine, track_running_stats
        As in `BatchNorm2d`; the last two are off by default.

    References
    ----------
    Ulyanov, Vedaldi, Lempitsky, *Instance normalization*, 2016.
    """

    ndims = (4,)


class LayerNorm(Module):
    """Normalise each sample over its last axes.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The last axes of the input.
    eps : float
    elementwise_affine : bool
        Whether scale and shift, one number for each element of `normalized_shape`, exist.
    bias : bool
        Whether the shift exists (if the scale does).
    device, dtype
        Place and dtype of the parameters (CPU, float32).

    References
    ----------
    Ba, Kiros, Hinton, *Layer normalization*, 2016.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...] | list[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight = empty_parameter(shape, device, dtype) if elementwise_affine else None
        self.bias = empty_parameter(shape, device, dtype) if elementwise_affine and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale 1, shift 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(..., *normalized_shape) -> the same shape."""
        return ops.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalise each sample over groups of channels and all positions.

    Parameters
    ----------
    num_groups, num_channels : int
        The first divides the second.
    eps : float
    affine : bool
        Whether scale and shift for each channel exist.
    device, dtype
        Place and dtype of the parameters (CPU, float32).

    References
    ----------
    Wu, He, *Group normalization*, ECCV 2018.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise checks.value_error("GroupNorm", f"num_groups {num_groups} must divide num_channels {num_channels}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight = empty_parameter((num_channels,), device, dtype) if affine else None
        self.bias = empty_parameter((num_channels,), device, dtype) if affine else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale 1, shift 0."""
        if self.weight is not None and self.bias is not None:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape."""
        return ops.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class LocalResponseNorm(Module):
    """Divide each value by a power of the energy of neighbouring channels.

    Parameters
    ----------
    size : int
        Channels in the sum.
    alpha, beta, k : float
        ``x / (k + alpha/size Σ x²)^beta``.
    alpha_over_n : bool
        False for AlexNet's paper, which does not divide alpha by the size (there k=2, size=5).

    References
    ----------
    Krizhevsky, Sutskever, Hinton, *ImageNet classification with deep convolutional neural networks*, 2012, 3.3.
    """

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, *, alpha_over_n: bool = True
    ) -> None:
        self.size, self.alpha, self.beta, self.k, self.alpha_over_n = size, alpha, beta, k, alpha_over_n

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape."""
        return ops.local_response_norm(input, self.size, self.alpha, self.beta, self.k, alpha_over_n=self.alpha_over_n)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class LocalContrastNorm(Module):
    """Local mean 0 and local standard deviation 1, "local" being a Gaussian window over all channels.

    Parameters
    ----------
    kernel_size : int
        Odd.
    sigma : float
        Of the Gaussian, in pixels.
    eps : float
        Smallest divisor: a constant image gives 0.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun, *What is the best multi-stage architecture for object recognition?*, 2009.
    """

    def __init__(self, kernel_size: int = 7, sigma: float = 1.75, eps: float = 1e-8) -> None:
        self.kernel_size, self.sigma, self.eps = kernel_size, sigma, eps

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return ops.local_contrast_norm(input, self.kernel_size, self.sigma, self.eps)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, sigma={self.sigma}"
