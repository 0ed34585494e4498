"""Losses as modules: the functions of `minicnn.ops` with their options set once."""

from __future__ import annotations

from minicnn import ops
from minicnn.core import checks
from minicnn.core.tensor import Tensor
from minicnn.nn.module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "DiscriminativeRBFLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
]


class _Loss(Module):
    def __init__(self, *, reduction: str = "mean") -> None:
        if reduction not in ("none", "mean", "sum"):
            raise checks.value_error(
                type(self).__name__, f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}"
            )
        self.reduction = reduction

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class _Weighted(_Loss):
    """A loss with one weight for each class, held as a buffer that is not saved."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight, persistent=False)


class CrossEntropyLoss(_Weighted):
    """Softmax cross-entropy of logits against class numbers or class probabilities.

    Parameters
    ----------
    weight : Tensor (classes,), optional
        Weight of each class.
    ignore_index : int
        Class number whose samples do not count.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float in [0, 1)
        Share of each target spread evenly over the classes.

    Examples
    --------
    >>> import minicnn as mc
    >>> loss = mc.nn.CrossEntropyLoss()
    >>> round(loss(mc.tensor([[0.0, 0.0]]), mc.tensor([1])).item(), 4)
    0.6931
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(N, classes, ...) and (N, ...) ints, or probabilities of the input's shape."""
        return ops.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Weighted):
    """Negative log-likelihood of log-probabilities."""

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(N, classes, ...) log-probabilities and (N, ...) ints."""
        return ops.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(_Loss):
    """Mean of ``(x - y)²``."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape."""
        return ops.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """Mean of ``|x - y|``."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape."""
        return ops.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """``d²/(2 beta)`` for ``d = |x - y| < beta``, ``d - beta/2`` beyond."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape."""
        return ops.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """``d²/2`` for ``d = |x - y| < delta``, ``delta (d - delta/2)`` beyond."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape."""
        return ops.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class BCEWithLogitsLoss(_Weighted):
    """Binary cross-entropy of logits.

    Parameters
    ----------
    weight : Tensor, optional
        Weight of each element, broadcast.
    reduction : {"mean", "sum", "none"}
    pos_weight : Tensor (classes,), optional
        Weight of positive targets.
    """

    pos_weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.register_buffer("pos_weight", pos_weight, persistent=False)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape, targets in [0, 1]."""
        return ops.binary_cross_entropy_with_logits(
            input, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class HingeEmbeddingLoss(_Loss):
    """``x`` for target 1, ``max(0, margin - x)`` for target -1."""

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape, targets ±1."""
        return ops.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """``ln(1 + e^(-y x))``."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape, targets ±1."""
        return ops.soft_margin_loss(input, target, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """``max(0, -y (x1 - x2) + margin)``."""

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """Three tensors of one shape, targets ±1."""
        return ops.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """``1 - cos(x1, x2)`` for target 1, ``max(0, cos(x1, x2) - margin)`` for target -1."""

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """Two tensors (N, features) and (N,) targets ±1."""
        return ops.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class HingeLoss(_Loss):
    """``max(0, 1 - y x)``."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape, targets ±1."""
        return ops.hinge_loss(input, target, reduction=self.reduction)


class KLDivLoss(_Loss):
    """``q (ln q - x)`` for log-probabilities x; the mean over all elements, as in PyTorch."""

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape; targets are probabilities, or their logarithms with `log_target`."""
        return ops.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class BCELoss(_Weighted):
    """Binary cross-entropy of probabilities; prefer `BCEWithLogitsLoss`, which cannot overflow."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape in [0, 1]."""
        return ops.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class MultiMarginLoss(_Weighted):
    """``Σ_{i≠y} max(0, margin - x_y + x_i)^p / classes``."""

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, *, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.p, self.margin = p, margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(N, classes) scores and (N,) ints."""
        return ops.multi_margin_loss(
            input, target, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction
        )


class TripletMarginLoss(_Loss):
    """``max(0, |a - p| - |a - n| + margin)``; with `swap`, |p - n| instead of |a - n| where it is smaller."""

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, *, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Three tensors (N, features)."""
        return ops.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class DiscriminativeRBFLoss(Module):
    """LeNet-5's loss, ``mean_n [y_label + ln(e^(-j) + Σ_i e^(-y_i))]``: the right distance small, the others large.

    Parameters
    ----------
    j : float
        Keeps distances of wrong classes that are already large from being pushed further; positive.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, 1998, eq. 9.
    """

    def __init__(self, j: float = 0.1) -> None:
        if j <= 0:
            raise checks.value_error("DiscriminativeRBFLoss", f"j must be positive, got {j}")
        self.j = j

    def forward(self, distances: Tensor, labels: Tensor) -> Tensor:
        """(N, classes) squared distances and (N,) ints."""
        return ops.discriminative_rbf_loss(distances, labels, self.j)

    def extra_repr(self) -> str:
        return f"j={self.j}"
