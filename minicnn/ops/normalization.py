"""Batch, layer, group and instance normalisation.

All four are one function pair on a view of five axes ``(outer, repeats, groups, parts, run)``. Mean and
variance belong to (repeats, groups); weight and bias to (groups, parts):

=============  =====  =======  ============  ============  ======
norm           outer  repeats  groups        parts         run
=============  =====  =======  ============  ============  ======
batch          N      1        C             1             H*W
layer          1      rows     1             normalised    1
group          1      N        num_groups    C/num_groups  H*W
instance       1      N        C             1             H*W
=============  =====  =======  ============  ============  ======
"""

from math import prod

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.modes import no_grad, recomputing
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Ints, Shape
from minicnn.ops.autocast import in_float32
from minicnn.ops.cast import cast
from minicnn.ops.shape import broadcast_to, reshape


class Normalize(Function):
    """y = (x - mean) / sqrt(var + eps) * weight + bias; mean and biased variance are outputs of their own.

    So the gradient may take them as inputs, and a second derivative flows back through them.
    """

    def __init__(self, view: Shape, eps: float) -> None:
        self.view, self.eps = view, eps

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> tuple[Array, Array, Array]:
        self.keep_inputs(*((0,) if weight is None else (0, 1)))
        self.keep_outputs(1, 2)
        out: tuple[Array, Array, Array] = self.backend.normalization.normalize(x, weight, bias, self.view, self.eps)
        return out

    def backward(
        self, gy: Tensor | None, gmean: Tensor | None, gvar: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, *weight = self.kept_inputs()
        mean, var = self.kept_outputs()
        gx = gweight = gbias = None
        if gy is not None:
            node = NormalizeGrad(self.view, self.eps, self.in_shapes[1] or self.in_shapes[2] or self.view[2:4])
            gx, gweight, gbias = node(gy, x, weight[0] if weight else None, mean, var)
        if self.needs(0) and (gmean is not None or gvar is not None):
            gx = _plus(gx, _through_statistics(self.view, x, mean, gmean, gvar))
        return gx, gweight, gbias


class NormalizeGrad(Function):
    """The gradients of Normalize for x, weight and bias, as a function of gy, x, weight, mean and variance.

    With x^ = (x - mean) r, r = (var + eps)^(-1/2), g = gy weight and <.> the mean over one statistic's elements::

        gx = r (g - <g> - x^ <g x^>)      gweight = sum gy x^      gbias = sum gy
    """

    def __init__(self, view: Shape, eps: float, shape: Shape) -> None:
        self.view, self.eps, self.shape = view, eps, shape  # the last: that of weight and bias

    def forward(self, gy: Array, x: Array, weight: Array | None, mean: Array, var: Array) -> tuple[Array, Array, Array]:
        self.keep_inputs(*((0, 1, 3, 4) if weight is None else (0, 1, 3, 4, 2)))
        kernels = self.backend.normalization
        gx, gweight, gbias = kernels.normalize_grad(gy, x, weight, mean, var, self.view, self.eps)
        return gx, gweight.reshape(self.shape), gbias.reshape(self.shape)

    def backward(self, u: Tensor | None, v: Tensor | None, z: Tensor | None) -> tuple[Tensor | None, ...]:
        gy, x, mean, var, *weights = self.kept_inputs()
        outer, repeats, groups, parts, run = self.view
        statistic, parameter = (1, repeats, groups, 1, 1), (1, 1, groups, parts, 1)
        n = max(outer * parts * run, 1)
        gy5, r = reshape(gy, self.view), reshape((var + self.eps) ** -0.5, statistic)
        centred = reshape(x, self.view) - reshape(mean, statistic)
        hat = centred * r
        weight = reshape(weights[0], parameter) if weights else None
        g = gy5 if weight is None else gy5 * weight

        ggy = ghat = gr = gweight = None
        if u is not None:
            c = reshape(u, self.view) * r
            mean_g, mean_gx, mean_cx = _mean(g, n), _mean(g * hat, n), _mean(c * hat, n)
            ggy = c - _mean(c, n) - hat * mean_cx  # the projection that makes gx is its own adjoint
            ghat = -(c * mean_gx + g * mean_cx)
            gr = _rows(reshape(u, self.view) * (g - mean_g - hat * mean_gx))
            if weight is not None:
                gweight = reshape((ggy * gy5).sum((0, 1, 4)), weights[0].shape)
                ggy = ggy * weight
        if v is not None:
            v5 = reshape(v, parameter)
            ggy, ghat = _plus(ggy, v5 * hat), _plus(ghat, v5 * gy5)
        if z is not None:
            ggy = _plus(ggy, broadcast_to(reshape(z, parameter), self.view))
        gx = gmean = gvar = None
        if ghat is not None:
            gx5 = ghat * r
            gr = _plus(gr, _rows(ghat * centred))
            gx, gmean = reshape(gx5, x.shape), reshape(-_rows(gx5), mean.shape)
            gvar = reshape(gr * r**3 * -0.5, var.shape)
        return None if ggy is None else reshape(ggy, x.shape), gx, gweight, gmean, gvar


def _plus(a: Tensor | None, b: Tensor) -> Tensor:
    return b if a is None else a + b


def _rows(t: Tensor) -> Tensor:
    """Sum over one statistic's elements."""
    out: Tensor = t.sum((0, 3, 4), keepdim=True)
    return out


def _mean(t: Tensor, n: int) -> Tensor:
    return _rows(t) * (1.0 / n)


def _through_statistics(view: Shape, x: Tensor, mean: Tensor, gmean: Tensor | None, gvar: Tensor | None) -> Tensor:
    """What reaches x by way of mean = <x> and var = <(x - mean)^2>."""
    n, statistic = max(view[0] * view[3] * view[4], 1), (1, *view[1:3], 1, 1)
    out = None
    if gmean is not None:
        out = broadcast_to(reshape(gmean * (1.0 / n), statistic), view)
    if gvar is not None:
        centred = reshape(x, view) - reshape(mean, statistic)
        out = _plus(out, centred * reshape(gvar * (2.0 / n), statistic))
    assert out is not None
    return reshape(out, x.shape)


class ScaleShift(Function):
    """x * scale + shift, one pair per (repeat, group): normalisation by given statistics, folded."""

    def __init__(self, view: Shape) -> None:
        self.view = view

    def forward(self, x: Array, scale: Array, shift: Array) -> Array:
        self.keep_inputs(0, 1)
        return self.backend.normalization.scale_shift(x, scale, shift, self.view)

    def backward(self, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, scale = self.kept_inputs()
        gy5 = reshape(gy, self.view)
        spread = reshape(scale, (1, *self.view[1:3], 1, 1))
        return (
            reshape(gy5 * spread, x.shape) if self.needs(0) else None,
            reshape(_rows(gy5 * reshape(x, self.view)), scale.shape) if self.needs(1) else None,
            reshape(_rows(gy5), scale.shape) if self.needs(2) else None,
        )


def _check(op: str, input: Tensor, shape: Shape, **parameters: Tensor | None) -> None:
    """Floating input and parameters, each parameter of that shape."""
    checks.kernel_dtype(op, input=input, **parameters)
    for name, value in parameters.items():
        if value is not None and value.shape != shape:
            raise checks.value_error(op, f"{name} must have shape {shape}, got {value.shape}", input=input)


def _alike(input: Tensor, *parameters: Tensor | None) -> list[Tensor | None]:
    """The parameters in the input's dtype; their gradients are cast back."""
    return [None if value is None else cast(value, input.dtype) for value in parameters]


def _check_running(op: str, **running: Tensor | None) -> None:
    for name, value in running.items():
        if value is not None and value.requires_grad:
            raise RuntimeError(f"{op}: {name} is not differentiated (it is a running statistic); pass .detach()")


def _update_running(
    running_mean: Tensor | None, running_var: Tensor | None, mean: Tensor, var: Tensor, momentum: float, n: int
) -> None:
    """Write (1 - momentum) running + momentum batch, with the unbiased variance; silent when recomputing."""
    if recomputing() or not n:
        return
    with no_grad():
        for running, batch, factor in ((running_mean, mean, 1.0), (running_var, var, n / max(n - 1, 1))):
            if running is not None:
                running.copy_(
                    Tensor(running.data * (1.0 - momentum) + batch.data * (momentum * factor), running.device)
                )


@in_float32
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel over the batch and all positions.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias`` per channel. In training, mean and biased variance are those
    of the batch, and the running statistics are updated **in place**:
    ``running = (1 - momentum) * running + momentum * batch``, with the unbiased variance. Otherwise the running
    statistics take the place of the batch's.

    Parameters
    ----------
    input : Tensor (N, C) or (N, C, ...)
    running_mean, running_var : Tensor (C,) or None
        Written in training (the one argument that any op writes); ``None`` is allowed in training only.
    weight, bias : Tensor (C,), optional
        1 and 0 where absent.
    training : bool
    momentum : float
        Share of the new statistics.
    eps : float
        Positive; added to the variance.

    Returns
    -------
    Tensor, shape of ``input``

    Raises
    ------
    ValueError
        In training with a single value per channel; without running statistics outside training; for misshapen
        parameters.

    Gradient
    --------
    With x^ the normalised input and <.> a channel's mean, ``gx = weight / sqrt(var + eps) * (gy - <gy> - x^ <gy x^>)``
    in training, ``gx = gy * weight / sqrt(running_var + eps)`` otherwise. Any order.

    Notes
    -----
    One pass over memory for the statistics (blocks joined in float64, the same for any number of threads) and one
    to normalise. While a checkpointed segment is recomputed, the running statistics stay as they are. An empty batch
    gives an empty result and leaves them too.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization" (2015), algorithms 1 and 2.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([[1.0], [3.0]])
    >>> mean, var = mc.tensor([0.0]), mc.tensor([1.0])
    >>> [[round(v, 3) for v in row] for row in mc.ops.batch_norm(x, mean, var, training=True).tolist()]
    [[-1.0], [1.0]]
    >>> [round(v, 3) for v in (mean.item(), var.item())]
    [0.2, 1.1]
    """
    op = "batch_norm"
    if input.ndim < 2:
        raise checks.value_error(op, "input must be (N, C) or (N, C, ...)", input=input)
    shape = input.shape[1:2]
    _check(op, input, shape, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    _check_running(op, running_mean=running_mean, running_var=running_var)
    view = (input.shape[0], 1, input.shape[1], 1, prod(input.shape[2:]))
    if not training:
        return _by_given(op, input, running_mean, running_var, weight, bias, eps, view)
    n = view[0] * view[4]
    if n == 1:
        raise checks.value_error(op, "expected more than 1 value per channel when training", input=input)
    weight, bias = _alike(input, weight, bias)
    y, mean, var = Normalize(view, eps)(input, weight, bias)
    _update_running(running_mean, running_var, mean, var, momentum, n)
    return y  # type: ignore[no-any-return]


def _by_given(
    op: str,
    input: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    view: Shape,
) -> Tensor:
    """Normalise channels by statistics that are given, folded into one scale and one shift."""
    if mean is None or var is None:
        raise checks.value_error(op, "running_mean and running_var must be given when not training", input=input)
    mean, var = cast(mean, input.dtype), cast(var, input.dtype)
    weight, bias = _alike(input, weight, bias)
    scale = (var + eps) ** -0.5
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    out: Tensor = ScaleShift(view)(input, scale, shift)
    return out


@in_float32
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of each image over its positions.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``, with mean and biased variance per (image, channel).

    Parameters
    ----------
    input : Tensor (N, C, ...)
    running_mean, running_var : Tensor (C,), optional
        Updated in place by the batch's average of the images' statistics (unbiased variance) if
        ``use_input_stats``, used instead of them if not.
    weight, bias : Tensor (C,), optional
    use_input_stats : bool
    momentum, eps : float

    Raises
    ------
    ValueError
        For a single position per channel, or misshapen parameters.

    Gradient
    --------
    As for :func:`batch_norm`, with one mean per (image, channel). Any order.

    References
    ----------
    Ulyanov, Vedaldi and Lempitsky, "Instance normalization" (2016).

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([[[1.0, 3.0]], [[10.0, 30.0]]])
    >>> [[round(v, 3) for v in image[0]] for image in mc.ops.instance_norm(x).tolist()]
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    op = "instance_norm"
    if input.ndim < 3:
        raise checks.value_error(op, "input must be (N, C, ...) with at least one spatial axis", input=input)
    batch, channels = input.shape[:2]
    _check(op, input, (channels,), running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    _check_running(op, running_mean=running_mean, running_var=running_var)
    run = prod(input.shape[2:])
    if not use_input_stats:
        return _by_given(op, input, running_mean, running_var, weight, bias, eps, (batch, 1, channels, 1, run))
    if run == 1:
        raise checks.value_error(op, "expected more than 1 spatial element", input=input)
    weight, bias = _alike(input, weight, bias)
    y, mean, var = Normalize((1, batch, channels, 1, run), eps)(input, weight, bias)
    if batch and (running_mean is not None or running_var is not None):
        with no_grad():
            mean, var = (reshape(t, (batch, channels)).mean(0) for t in (mean, var))
        _update_running(running_mean, running_var, mean, var, momentum, run)
    return y  # type: ignore[no-any-return]


@in_float32
def layer_norm(
    input: Tensor,
    normalized_shape: Ints,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise over the last axes, those of ``normalized_shape``.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``, with mean and biased variance per leading index.

    Parameters
    ----------
    input : Tensor (..., *normalized_shape)
    normalized_shape : int or tuple of int
    weight, bias : Tensor of shape ``normalized_shape``, optional
    eps : float

    Raises
    ------
    ValueError
        If the shapes do not match.

    Gradient
    --------
    As for :func:`batch_norm`, with the mean over the normalised axes. Any order.

    References
    ----------
    Ba, Kiros and Hinton, "Layer normalization" (2016).

    Examples
    --------
    >>> import minicnn as mc
    >>> [round(v, 3) for v in mc.ops.layer_norm(mc.tensor([1.0, 2.0, 3.0]), 3).tolist()]
    [-1.225, 0.0, 1.225]
    """
    op = "layer_norm"
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise checks.value_error(op, f"input must end in normalized_shape {shape}", input=input)
    _check(op, input, shape, weight=weight, bias=bias)
    view = (1, prod(input.shape[: -len(shape)]), 1, prod(shape), 1)
    weight, bias = _alike(input, weight, bias)
    return Normalize(view, eps)(input, weight, bias)[0]  # type: ignore[no-any-return]


@in_float32
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalise groups of channels of each image over their channels and positions.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``, with mean and biased variance per (image, group).

    Parameters
    ----------
    input : Tensor (N, C, ...)
    num_groups : int
        Divides C; 1 normalises an image as a whole, C is :func:`instance_norm`.
    weight, bias : Tensor (C,), optional
    eps : float

    Raises
    ------
    ValueError
        If ``num_groups`` does not divide C, or the whole batch holds one value per group.

    Gradient
    --------
    As for :func:`batch_norm`, with the mean over the group. Any order.

    References
    ----------
    Wu and He, "Group normalization" (2018).

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.group_norm(mc.tensor([[1.0, 3.0, 5.0, 5.0]]), 2, eps=0.0625).tolist()[0][2:]
    [0.0, 0.0]
    """
    op = "group_norm"
    if input.ndim < 2:
        raise checks.value_error(op, "input must be (N, C, ...)", input=input)
    batch, channels = input.shape[:2]
    if num_groups < 1 or channels % num_groups:
        raise checks.value_error(op, f"num_groups {num_groups} does not divide {channels} channels", input=input)
    _check(op, input, (channels,), weight=weight, bias=bias)
    view = (1, batch, num_groups, channels // num_groups, prod(input.shape[2:]))
    if batch * view[3] * view[4] == 1:
        raise checks.value_error(op, "expected more than 1 value per group", input=input)
    weight, bias = _alike(input, weight, bias)
    return Normalize(view, eps)(input, weight, bias)[0]  # type: ignore[no-any-return]
