"""Learning rates as functions of time. Each schedule is a pure formula ``rate(base, epoch)``.

A schedule reads the starting rate of every parameter group once and sets ``group["lr"]`` from the formula at every
:meth:`~LRScheduler.step`; so a resumed run continues exactly, and formulas are tested as formulas.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from minicnn.core import checks
from minicnn.optim.optimizer import Optimizer

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "WarmupCosineLR",
]


class LRScheduler:
    """Base of the schedules that depend on time only; a subclass gives :meth:`rate`.

    Parameters
    ----------
    optimizer : Optimizer
    last_epoch : int
        Epoch last done; -1 starts.

    Notes
    -----
    Call ``step()`` once per epoch (or per update, if the schedule counts updates), after ``optimizer.step()``. The
    rate follows the closed formula from the group's ``"initial_lr"``: a rate set by hand is overwritten.

    Examples
    --------
    >>> import minicnn as mc
    >>> optimizer = mc.optim.SGD([mc.tensor([0.0], requires_grad=True)], lr=0.5)
    >>> schedule = mc.optim.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> rates = []
    >>> for epoch in range(5):
    ...     rates.append(schedule.get_last_lr()[0])
    ...     schedule.step()
    >>> rates
    [0.5, 0.5, 0.25, 0.25, 0.125]
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.last_epoch = last_epoch
        self.step()

    @property
    def base_lrs(self) -> list[float]:
        """The starting rate of each group."""
        return [group["initial_lr"] for group in self.optimizer.param_groups]

    def rate(self, base: float, epoch: int) -> float:
        """The rate in that epoch of a group that starts with ``base``."""
        raise NotImplementedError(f"{type(self).__name__}: rate is not defined")

    def get_lr(self) -> list[float]:
        """The rate of each group in the present epoch."""
        return [self.rate(base, self.last_epoch) for base in self.base_lrs]

    def get_last_lr(self) -> list[float]:
        """The rates that the optimiser has now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Go to the next epoch and set the rates."""
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """The plain values of the schedule; functions and the optimiser are left out."""
        return {key: value for key, value in vars(self).items() if _plain(value)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken; the rates themselves are the optimiser's state."""
        vars(self).update(state_dict)


def _at_least_one(op: str, **options: Any) -> None:
    for key, value in options.items():
        if value < 1:
            raise checks.value_error(op, f"{key} must be >= 1, got {value}")


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(v) for v in value)
    return value is None or isinstance(value, bool | int | float | str)


class LambdaLR(LRScheduler):
    """``base * lr_lambda(epoch)``; one function for all groups, or a list with one each."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        count = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * count if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != count:
            raise checks.value_error(
                "LambdaLR", f"expected {count} functions, one per group, got {len(self.lr_lambdas)}"
            )
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """``base * gamma ** (epoch // step_size)``. GoogLeNet: ×0.96 every 8 epochs; Inception-v3: ×0.94 every 2."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        _at_least_one("StepLR", step_size=step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, epoch: int) -> float:
        return base * self.gamma ** (epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """``base * gamma ** (milestones reached)``; a milestone is reached in its own epoch."""

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, epoch: int) -> float:
        return base * self.gamma ** bisect_right(self.milestones, epoch)


class ConstantLR(LRScheduler):
    """``base * factor`` in the first ``total_iters`` epochs, then ``base``."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, epoch: int) -> float:
        return base * (self.factor if epoch < self.total_iters else 1.0)


class LinearLR(LRScheduler):
    """From ``base * start_factor`` to ``base * end_factor`` in ``total_iters`` equal steps: a warm-up."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise checks.value_error("LinearLR", "start_factor must be in (0, 1] and end_factor in [0, 1]")
        _at_least_one("LinearLR", total_iters=total_iters)
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, epoch: int) -> float:
        part = min(epoch, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * part)


class ExponentialLR(LRScheduler):
    """``base * gamma ** epoch``."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, epoch: int) -> float:
        return base * self.gamma**epoch


class PolynomialLR(LRScheduler):
    """``base * (1 - epoch / total_iters) ** power``, then 0."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        _at_least_one("PolynomialLR", total_iters=total_iters)
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, epoch: int) -> float:
        left: float = 1.0 - min(epoch, self.total_iters) / self.total_iters
        return base * math.pow(left, self.power)


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * part)) / 2.0


class CosineAnnealingLR(LRScheduler):
    """``eta_min + (base - eta_min) (1 + cos(pi epoch / T_max)) / 2``: down in ``T_max`` epochs, then up again.

    References
    ----------
    Loshchilov, Hutter, *SGDR: stochastic gradient descent with warm restarts*, 2017, eq. 5.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        _at_least_one("CosineAnnealingLR", T_max=T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, epoch: int) -> float:
        return _cosine(base, self.eta_min, epoch / self.T_max)


class WarmupCosineLR(LRScheduler):
    """Linear from ``base * start_factor`` to ``base`` in ``warmup`` epochs, then cosine to ``eta_min`` at ``total``.

    The schedule of SimCLR and BYOL, usually stepped once per update. After ``total`` it stays at ``eta_min``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup: int,
        total: int,
        eta_min: float = 0.0,
        start_factor: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= warmup < total:
            raise checks.value_error("WarmupCosineLR", f"expected 0 <= warmup < total, got {warmup} and {total}")
        self.warmup, self.total, self.eta_min, self.start_factor = warmup, total, eta_min, start_factor
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, epoch: int) -> float:
        if epoch < self.warmup:
            return base * (self.start_factor + (1.0 - self.start_factor) * epoch / self.warmup)
        return _cosine(base, self.eta_min, min(1.0, (epoch - self.warmup) / (self.total - self.warmup)))


class SequentialLR(LRScheduler):
    """One schedule after another: ``schedulers[k]`` from epoch ``milestones[k - 1]``, counted from there."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        if len(schedulers) != len(milestones) + 1:
            message = f"{len(schedulers)} schedulers need {len(schedulers) - 1} milestones, got {len(milestones)}"
            raise checks.value_error("SequentialLR", message)
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        index = bisect_right(self.milestones, self.last_epoch)
        part = self.schedulers[index]
        part.last_epoch = self.last_epoch - (self.milestones[index - 1] if index else 0)
        return part.get_lr()


class ReduceLROnPlateau:
    """Multiply the rate by ``factor`` when a metric has stopped improving.

    ``patience`` epochs without improvement are forgiven; the next one lowers the rate (PyTorch's count).

    Parameters
    ----------
    optimizer : Optimizer
    mode : "min" or "max"
        Whether smaller or larger metrics are better.
    factor : float
        Below 1. AlexNet divided by 10.
    patience : int
    threshold : float
        What counts as an improvement: ``best * (1 - threshold)`` (``"rel"``) or ``best - threshold`` (``"abs"``).
    threshold_mode : "rel" or "abs"
    cooldown : int
        Epochs after a reduction in which nothing is counted.
    min_lr : float or list of float
        Lower bound, for all groups or each.
    eps : float
        Smaller reductions are not made.

    Examples
    --------
    >>> import minicnn as mc
    >>> optimizer = mc.optim.SGD([mc.tensor([0.0], requires_grad=True)], lr=1.0)
    >>> schedule = mc.optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 3.0, 3.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.5]
    """

    takes_metric = True  # step() wants one, which the other schedules do not

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        if factor >= 1:
            raise checks.value_error(name, f"factor must be < 1, got {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            message = (
                f"expected mode 'min' or 'max' and threshold_mode 'rel' or 'abs', got {mode!r}, {threshold_mode!r}"
            )
            raise checks.value_error(name, message)
        count = len(optimizer.param_groups)
        self.optimizer = optimizer
        self.min_lrs = list(min_lr) if isinstance(min_lr, list | tuple) else [min_lr] * count
        if len(self.min_lrs) != count:
            raise checks.value_error(name, f"expected {count} values in min_lr, one per group, got {len(self.min_lrs)}")
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0

    def is_better(self, metric: float) -> bool:
        """Whether the metric improves on the best by more than the threshold."""
        sign = 1.0 if self.mode == "min" else -1.0
        if math.isinf(self.best):
            return sign * metric < sign * self.best
        if self.threshold_mode == "rel":
            return sign * metric < sign * (self.best * (1.0 - sign * self.threshold))
        return sign * metric < sign * (self.best - sign * self.threshold)

    def step(self, metrics: Any) -> None:
        """Take in this epoch's metric (a number or one-element Tensor)."""
        metric = float(metrics)
        self.last_epoch += 1
        if self.is_better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lower = max(group["lr"] * self.factor, least)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def get_last_lr(self) -> list[float]:
        """The rates that the optimiser has now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The plain values of the schedule."""
        return {key: value for key, value in vars(self).items() if _plain(value)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken."""
        vars(self).update(state_dict)
