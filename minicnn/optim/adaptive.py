"""Optimisers with a rate for every weight, from the gradients it has seen: Adagrad, Adadelta, RMSprop, Adam, AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minicnn.core import checks
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.optim.optimizer import Group, Optimizer, State, fraction, non_negative, slot

__all__ = ["Adadelta", "Adagrad", "Adam", "AdamW", "RMSprop"]


class Adagrad(Optimizer):
    r"""Rate over the root of all squared gradients so far: :math:`G ← G + d^2,\; w ← w - η_t d/(\sqrt G + ε)`.

    Here :math:`d = g + λw` and :math:`η_t = η/(1 + (t-1)\,\texttt{lr\_decay})`. Under a constant gradient step t
    has size :math:`η/\sqrt t`.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr, lr_decay, weight_decay : float
        η, its decay per step, and λ.
    initial_accumulator_value : float
        G before the first step.
    eps : float
        ε, outside the root.
    maximize : bool
        Ascend instead.

    References
    ----------
    Duchi, Hazan, Singer, *Adaptive subgradient methods*, JMLR 2011.

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.tensor([1.0], requires_grad=True)
    >>> (w * 3.0).sum().backward()
    >>> optimizer = mc.optim.Adagrad([w], lr=0.5)
    >>> optimizer.step()
    >>> w.item()
    0.5
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay, "eps": eps, "maximize": maximize}
        super().__init__(params, {**options, "initial_accumulator_value": initial_accumulator_value})

    def check(self, group: Group) -> None:
        names = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
        non_negative("Adagrad", **{name: group[name] for name in names})

    def update(self, param: Tensor, grad: Array, state: State, group: Group) -> None:
        state["step"] = step = state.get("step", 0) + 1
        squares = slot(state, "sum", param, group["initial_accumulator_value"])
        rate = group["lr"] / (1 + (step - 1) * group["lr_decay"])
        decay, eps, maximize = group["weight_decay"], group["eps"], group["maximize"]
        param.backend.updates.adagrad(param.data, grad, squares, rate, decay, eps, maximize)


class Adadelta(Optimizer):
    r"""Steps in the weight's own units: RMS of past steps over RMS of past gradients.

    .. math:: E ← ρE + (1-ρ)d^2,\quad Δ = \frac{\sqrt{D+ε}}{\sqrt{E+ε}}\,d,\quad D ← ρD + (1-ρ)Δ^2,\quad w ← w - ηΔ

    with :math:`d = g + λw`. Scaling the loss hardly changes the path.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr, rho, eps, weight_decay : float
        η, ρ in [0, 1], ε inside both roots, and λ. The paper has ρ = 0.95.
    maximize : bool
        Ascend instead.

    References
    ----------
    Zeiler, *ADADELTA: an adaptive learning rate method*, 2012, Algorithm 1.

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.tensor([1.0], requires_grad=True)
    >>> (w * 3.0).sum().backward()
    >>> mc.optim.Adadelta([w], rho=0.75, eps=0.0625).step()
    >>> w.item() < 1.0
    True
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def check(self, group: Group) -> None:
        non_negative("Adadelta", **{name: group[name] for name in ("lr", "rho", "eps", "weight_decay")})
        if group["rho"] > 1:
            raise checks.value_error("Adadelta", f"rho must be in [0, 1], got {group['rho']}")

    def update(self, param: Tensor, grad: Array, state: State, group: Group) -> None:
        lr, rho, decay, eps = group["lr"], group["rho"], group["weight_decay"], group["eps"]
        squares, deltas = slot(state, "square_avg", param), slot(state, "acc_delta", param)
        param.backend.updates.adadelta(param.data, grad, squares, deltas, lr, rho, decay, eps, group["maximize"])


class RMSprop(Optimizer):
    r"""Gradient over its running root mean square: :math:`E ← αE + (1-α)d^2,\; w ← w - ηd/(\sqrt E + ε)`.

    With momentum, :math:`b ← μb + d/(\sqrt E + ε),\; w ← w - ηb`. ``centered`` subtracts the square of the running
    mean from E: an estimate of the variance.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr, alpha, eps, weight_decay, momentum : float
        η, α in [0, 1), ε, λ and μ.
    centered : bool
        Divide by the standard deviation instead.
    eps_inside_root : bool
        :math:`\sqrt{E + ε}`, TensorFlow's form; Inception-v3 was trained with it and ε = 1.
    maximize : bool
        Ascend instead.

    References
    ----------
    Tieleman, Hinton, *Lecture 6.5: rmsprop*, 2012; Graves, *Generating sequences with recurrent neural networks*,
    2013 (centred form).

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.tensor([1.0], requires_grad=True)
    >>> (w * 2.0).sum().backward()
    >>> mc.optim.RMSprop([w], lr=0.25, alpha=0.75, eps=0.0).step()  # E = 1
    >>> w.item()
    0.5
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        eps_inside_root: bool = False,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        flags = {"centered": centered, "eps_inside_root": eps_inside_root, "maximize": maximize}
        super().__init__(params, {**options, **flags})

    def check(self, group: Group) -> None:
        names = ("lr", "eps", "weight_decay", "momentum")
        non_negative("RMSprop", **{name: group[name] for name in names})
        fraction("RMSprop", alpha=group["alpha"])

    def update(self, param: Tensor, grad: Array, state: State, group: Group) -> None:
        param.backend.updates.rmsprop(
            param.data,
            grad,
            slot(state, "square_avg", param),
            slot(state, "grad_avg", param) if group["centered"] else None,
            slot(state, "momentum_buffer", param) if group["momentum"] else None,
            group["lr"],
            group["alpha"],
            group["eps"],
            group["weight_decay"],
            group["momentum"],
            group["eps_inside_root"],
            group["maximize"],
        )


class Adam(Optimizer):
    r"""Bias-corrected mean of gradients over the root of their bias-corrected mean square.

    .. math:: m ← β_1 m + (1-β_1)d,\quad v ← β_2 v + (1-β_2)d^2,\quad
              w ← w - η \frac{m/(1-β_1^t)}{\sqrt{v/(1-β_2^t)} + ε}

    with :math:`d = g + λw`. The first step has size η whatever the gradient.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr : float
        η.
    betas : (float, float)
        β₁ and β₂ in [0, 1).
    eps : float
        ε, outside the root.
    weight_decay : float
        λ.
    amsgrad : bool
        Divide by the largest v so far.
    maximize : bool
        Ascend instead.

    References
    ----------
    Kingma, Ba, *Adam: a method for stochastic optimization*, 2015, Algorithm 1; Reddi, Kale, Kumar, *On the
    convergence of Adam and beyond*, 2018.

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.tensor([1.0, 1.0], requires_grad=True)
    >>> (w * mc.tensor([5.0, -0.5])).sum().backward()
    >>> mc.optim.Adam([w], lr=0.25).step()
    >>> w.tolist()
    [0.75, 1.25]
    """

    decoupled = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**options, "amsgrad": amsgrad, "maximize": maximize})

    def check(self, group: Group) -> None:
        non_negative(self.name, lr=group["lr"], eps=group["eps"], weight_decay=group["weight_decay"])
        fraction(self.name, beta1=group["betas"][0], beta2=group["betas"][1])

    def update(self, param: Tensor, grad: Array, state: State, group: Group) -> None:
        state["step"] = state.get("step", 0) + 1
        beta1, beta2 = group["betas"]
        param.backend.updates.adam(
            param.data,
            grad,
            slot(state, "exp_avg", param),
            slot(state, "exp_avg_sq", param),
            slot(state, "max_exp_avg_sq", param) if group["amsgrad"] else None,
            state["step"],
            group["lr"],
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            self.decoupled,
            group["maximize"],
        )


class AdamW(Adam):
    r"""Adam whose weight decay does not pass through the moments: :math:`w ← (1 - ηλ)w`, then Adam's step on g.

    Parameters
    ----------
    params : iterable of Tensor or dict
    lr, betas, eps, amsgrad, maximize
        As in :class:`Adam`.
    weight_decay : float
        λ, applied to the weight directly.

    References
    ----------
    Loshchilov, Hutter, *Decoupled weight decay regularization*, 2019, Algorithm 2.

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.tensor([8.0], requires_grad=True)
    >>> (w * 0.0).sum().backward()
    >>> mc.optim.AdamW([w], lr=0.5, weight_decay=0.5).step()
    >>> w.item()
    6.0
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
