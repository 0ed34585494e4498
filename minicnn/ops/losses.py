"""Losses between predictions and targets: regression, probabilities, and LeNet-5's distances to codes.

They are compositions of differentiable ops, so gradients of any order follow. Cross-entropy has a file of its own,
and so have the losses on margins.
"""

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.promotion import match
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.ops.activations import logsigmoid
from minicnn.ops.arithmetic import maximum, where
from minicnn.ops.autocast import in_float32
from minicnn.ops.cast import fit, full_like
from minicnn.ops.cross_entropy import cross_entropy, read_only, reduced
from minicnn.ops.elementwise import exp, log
from minicnn.ops.joining import cat
from minicnn.ops.linear import matmul
from minicnn.ops.rounding import abs, clamp


def same_shape(op: str, **tensors: Tensor) -> None:
    """Raise unless all shapes agree: a loss that broadcasts hides mistakes."""
    if len({t.shape for t in tensors.values()}) > 1:
        raise checks.value_error(op, f"{' and '.join(tensors)} must have the same shape", **tensors)


@in_float32
def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Squared error, (input - target)**2.

    Parameters
    ----------
    input, target : Tensor of one shape
    reduction : "mean", "sum" or "none"

    Raises
    ------
    ValueError
        If the shapes differ.

    Gradient
    --------
    2 * (input - target) * gy, divided by the number of elements for "mean"; to both. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.mse_loss(mc.tensor([1.0, 4.0]), mc.tensor([1.0, 2.0])).item()
    2.0
    """
    same_shape("mse_loss", input=input, target=target)
    difference = input - target
    return reduced("mse_loss", difference * difference, reduction)


@in_float32
def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Absolute error, abs(input - target).

    Parameters
    ----------
    input, target : Tensor of one shape
    reduction : "mean", "sum" or "none"

    Gradient
    --------
    sign(input - target) * gy, 0 where they are equal. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.l1_loss(mc.tensor([1.0, 4.0]), mc.tensor([1.0, 2.0])).item()
    1.0
    """
    same_shape("l1_loss", input=input, target=target)
    return reduced("l1_loss", abs(input - target), reduction)


@in_float32
def smooth_l1_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0, *, sigma: float | None = None
) -> Tensor:
    """Quadratic near zero, absolute beyond: 0.5 d**2 / beta where abs(d) < beta, else abs(d) - 0.5 beta.

    Parameters
    ----------
    input, target : Tensor of one shape
    reduction : "mean", "sum" or "none"
    beta : float >= 0
        Where the two parts meet; 0 gives :func:`l1_loss`.
    sigma : float, optional
        Fast R-CNN's form of the same: beta = 1 / sigma**2.

    Raises
    ------
    ValueError
        If the shapes differ, beta is negative, or both beta and sigma are given.

    Gradient
    --------
    gy * clip(d / beta, -1, 1). Any order.

    References
    ----------
    Girshick, *Fast R-CNN*, 2015, eq. 3; Ren et al., *Faster R-CNN*, 2015 (reference code: sigma = 3).

    Examples
    --------
    >>> import minicnn as mc
    >>> d = mc.tensor([0.0, 0.5, 1.0, 2.0])
    >>> mc.ops.smooth_l1_loss(d, mc.ops.zeros_like(d), "none").tolist()
    [0.0, 0.125, 0.5, 1.5]
    """
    op = "smooth_l1_loss"
    same_shape(op, input=input, target=target)
    if sigma is not None:
        if beta != 1.0 or not sigma > 0:
            raise checks.value_error(op, f"give beta or a positive sigma, not both, got {beta} and {sigma}")
        beta = 1.0 / (sigma * sigma)
    if not beta >= 0:
        raise checks.value_error(op, f"beta must be >= 0, got {beta}")
    difference = input - target
    size = abs(difference)
    if beta == 0:
        return reduced(op, size, reduction)
    loss = where(size < beta, difference * difference * (0.5 / beta), size - 0.5 * beta)
    return reduced(op, loss, reduction)


@in_float32
def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """0.5 d**2 where abs(d) <= delta, else delta (abs(d) - 0.5 delta): delta times :func:`smooth_l1_loss`.

    Parameters
    ----------
    input, target : Tensor of one shape
    reduction : "mean", "sum" or "none"
    delta : float > 0

    Gradient
    --------
    gy * clip(d, -delta, delta). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.huber_loss(mc.tensor([4.0]), mc.tensor([0.0]), delta=2.0).item()
    6.0
    """
    same_shape("huber_loss", input=input, target=target)
    if not delta > 0:
        raise checks.value_error("huber_loss", f"delta must be > 0, got {delta}")
    difference = input - target
    size = abs(difference)
    loss = where(size <= delta, difference * difference * 0.5, (size - 0.5 * delta) * delta)
    return reduced("huber_loss", loss, reduction)


class BinaryCrossEntropy(Function):
    """-(t log x + (1 - t) log(1 - x)) with logarithms cut at -100."""

    def forward(self, x: Array, t: Array) -> Array:
        self.keep_inputs(0, 1)
        xp = self.xp
        x, t = match(x, t)
        if x.size and not (xp.min(x) >= 0 and xp.max(x) <= 1):
            raise checks.value_error(
                "binary_cross_entropy", "input must be in [0, 1]; for logits use the _with_logits form"
            )
        zero, one = xp.equal(x, 0), xp.equal(x, 1)
        yes = xp.where(zero, -100.0, xp.maximum(xp.log(xp.where(zero, 1, x)), -100.0)).astype(x.dtype)
        no = xp.where(one, -100.0, xp.log1p(xp.negative(xp.where(one, 0, x)))).astype(x.dtype)
        return xp.negative(xp.add(xp.multiply(t, yes), xp.multiply(xp.subtract(1.0, t), no)))

    def backward(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, t = self.kept_inputs()
        gx = gt = None
        if self.needs(0):
            gx = fit(gy * (x - t) / maximum(x * (1.0 - x), 1e-12), x.shape, x.dtype)
        if self.needs(1):
            gt = fit(gy * (_cut_log(1.0 - x) - _cut_log(x)), t.shape, t.dtype)
        return gx, gt


def _cut_log(x: Tensor) -> Tensor:
    zero = x == 0
    return where(zero, -100.0, clamp(log(where(zero, 1.0, x)), min=-100.0))


@in_float32
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(target log(input) + (1 - target) log(1 - input)) of probabilities; logarithms are cut at -100.

    Parameters
    ----------
    input : Tensor
        Probabilities in [0, 1].
    target : Tensor of the same shape
        In [0, 1].
    weight : Tensor, optional
        Multiplies each element; broadcasts.
    reduction : "mean", "sum" or "none"

    Raises
    ------
    ValueError
        If shapes differ or a probability is out of range.

    Gradient
    --------
    gy * (input - target) / max(input * (1 - input), 1e-12); also to the target. Any order.

    Notes
    -----
    From logits use :func:`binary_cross_entropy_with_logits`, which loses no precision.

    Examples
    --------
    >>> import minicnn as mc
    >>> round(mc.ops.binary_cross_entropy(mc.tensor([0.5]), mc.tensor([1.0])).item(), 4)
    0.6931
    """
    same_shape("binary_cross_entropy", input=input, target=target)
    read_only("binary_cross_entropy", weight=weight)
    loss = BinaryCrossEntropy()(input, target)
    return reduced("binary_cross_entropy", loss if weight is None else loss * weight, reduction)


@in_float32
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of sigmoid(input), stable for all logits.

    ``pos_weight t log(1 + exp(-z)) + (1 - t) log(1 + exp(z))``.

    Parameters
    ----------
    input : Tensor
        Logits z.
    target : Tensor of the same shape
        t in [0, 1].
    weight : Tensor, optional
        Multiplies each element; broadcasts.
    reduction : "mean", "sum" or "none"
    pos_weight : Tensor, optional
        Multiplies the positive part; broadcasts.

    Raises
    ------
    ValueError
        If the shapes differ.

    Gradient
    --------
    gy * (sigmoid(z) - t) without weights; also to the target. Weights are not differentiated. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> z = mc.tensor([0.0, 1000.0], requires_grad=True)
    >>> mc.ops.binary_cross_entropy_with_logits(z, mc.tensor([1.0, 1.0]), reduction="sum").backward()
    >>> (z.grad + 0.0).tolist()
    [-0.5, 0.0]
    """
    op = "binary_cross_entropy_with_logits"
    same_shape(op, input=input, target=target)
    read_only(op, weight=weight, pos_weight=pos_weight)
    positive = target * logsigmoid(input)
    if pos_weight is not None:
        positive = positive * pos_weight
    loss = (target - 1.0) * logsigmoid(-input) - positive  # both logarithms: no cancellation in either tail
    return reduced(op, loss if weight is None else loss * weight, reduction)


@in_float32
def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """Kullback-Leibler divergence, target * (log target - input), from log-probabilities.

    Parameters
    ----------
    input : Tensor
        Log-probabilities.
    target : Tensor of the same shape
        Probabilities (a zero contributes nothing), or their logarithms with ``log_target``.
    reduction : "mean", "sum", "batchmean" or "none"
        "batchmean" divides by the first axis: the divergence of distributions. "mean" divides by all elements.
    log_target : bool

    Gradient
    --------
    -target * gy; also to the target. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> p = mc.tensor([[0.5, 0.5]])
    >>> mc.ops.kl_div(mc.ops.log(p), p, reduction="batchmean").item()
    0.0
    """
    same_shape("kl_div", input=input, target=target)
    if log_target:
        loss = exp(target) * (target - input)
    else:
        empty = target == 0
        loss = where(empty, 0.0, target * log(where(empty, 1.0, target))) - target * input
    if reduction == "batchmean":
        mean: Tensor = loss.sum() / (input.shape[0] if input.ndim else 1)
        return mean
    return reduced("kl_div", loss, reduction)


class SquaredDistance(Function):
    def forward(self, x: Array, codes: Array) -> Array:
        self.keep_inputs(0, 1)
        xp = self.xp
        x, codes = match(x, codes)
        difference = xp.subtract(x[:, None, :], codes[None, :, :])  # (N, K, D)
        return xp.sum(xp.multiply(difference, difference), axis=2)

    def backward(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, codes = self.kept_inputs()
        gx = gc = None
        if self.needs(0):
            gx = fit((x * gy.sum(1, keepdim=True) - matmul(gy, codes)) * 2.0, x.shape, x.dtype)
        if self.needs(1):
            gc = (codes * gy.sum(0).unsqueeze(1) - matmul(gy.transpose(0, 1), x)) * 2.0
            gc = fit(gc, codes.shape, codes.dtype)
        return gx, gc


@in_float32
def squared_distance(x: Tensor, codes: Tensor) -> Tensor:
    """Squared Euclidean distances, y[n, k] = sum_j (x[n, j] - codes[k, j])**2: a layer of radial basis units.

    Parameters
    ----------
    x : Tensor (N, D)
    codes : Tensor (K, D)

    Returns
    -------
    Tensor (N, K)

    Raises
    ------
    ValueError
        If the shapes are not (N, D) and (K, D).

    Gradient
    --------
    2 * sum_k gy[n, k] (x[n] - codes[k]) to x, the negative to the codes. Any order.

    Notes
    -----
    Differences are squared (not expanded), so equal rows give exactly 0.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, 1998, eq. 7.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.squared_distance(mc.tensor([[1.0, 1.0]]), mc.tensor([[1.0, 1.0], [-1.0, 1.0]])).tolist()
    [[0.0, 4.0]]
    """
    if x.ndim != 2 or codes.ndim != 2 or x.shape[1] != codes.shape[1]:
        raise checks.value_error("squared_distance", "expected shapes (N, D) and (K, D)", x=x, codes=codes)
    return SquaredDistance()(x, codes)  # type: ignore[no-any-return]


@in_float32
def discriminative_rbf_loss(distances: Tensor, target: Tensor, j: float = 0.1, reduction: str = "mean") -> Tensor:
    """LeNet-5's loss on distances to class codes, y_D + log(exp(-j) + sum_i exp(-y_i)), D the right class.

    The first term pulls the right code near, the second pushes the wrong ones away, and j keeps those that are far
    already from being pushed further: it is the distance of a rubbish class.

    Parameters
    ----------
    distances : Tensor (N, C)
        From :func:`squared_distance`.
    target : integer Tensor (N,)
    j : float > 0
    reduction : "mean", "sum" or "none"

    Raises
    ------
    ValueError
        For shapes that do not match or a label outside 0 .. C-1.

    Gradient
    --------
    gy * (1 at the label - softmax(-y, -j)). Any order.

    Notes
    -----
    It is :func:`cross_entropy` with logits (-y_0, ..., -y_{C-1}, -j).

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, 1998, eq. 9.

    Examples
    --------
    >>> import minicnn as mc
    >>> round(mc.ops.discriminative_rbf_loss(mc.tensor([[0.0, 500.0]]), mc.tensor([0]), j=50.0).item(), 4)
    0.0
    """
    op = "discriminative_rbf_loss"
    if distances.ndim != 2:
        raise checks.value_error(op, "expected distances of shape (N, C)", distances=distances)
    labels, classes, xp = target.data, distances.shape[1], distances.device.xp
    if labels.shape == distances.shape[:1] and xp.any(labels >= classes):  # the rubbish class is no label
        raise checks.value_error(
            op, f"label {int(xp.max(labels))} is out of range for {classes} classes", target=target
        )
    rubbish = full_like(distances[:, :1].detach(), -j)
    return cross_entropy(cat([-distances, rubbish], 1), target, reduction=reduction)
