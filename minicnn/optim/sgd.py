"""Stochastic gradient descent, with momentum and Nesterov's look-ahead; LARS, its layer-wise scaled form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from minicnn.core import checks
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.optim.optimizer import Group, Optimizer, State, non_negative, slot

__all__ = ["LARS", "SGD"]


class SGD(Optimizer):
    r"""Gradient descent: :math:`v ← μv + (1-τ)d,\; w ← w - ηv` with :math:`d = g + λw`.

    The first step has :math:`v = d`. With ``nesterov`` the step is :math:`w ← w - η(d + μv)`: the gradient is then
    the one at the point that momentum alone would reach, after the change of variable :math:`\tilde w = w - ημv`.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr : float
        Rate η.
    momentum : float
        μ; 0 keeps no velocity.
    dampening : float
        τ, the part of the gradient that does not enter the velocity.
    weight_decay : float
        λ, added to the gradient as λw.
    nesterov : bool
        Needs momentum and no dampening.
    maximize : bool
        Ascend instead.

    References
    ----------
    Polyak, *Some methods of speeding up the convergence of iteration methods*, 1964; Nesterov, 1983;
    Sutskever et al., *On the importance of initialization and momentum in deep learning*, 2013.

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.tensor([1.0], requires_grad=True)
    >>> optimizer = mc.optim.SGD([w], lr=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> w.item()  # velocities 2.0 and 0.5 * 2.0 + 1.0
    0.0
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**options, "nesterov": nesterov, "maximize": maximize})

    def check(self, group: Group) -> None:
        non_negative("SGD", lr=group["lr"], momentum=group["momentum"], weight_decay=group["weight_decay"])
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise checks.value_error("SGD", "nesterov needs momentum > 0 and dampening = 0")

    def update(self, param: Tensor, grad: Array, state: State, group: Group) -> None:
        momentum, dampening = group["momentum"], group["dampening"]
        velocity = None
        if momentum:
            if not state:
                dampening = 0.0  # the first velocity is the whole gradient, as in PyTorch
            velocity = slot(state, "momentum_buffer", param)
        decay, nesterov, maximize = group["weight_decay"], group["nesterov"], group["maximize"]
        param.backend.updates.sgd(
            param.data, grad, velocity, group["lr"], momentum, dampening, decay, nesterov, maximize
        )


def _is_vector(param: Tensor) -> bool:
    return param.ndim <= 1


class LARS(Optimizer):
    r"""Layer-wise adaptive rate: each tensor moves by a fixed part of its own norm.

    .. math:: η_l = η\,c\,\frac{‖w‖}{‖g‖ + λ‖w‖ + ε},\qquad v ← μv + η_l (g + λw),\qquad w ← w - v.

    Excluded tensors (biases, normalisation scales) use :math:`η_l = η` and :math:`λ = 0`; a tensor whose norm or
    whose gradient is zero uses :math:`η_l = η`.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr : float
        Global rate η.
    momentum : float
        μ.
    weight_decay : float
        λ.
    trust_coefficient : float
        c, the part of its norm that a tensor moves by at η = 1.
    eps : float
        ε.
    exclude : callable, optional
        Tells which parameters are neither scaled nor decayed; those with at most one axis by default.
    maximize : bool
        Ascend instead.

    Notes
    -----
    Two norms are read back from the device per tensor and step.

    References
    ----------
    You, Gitman, Ginsburg, *Large batch training of convolutional networks*, 2017, Algorithm 1.

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.tensor([[3.0, 4.0]], requires_grad=True)
    >>> (w * 7.0).sum().backward()
    >>> mc.optim.LARS([w], lr=1.0, momentum=0.0, trust_coefficient=0.5).step()
    >>> round(float(((w.detach() - mc.tensor([[3.0, 4.0]])) ** 2).sum()) ** 0.5, 5)  # half of |w| = 5
    2.5
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        eps: float = 0.0,
        *,
        exclude: Callable[[Tensor], bool] | None = None,
        maximize: bool = False,
    ) -> None:
        self.exclude = exclude or _is_vector
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {**options, "trust_coefficient": trust_coefficient, "eps": eps})

    def check(self, group: Group) -> None:
        names = ("lr", "momentum", "weight_decay", "trust_coefficient", "eps")
        non_negative("LARS", **{name: group[name] for name in names})

    def update(self, param: Tensor, grad: Array, state: State, group: Group) -> None:
        updates = param.backend.updates
        rate, decay = group["lr"], group["weight_decay"]
        if self.exclude(param):
            decay = 0.0
        else:
            size, slope = (float(n) for n in (updates.norm(param.data), updates.norm(grad)))
            if size > 0 and slope > 0:
                rate *= group["trust_coefficient"] * size / (slope + decay * size + group["eps"])
        velocity = slot(state, "momentum_buffer", param)
        updates.lars(param.data, grad, velocity, rate, group["momentum"], decay, group["maximize"])
