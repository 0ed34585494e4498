"""Cases of the losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.testing.cases.case import Sample, case
from minicnn.testing.cases.penalty import penalised

Rng = np.random.Generator
_REDUCTIONS = ("mean", "sum", "none")


def _reduction(rng: Rng) -> str:
    return str(rng.choice(_REDUCTIONS))


def _shape(rng: Rng) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(1, 5, size=int(rng.integers(1, 4))))


def _apart(rng: Rng, shape: tuple[int, ...], *kinks: float) -> np.ndarray:
    """Normal numbers at least 0.03 away from every kink."""
    x = np.asarray(rng.normal(size=shape) * 1.5)
    for kink in kinks:
        near = np.abs(x - kink) < 0.03
        x = np.where(near, x + 0.1, x)
    return x


def _logits(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels without batch, with batch, or with places."""
    n, c = int(rng.integers(1, 5)), int(rng.integers(2, 6))
    places = tuple(int(k) for k in rng.integers(1, 4, size=int(rng.integers(0, 3))))
    shape = (c,) if rng.random() < 0.15 else (n, c, *places)
    labels = rng.integers(0, c, size=() if len(shape) == 1 else (n, *places))
    return rng.normal(size=shape) * 2, np.asarray(labels)


def _class_weight(rng: Rng, x: np.ndarray) -> np.ndarray:
    return np.asarray(rng.uniform(0.2, 2.0, size=x.shape[min(1, x.ndim - 1)]))


@case("cross_entropy", torch="torch.nn.functional.cross_entropy", order=3)
def _cross_entropy(rng: Rng) -> Sample:
    return Sample(_logits(rng), {"reduction": _reduction(rng)})


@case("cross_entropy", variant="weighted", torch="torch.nn.functional.cross_entropy", constants=("weight",))
def _cross_entropy_weighted(rng: Rng) -> Sample:
    x, labels = _logits(rng)
    if labels.size > 1:
        labels.reshape(-1)[0] = x.shape[1] - 1  # one label that counts
        ignored = 0
    else:
        ignored = -100
    options = {"weight": _class_weight(rng, x), "ignore_index": ignored, "reduction": _reduction(rng)}
    return Sample((x, labels), {**options, "label_smoothing": float(rng.choice([0.0, 0.3]))})


@case("cross_entropy", variant="smoothed", torch="torch.nn.functional.cross_entropy")
def _cross_entropy_smoothed(rng: Rng) -> Sample:
    return Sample(_logits(rng), {"label_smoothing": 0.2, "reduction": _reduction(rng)})


@case("cross_entropy", variant="probabilities", torch="torch.nn.functional.cross_entropy", constants=("weight",))
def _cross_entropy_probabilities(rng: Rng) -> Sample:
    x, _ = _logits(rng)
    options: dict[str, Any] = {"reduction": _reduction(rng), "label_smoothing": float(rng.choice([0.0, 0.2]))}
    if rng.random() < 0.5:
        options["weight"] = _class_weight(rng, x)
    return Sample((x, rng.uniform(0, 1, size=x.shape)), options)


@case("cross_entropy", variant="penalty", order=1, call=penalised("cross_entropy"))
def _cross_entropy_penalty(rng: Rng) -> Sample:
    return Sample(_logits(rng), {"reduction": _reduction(rng)})


@case("nll_loss", torch="torch.nn.functional.nll_loss", constants=("weight",))
def _nll_loss(rng: Rng) -> Sample:
    x, labels = _logits(rng)
    options: dict[str, Any] = {"reduction": _reduction(rng)}
    if rng.random() < 0.5:
        options["weight"] = _class_weight(rng, x)
    if labels.size > 1 and rng.random() < 0.5:
        labels.reshape(-1)[0] = -100
    return Sample((x, labels), options)


@case("mse_loss", torch="torch.nn.functional.mse_loss")
def _mse_loss(rng: Rng) -> Sample:
    shape = _shape(rng)
    return Sample((rng.normal(size=shape), rng.normal(size=shape)), {"reduction": _reduction(rng)})


@case("l1_loss", torch="torch.nn.functional.l1_loss", kinks=True)
def _l1_loss(rng: Rng) -> Sample:
    target = rng.normal(size=_shape(rng))
    return Sample((target + _apart(rng, target.shape, 0.0), target), {"reduction": _reduction(rng)})


@case("smooth_l1_loss", torch="torch.nn.functional.smooth_l1_loss", kinks=True)
def _smooth_l1_loss(rng: Rng) -> Sample:
    beta = float(rng.choice([0.0, 0.5, 1.0]))
    target = rng.normal(size=_shape(rng))
    x = target + _apart(rng, target.shape, 0.0, beta, -beta)
    return Sample((x, target), {"reduction": _reduction(rng), "beta": beta})


@case("smooth_l1_loss", variant="sigma", kinks=True)
def _smooth_l1_loss_sigma(rng: Rng) -> Sample:
    target = rng.normal(size=_shape(rng))
    return Sample((target + _apart(rng, target.shape, 0.0, 0.25, -0.25), target), {"sigma": 2.0})


@case("huber_loss", torch="torch.nn.functional.huber_loss", kinks=True)
def _huber_loss(rng: Rng) -> Sample:
    delta = float(rng.choice([0.5, 1.0, 2.0]))
    target = rng.normal(size=_shape(rng))
    x = target + _apart(rng, target.shape, 0.0, delta, -delta)
    return Sample((x, target), {"reduction": _reduction(rng), "delta": delta})


@case("binary_cross_entropy", torch="torch.nn.functional.binary_cross_entropy")
def _binary_cross_entropy(rng: Rng) -> Sample:
    shape = _shape(rng)
    x, t = rng.uniform(0.1, 0.9, size=shape), rng.uniform(0.1, 0.9, size=shape)
    return Sample((x, t), {"reduction": _reduction(rng)})


@case(
    "binary_cross_entropy_with_logits",
    torch="torch.nn.functional.binary_cross_entropy_with_logits",
    constants=("pos_weight", "weight"),
)
def _binary_cross_entropy_with_logits(rng: Rng) -> Sample:
    shape = _shape(rng)
    options: dict[str, Any] = {"reduction": _reduction(rng)}
    if rng.random() < 0.5:
        options["pos_weight"] = rng.uniform(0.5, 3.0, size=shape[-1])
        options["weight"] = rng.uniform(0.5, 3.0, size=shape)
    return Sample((rng.normal(size=shape) * 3, rng.uniform(0, 1, size=shape)), options)


@case("kl_div", torch="torch.nn.functional.kl_div")
def _kl_div(rng: Rng) -> Sample:
    shape, log_target = _shape(rng), bool(rng.random() < 0.5)
    target = rng.uniform(0.1, 1.0, size=shape)
    reduction = str(rng.choice(["sum", "none", "batchmean"]))  # PyTorch warns of "mean"
    inputs = (rng.normal(size=shape), np.log(target) if log_target else target)
    return Sample(inputs, {"reduction": reduction, "log_target": log_target})


def _signs(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    return rng.choice([-1, 1], size=shape)


@case("hinge_loss", kinks=True)
def _hinge_loss(rng: Rng) -> Sample:
    target = _signs(rng, _shape(rng))
    margin = _apart(rng, target.shape, 1.0)
    margin.reshape(-1)[0] = -0.5  # one inside, or the gradient is zero
    return Sample((margin * target, target), {"reduction": _reduction(rng)})


@case("perceptron_loss", kinks=True)
def _perceptron_loss(rng: Rng) -> Sample:
    margin = _apart(rng, _shape(rng), 0.0)
    margin.reshape(-1)[0] = -0.5
    return Sample((margin,), {"reduction": _reduction(rng)})


@case("logistic_loss")
def _logistic_loss(rng: Rng) -> Sample:
    return Sample((rng.normal(size=_shape(rng)) * 3,), {"reduction": _reduction(rng)})


@case("quadratic_loss")
def _quadratic_loss(rng: Rng) -> Sample:
    return Sample((rng.normal(size=_shape(rng)),), {"reduction": _reduction(rng)})


@case("exponential_loss")
def _exponential_loss(rng: Rng) -> Sample:
    return Sample((rng.normal(size=_shape(rng)),), {"reduction": _reduction(rng)})


@case("zero_one_loss", differentiable=False)
def _zero_one_loss(rng: Rng) -> Sample:
    return Sample((_apart(rng, _shape(rng), 0.0),), {"reduction": _reduction(rng)})


@case("soft_margin_loss", torch="torch.nn.functional.soft_margin_loss")
def _soft_margin_loss(rng: Rng) -> Sample:
    shape = _shape(rng)
    return Sample((rng.normal(size=shape) * 2, _signs(rng, shape)), {"reduction": _reduction(rng)})


@case("multi_margin_loss", torch="torch.nn.functional.multi_margin_loss", kinks=True, constants=("weight",))
def _multi_margin_loss(rng: Rng) -> Sample:
    n, c = int(rng.integers(1, 4)), int(rng.integers(2, 5))
    scores = np.stack([rng.permutation(c) * 0.37 for _ in range(n)]) + rng.uniform(-0.05, 0.05, size=(n, c))
    options: dict[str, Any] = {"p": int(rng.integers(1, 3)), "margin": 0.92, "reduction": _reduction(rng)}
    if rng.random() < 0.5:
        options["weight"] = rng.uniform(0.5, 2.0, size=c)
    return Sample((scores, rng.integers(0, c, size=n)), options)


@case("hinge_embedding_loss", torch="torch.nn.functional.hinge_embedding_loss", kinks=True)
def _hinge_embedding_loss(rng: Rng) -> Sample:
    distance = _apart(rng, _shape(rng), 1.0)
    distance.reshape(-1)[0] = 0.5
    return Sample((distance, _signs(rng, distance.shape)), {"reduction": _reduction(rng)})


@case("margin_ranking_loss", torch="torch.nn.functional.margin_ranking_loss", kinks=True)
def _margin_ranking_loss(rng: Rng) -> Sample:
    second = rng.normal(size=_shape(rng))
    target = _signs(rng, second.shape)
    lead = _apart(rng, second.shape, 0.3)
    lead.reshape(-1)[0] = -0.5
    return Sample((second + lead * target, second, target), {"margin": 0.3, "reduction": _reduction(rng)})


@case("pairwise_distance", torch="torch.nn.functional.pairwise_distance")
def _pairwise_distance(rng: Rng) -> Sample:
    x = rng.normal(size=(int(rng.integers(1, 4)), int(rng.integers(1, 5))))
    return Sample(
        (x + _apart(rng, x.shape, 0.0), x), {"p": float(rng.choice([2.0, 3.0])), "keepdim": bool(rng.integers(2))}
    )


@case("triplet_margin_loss", torch="torch.nn.functional.triplet_margin_loss", kinks=True)
def _triplet_margin_loss(rng: Rng) -> Sample:
    shape = (int(rng.integers(1, 4)), int(rng.integers(2, 5)))
    negative = rng.normal(size=shape)
    # well inside the margin: the loss of every triplet is positive, and with swap the choice is clear
    anchor, positive = negative + 1.0 + 0.1 * rng.normal(size=shape), negative + 3.0 + 0.1 * rng.normal(size=shape)
    return Sample(
        (anchor, positive, negative), {"swap": bool(rng.integers(2)), "reduction": _reduction(rng), "margin": 2.0}
    )


@case("cosine_similarity", torch="torch.nn.functional.cosine_similarity")
def _cosine_similarity(rng: Rng) -> Sample:
    shape, dim = [int(n) for n in rng.integers(1, 4, size=3)], int(rng.integers(-1, 2))
    shape[dim] = 3  # vectors of one entry have a constant cosine
    return Sample((rng.normal(size=shape), rng.normal(size=shape)), {"dim": dim})


@case("cosine_embedding_loss", torch="torch.nn.functional.cosine_embedding_loss", kinks=True)
def _cosine_embedding_loss(rng: Rng) -> Sample:
    n, d = int(rng.integers(1, 4)), int(rng.integers(2, 5))
    first = rng.normal(size=(n, d))
    second = first + 0.4 * rng.normal(size=(n, d))
    options = {"margin": -0.99, "reduction": _reduction(rng)}
    return Sample((first, second, _signs(rng, (n,))), options)


@case("squared_distance", torch=lambda x, codes: ((x[:, None] - codes[None]) ** 2).sum(-1), order=3)
def _squared_distance(rng: Rng) -> Sample:
    d = int(rng.integers(1, 5))
    return Sample((rng.normal(size=(int(rng.integers(1, 4)), d)), rng.normal(size=(int(rng.integers(1, 4)), d))))


@case("discriminative_rbf_loss")
def _discriminative_rbf_loss(rng: Rng) -> Sample:
    n, c = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    return Sample(
        (rng.uniform(0, 4, size=(n, c)), rng.integers(0, c, size=n)), {"j": 0.1, "reduction": _reduction(rng)}
    )
