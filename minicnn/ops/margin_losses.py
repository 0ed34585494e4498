"""Losses on margins and on similarities: of a score and a sign, of class scores, of pairs and triplets.

The margin of a binary classifier is M = target * score, positive where the sign is right.
"""

from minicnn.core import checks
from minicnn.core.function import constant
from minicnn.core.tensor import Tensor
from minicnn.ops.activations import logsigmoid
from minicnn.ops.arithmetic import maximum, minimum, where
from minicnn.ops.autocast import in_float32
from minicnn.ops.cast import cast
from minicnn.ops.cross_entropy import bad_label, read_only, reduced
from minicnn.ops.elementwise import exp, sqrt
from minicnn.ops.indexing import gather
from minicnn.ops.losses import same_shape
from minicnn.ops.rectifiers import relu
from minicnn.ops.reduce import norm


@in_float32
def hinge_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Binary hinge, max(0, 1 - target * input).

    Parameters
    ----------
    input : Tensor
        Scores; the answer is their sign.
    target : Tensor of the same shape
        -1 or 1.
    reduction : "mean", "sum" or "none"

    Raises
    ------
    ValueError
        If the shapes differ.

    Gradient
    --------
    -target * gy where target * input < 1, else 0. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> score = mc.tensor([-1.0, 0.0, 1.0, 2.0])
    >>> mc.ops.hinge_loss(score, mc.ops.ones_like(score), "none").tolist()
    [2.0, 1.0, 0.0, 0.0]
    """
    same_shape("hinge_loss", input=input, target=target)
    return reduced("hinge_loss", relu(1.0 - input * target), reduction)


@in_float32
def perceptron_loss(margin: Tensor, reduction: str = "mean") -> Tensor:
    """Rosenblatt's loss of a margin, max(0, -margin).

    Gradient
    --------
    -gy where margin < 0, else 0. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.perceptron_loss(mc.tensor([-2.0, 3.0]), "none").tolist()
    [2.0, 0.0]
    """
    return reduced("perceptron_loss", relu(-margin), reduction)


@in_float32
def logistic_loss(margin: Tensor, reduction: str = "mean") -> Tensor:
    """Logistic loss of a margin, log(1 + exp(-margin)), stable for all margins.

    Gradient
    --------
    -gy * sigmoid(-margin). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.logistic_loss(mc.tensor([-1000.0, 0.0]), "none")
    tensor([1.0000e+03, 6.9315e-01])
    """
    return reduced("logistic_loss", -logsigmoid(margin), reduction)


@in_float32
def quadratic_loss(margin: Tensor, reduction: str = "mean") -> Tensor:
    """Quadratic loss of a margin, (1 - margin)**2; it also punishes being too right.

    Gradient
    --------
    -2 * (1 - margin) * gy. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.quadratic_loss(mc.tensor([-1.0, 1.0, 3.0]), "none").tolist()
    [4.0, 0.0, 4.0]
    """
    short = 1.0 - margin
    return reduced("quadratic_loss", short * short, reduction)


@in_float32
def exponential_loss(margin: Tensor, reduction: str = "mean") -> Tensor:
    """Exponential loss of a margin, exp(-margin), as in boosting.

    Gradient
    --------
    -exp(-margin) * gy. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.exponential_loss(mc.tensor([0.0])).item()
    1.0
    """
    return reduced("exponential_loss", exp(-margin), reduction)


def zero_one_loss(margin: Tensor, reduction: str = "mean") -> Tensor:
    """1 where margin < 0, else 0: the number of mistakes. For evaluation only, it has no gradient.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.zero_one_loss(mc.tensor([-2.0, 0.0, 1.0, -1.0])).item()
    0.5
    """
    return reduced("zero_one_loss", cast(margin < 0, margin.dtype), reduction)


@in_float32
def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Logistic loss of target * input, log(1 + exp(-target * input)).

    Parameters
    ----------
    input, target : Tensor of one shape
        Targets are -1 or 1.
    reduction : "mean", "sum" or "none"

    Gradient
    --------
    -target * sigmoid(-target * input) * gy. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> round(mc.ops.soft_margin_loss(mc.tensor([0.0]), mc.tensor([1.0])).item(), 4)
    0.6931
    """
    same_shape("soft_margin_loss", input=input, target=target)
    return reduced("soft_margin_loss", -logsigmoid(input * target), reduction)


@in_float32
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Multi-class hinge, sum over wrong classes i of weight_y max(0, margin - x_y + x_i)**p / C.

    Parameters
    ----------
    input : Tensor (N, C) or (C,)
        Scores.
    target : integer Tensor (N,) or ()
    p : 1 or 2
    margin : float
    weight : Tensor (C,), optional
    reduction : "mean", "sum" or "none"

    Raises
    ------
    ValueError
        For shapes that do not match, another p, or a label outside 0 .. C-1.

    Gradient
    --------
    To each class inside the margin p * max(...)**(p-1) * weight_y / C * gy, and their negative sum to the right one.
    Any order.

    References
    ----------
    Crammer, Singer, *On the algorithmic implementation of multiclass kernel-based vector machines*, JMLR 2001.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.multi_margin_loss(mc.tensor([[2.0, 1.5, 0.0, 0.0]]), mc.tensor([0])).item()
    0.125
    """
    op = "multi_margin_loss"
    read_only(op, weight=weight)
    if p not in (1, 2):
        raise checks.value_error(op, f"p must be 1 or 2, got {p}")
    single = input.ndim == 1
    scores = input.unsqueeze(0) if single else input
    labels = target.unsqueeze(0) if single else target
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise checks.value_error(op, "expected scores (N, C) and labels (N,)", input=input, target=target)
    classes, xp = scores.shape[1], input.device.xp
    wrong = (labels.data < 0) | (labels.data >= classes)
    if xp.any(wrong):
        raise bad_label(op, labels.data, int(xp.argmax(wrong)), classes)
    right = labels.data[:, None] == xp.arange(classes)
    gaps = relu(scores - gather(scores, 1, labels.unsqueeze(1)) + margin)
    terms = where(constant(right, input), 0.0, gaps if p == 1 else gaps * gaps)
    loss = terms.sum(1) / float(classes)
    if weight is not None:
        if weight.shape != (classes,):
            raise checks.value_error(op, f"weight must have shape ({classes},), one per class", weight=weight)
        loss = loss * gather(weight, 0, labels)
    return reduced(op, loss.squeeze(0) if single else loss, reduction)


@in_float32
def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """Distance for similar pairs (target 1), max(0, margin - distance) for dissimilar ones (target -1).

    Parameters
    ----------
    input : Tensor
        Distances.
    target : Tensor of the same shape
    margin : float
    reduction : "mean", "sum" or "none"

    Gradient
    --------
    gy for similar pairs, -gy for dissimilar ones inside the margin. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.hinge_embedding_loss(mc.tensor([0.25, 0.25]), mc.tensor([1.0, -1.0]), reduction="none").tolist()
    [0.25, 0.75]
    """
    same_shape("hinge_embedding_loss", input=input, target=target)
    similar = where(target == -1, 0.0, input)
    other = where(target == 1, 0.0, relu(margin - input))
    return reduced("hinge_embedding_loss", similar + other, reduction)


@in_float32
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Punishes a wrong order, max(0, -target * (input1 - input2) + margin).

    Parameters
    ----------
    input1, input2 : Tensor of one shape
    target : Tensor
        1 where the first should be larger, -1 where the second should.
    margin : float
    reduction : "mean", "sum" or "none"

    Gradient
    --------
    -target * gy to the first and target * gy to the second, where the loss is positive. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.margin_ranking_loss(mc.tensor([1.0]), mc.tensor([3.0]), mc.tensor([1.0])).item()
    2.0
    """
    same_shape("margin_ranking_loss", input1=input1, input2=input2)
    return reduced("margin_ranking_loss", relu(margin - target * (input1 - input2)), reduction)


@in_float32
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps over the last axis.

    Parameters
    ----------
    x1, x2 : Tensor (..., D)
        Shapes broadcast.
    p : float
    eps : float
        Keeps the gradient finite where the two are equal.
    keepdim : bool

    Gradient
    --------
    That of the norm: for p = 2, gy * (x1 - x2 + eps) / distance. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.pairwise_distance(mc.tensor([[3.0, 4.0]]), mc.tensor([[0.0, 0.0]]), eps=0.0).tolist()
    [5.0]
    """
    return norm(x1 - x2 + eps, p, -1, keepdim)


@in_float32
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Brings anchor and positive together, max(0, d(a, p) - d(a, n) + margin).

    Parameters
    ----------
    anchor, positive, negative : Tensor (N, D) or (D,)
    margin : float > 0
    p, eps : float
        Of :func:`pairwise_distance`.
    swap : bool
        Take d(p, n) instead of d(a, n) where it is smaller.
    reduction : "mean", "sum" or "none"

    Gradient
    --------
    That of the two distances where the loss is positive. Any order.

    References
    ----------
    Schroff, Kalenichenko, Philbin, *FaceNet*, 2015 (with squared distances); Balntas et al., 2016 (swap).

    Examples
    --------
    >>> import minicnn as mc
    >>> a, n = mc.tensor([[0.0, 0.0]]), mc.tensor([[3.0, 4.0]])
    >>> mc.ops.triplet_margin_loss(a, a, n, margin=7.0, eps=0.0).item()
    2.0
    """
    op = "triplet_margin_loss"
    if not margin > 0:
        raise checks.value_error(op, f"margin must be > 0, got {margin}")
    same_shape(op, anchor=anchor, positive=positive, negative=negative)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(op, relu(near - far + margin), reduction)


@in_float32
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle, x1 . x2 / (max(|x1|, eps) max(|x2|, eps)).

    Parameters
    ----------
    x1, x2 : Tensor
        Shapes broadcast.
    dim : int
        Axis of the vectors' entries.
    eps : float > 0
        Least norm divided by.

    Gradient
    --------
    gy * (x2/|x2| - y x1/|x1|) / |x1| to x1, alike to x2. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.cosine_similarity(mc.tensor([[3.0, 4.0]]), mc.tensor([[4.0, 3.0]]))
    tensor([0.96])
    """
    size1, size2 = norm(x1, 2, dim, keepdim=True), norm(x2, 2, dim, keepdim=True)
    # norms first, then the product: no overflow of |x1| |x2|
    return ((x1 / maximum(size1, eps)) * (x2 / maximum(size2, eps))).sum(dim)  # type: ignore[no-any-return]


@in_float32
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos for similar pairs (target 1), max(0, cos - margin) for dissimilar ones (target -1).

    Parameters
    ----------
    input1, input2 : Tensor (N, D) or (D,)
    target : Tensor (N,) or ()
    margin : float in [-1, 1]
    reduction : "mean", "sum" or "none"

    Raises
    ------
    ValueError
        If shapes do not match.

    Gradient
    --------
    That of the cosine, negative for similar pairs. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> mc.ops.cosine_embedding_loss(x, x, mc.tensor([1.0, -1.0]), reduction="none").tolist()
    [0.0, 1.0]
    """
    op = "cosine_embedding_loss"
    same_shape(op, input1=input1, input2=input2)
    if input1.ndim not in (1, 2) or target.shape != input1.shape[:-1]:
        raise checks.value_error(op, "expected inputs (N, D) and target (N,)", input1=input1, target=target)
    tiny = 1e-12  # as in PyTorch: added to the squared norms
    squares1, squares2 = (input1 * input1).sum(-1) + tiny, (input2 * input2).sum(-1) + tiny
    cosine = (input1 * input2).sum(-1) / sqrt(squares1 * squares2)
    similar = where(target == 1, 1.0 - cosine, 0.0)
    other = where(target == -1, relu(cosine - margin), 0.0)
    return reduced(op, similar + other, reduction)
