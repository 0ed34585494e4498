"""Softmax cross-entropy and negative log-likelihood.

With class labels, softmax, logarithm, choice and mean are one node: its forward keeps the probabilities p as an
auxiliary output, and its gradient, p minus the target, is a Function of its own, linear in p.
"""

from math import prod
from typing import ClassVar

from minicnn.core import checks
from minicnn.core.dtypes import is_float
from minicnn.core.function import Function, constant
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.ops.arithmetic import where
from minicnn.ops.autocast import in_float32
from minicnn.ops.indexing import gather
from minicnn.ops.reduce import sum as sum_over
from minicnn.ops.softmax import log_softmax

_LABELS = "labels are class numbers"
_WEIGHTS = "weights are read only"


def reduced(op: str, loss: Tensor, reduction: str) -> Tensor:
    """The loss of each element, their sum, or their mean."""
    if reduction == "mean":
        return loss.mean()  # type: ignore[no-any-return]
    if reduction == "sum":
        return loss.sum()  # type: ignore[no-any-return]
    check_reduction(op, reduction)
    return loss


def check_reduction(op: str, reduction: str) -> None:
    """Raise unless the reduction is one that losses know."""
    if reduction not in ("none", "mean", "sum"):
        raise checks.value_error(op, f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}")


def read_only(op: str, **weights: Tensor | None) -> None:
    """Raise for weights that require grad: losses read them, as in PyTorch."""
    for name, weight in weights.items():
        if weight is not None and weight.requires_grad:
            raise RuntimeError(f"{op}: {name} is not differentiated ({_WEIGHTS}); pass .detach()")


def bad_label(op: str, labels: Array, first: int, classes: int) -> ValueError:
    """The error for the first label out of range (row-major position `first`)."""
    position, left = [], first
    for size in reversed(labels.shape):
        position.append(left % size)
        left //= size
    at = tuple(reversed(position))
    where_ = at[0] if len(at) == 1 else at
    got = int(labels.reshape(-1)[first])
    return checks.value_error(
        op, f"label {got} at position {where_} is out of range for {classes} classes", target=labels
    )


class SoftmaxCrossEntropy(Function):
    aux = 1
    constants: ClassVar[dict[int, str]] = {1: _LABELS, 2: _WEIGHTS}

    def __init__(self, reduction: str, ignore_index: int, smoothing: float) -> None:
        self.reduction, self.ignore_index, self.smoothing = reduction, ignore_index, smoothing

    def forward(self, z: Array, labels: Array, weight: Array | None) -> tuple[Array, Array]:
        n, classes, *places = z.shape
        rows = (n, prod(places))
        losses, p, total, mass, mean, bad = self.backend.losses.softmax_cross_entropy(
            z.reshape(n, classes, rows[1]), labels.reshape(rows), weight, self.ignore_index, self.smoothing
        )
        if bad >= 0:
            raise bad_label("cross_entropy", labels, bad, classes)
        self.keep_inputs(*((1,) if weight is None else (1, 2)))
        self.keep_outputs(1)
        self.scale = 1.0 / mass if self.reduction == "mean" and mass else 1.0  # labels and class weights only
        if self.reduction == "none":
            loss = losses.reshape(labels.shape)
        else:
            loss = self.xp.asarray(mean if self.reduction == "mean" else total, dtype=z.dtype)
        return loss, p.reshape(z.shape)

    def backward(self, gy: Tensor | None, gp: Tensor | None) -> tuple[Tensor | None, None, None]:
        (p,) = self.kept_outputs()
        gz = None
        if gy is not None:
            labels, *weight = self.kept_inputs()
            node = SoftmaxCrossEntropyGrad(self.ignore_index, self.smoothing, self.scale)
            gz = node(gy, p, labels, weight[0] if weight else None)
        if gp is not None:  # the gradient's own gradient passes through p = softmax(z)
            inner = gp * p
            through = inner - p * inner.sum(1, keepdim=True)
            gz = through if gz is None else gz + through
        return gz, None, None


class SoftmaxCrossEntropyGrad(Function):
    """scale * gy * (p * sum(q) - q), q the weighted, smoothed one-hot target; linear in gy and in p."""

    constants: ClassVar[dict[int, str]] = {2: _LABELS, 3: _WEIGHTS}

    def __init__(self, ignore_index: int, smoothing: float, scale: float) -> None:
        self.ignore_index, self.smoothing, self.scale = ignore_index, smoothing, scale

    def forward(self, gy: Array, p: Array, labels: Array, weight: Array | None) -> Array:
        self.keep_inputs(*((0, 1, 2) if weight is None else (0, 1, 2, 3)))
        n, classes, *places = p.shape
        rows = (n, prod(places))
        options = (self.ignore_index, self.smoothing, self.scale)
        grad = self.backend.losses.softmax_cross_entropy_grad
        gz: Array = grad(gy, p.reshape(n, classes, rows[1]), labels.reshape(rows), weight, *options)
        return gz.reshape(p.shape)

    def backward(self, ggz: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        gy, p, labels, *weight = self.kept_inputs()
        n, classes, *places = p.shape
        w = weight[0].data if weight else None
        distribution = self.backend.losses.label_distribution
        dense = distribution(
            labels.data.reshape(n, prod(places)), w, classes, self.ignore_index, self.smoothing, p.dtype
        )
        q = constant(dense.reshape(p.shape), p)
        mass = q.sum(1, keepdim=True)
        ggy = gp = None
        if self.needs(0):
            ggy = (ggz * (p * mass - q)).sum(1) * self.scale
            ggy = ggy if gy.ndim else ggy.sum()
        if self.needs(1):
            gp = ggz * (mass * self.scale) * (gy.unsqueeze(1) if gy.ndim else gy)
        return ggy, gp, None, None


def _check(op: str, input: Tensor, target: Tensor, weight: Tensor | None, reduction: str) -> bool:
    """Shapes and dtypes; whether the target holds class labels."""
    check_reduction(op, reduction)
    read_only(op, weight=weight)
    checks.floating(op, input=input)
    if not input.ndim:
        raise checks.value_error(op, "input must have a class axis: shape (C,), (N, C) or (N, C, d1, ...)", input=input)
    axis = min(1, input.ndim - 1)
    classes = input.shape[axis]
    if not classes:
        raise checks.value_error(op, "input has no classes", input=input)
    if weight is not None and weight.shape != (classes,):
        raise checks.value_error(op, f"weight must have shape ({classes},), one per class", input=input, weight=weight)
    if is_float(target.dtype):
        return False
    expected = input.shape[:axis] + input.shape[axis + 1 :]
    if target.shape != expected:
        raise checks.value_error(op, f"expected labels of shape {expected}", input=input, target=target)
    if target.dtype.kind not in "iu":
        raise checks.type_error(op, "labels must be integers", target=target)
    return True


@in_float32
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy between the softmax of logits and a class label or distribution.

    With target distribution q (one-hot for a label), smoothed to ``(1 - s) q + s / C``,

    ``loss = -sum_c weight_c q_c log softmax(input)_c``.

    Parameters
    ----------
    input : floating Tensor, (C,), (N, C) or (N, C, d1, ...)
        Logits; finite results up to the dtype's range.
    target : Tensor
        Integer labels, of the input's shape without the class axis; or floating probabilities of its full shape.
    weight : Tensor (C,), optional
        Weight of each class.
    ignore_index : int
        Label of positions that count nothing.
    reduction : "mean", "sum" or "none"
        For labels, "mean" divides by the summed weight of the labels that count; it is NaN where all are ignored. For
        probabilities it divides by the number of positions.
    label_smoothing : float in [0, 1]
        s.

    Returns
    -------
    Tensor
        0-d, or of the target's shape without its class axis for "none".

    Raises
    ------
    ValueError
        For shapes that do not match, or a label outside 0 .. C-1 (the first one is named with its position).

    Gradient
    --------
    gy * (softmax(input) * sum(q) - q) for labels, with the weights in q; also to the target's probabilities. Labels
    and weights are not differentiated. Any order.

    Notes
    -----
    With labels this is one pass over the logits for the loss and one, without exponentials, for the gradient.

    Examples
    --------
    >>> import minicnn as mc
    >>> logits = mc.tensor([[0.0, 0.0], [10000.0, 0.0]], requires_grad=True)
    >>> loss = mc.ops.cross_entropy(logits, mc.tensor([0, 0]), reduction="sum")
    >>> loss.backward()
    >>> round(loss.item(), 4), logits.grad.tolist()
    (0.6931, [[-0.5, 0.5], [0.0, 0.0]])
    """
    op = "cross_entropy"
    if not 0.0 <= label_smoothing <= 1.0:
        raise checks.value_error(op, f"label_smoothing must be in [0, 1], got {label_smoothing}")
    if _check(op, input, target, weight, reduction):
        checks.kernel_dtype(op, input=input)
        single = input.ndim == 1
        if single:
            input, target = input.unsqueeze(0), target.unsqueeze(0)
        loss: Tensor = SoftmaxCrossEntropy(reduction, ignore_index, label_smoothing)(input, target, weight)
        return loss.reshape(()) if single else loss
    if target.shape != input.shape:
        raise checks.value_error(op, "probabilities must have the input's shape", input=input, target=target)
    return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)


def _per_class(weight: Tensor, input: Tensor) -> Tensor:
    """Class weights, shaped to multiply the input; a constant."""
    shape = [1] * input.ndim
    shape[min(1, input.ndim - 1)] = weight.shape[0]
    return weight.reshape(tuple(shape))  # type: ignore[no-any-return]


def _soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float
) -> Tensor:
    axis = min(1, input.ndim - 1)
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / input.shape[axis]
    terms = target * log_softmax(input, axis)
    if weight is not None:
        terms = terms * _per_class(weight, input)
    return reduced("cross_entropy", -sum_over(terms, axis), reduction)


@in_float32
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of labels, ``-weight[y] * input[y]``, from log-probabilities.

    Parameters
    ----------
    input : floating Tensor, (C,), (N, C) or (N, C, d1, ...)
        Log-probabilities, from :func:`log_softmax`.
    target : integer Tensor
        Labels, of the input's shape without the class axis.
    weight : Tensor (C,), optional
    ignore_index : int
        Label of positions that count nothing.
    reduction : "mean", "sum" or "none"
        "mean" divides by the summed weight of the labels that count.

    Raises
    ------
    ValueError
        For shapes that do not match, or a label outside 0 .. C-1.

    Gradient
    --------
    -weight[y] * gy at the label, 0 elsewhere. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.nll_loss(mc.tensor([[-1.0, -2.0]]), mc.tensor([1])).item()
    2.0
    """
    op = "nll_loss"
    if not _check(op, input, target, weight, reduction):
        raise checks.type_error(op, "labels must be integers", target=target)
    axis, xp = min(1, input.ndim - 1), input.device.xp
    labels = target.data
    counts = labels != ignore_index
    wrong = counts & ((labels < 0) | (labels >= input.shape[axis]))
    if xp.any(wrong):
        raise bad_label(op, labels, int(xp.argmax(wrong)), input.shape[axis])
    safe = xp.where(counts, labels, 0)
    picked = gather(input, axis, constant(xp.expand_dims(safe, axis), input)).squeeze(axis)
    mass = counts.astype(input.dtype)
    if weight is not None:
        mass = mass * _per_class(weight, input).data.reshape(-1)[safe]
    loss = where(constant(counts, input), -picked * constant(xp.asarray(mass), input), 0.0)
    if reduction == "mean":
        mean: Tensor = loss.sum() / constant(xp.asarray(xp.sum(mass)), input)
        return mean
    return reduced(op, loss, reduction)
