"""Limits on gradients between ``backward`` and ``step``."""

from __future__ import annotations

import math
from collections.abc import Iterable

from minicnn.core import checks
from minicnn.core.device import Device
from minicnn.core.function import constant
from minicnn.core.tensor import Tensor, tensor
from minicnn.core.types import Array

__all__ = ["clip_grad_norm_", "clip_grad_value_"]


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    params = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in params if p.grad is not None]


def _norm(p: Tensor, norm_type: float) -> Array:
    """The norm of one gradient, as a float64 number on its device."""
    xp, grad = p.device.xp, p.grad.data  # type: ignore[union-attr]
    if norm_type == 2.0:
        return xp.asarray(p.backend.updates.norm(grad), "float64")
    if not grad.size:
        return xp.zeros((), "float64")
    size = xp.abs(grad).astype("float64")  # powers and sums of halves would overflow
    norm = xp.max(size) if math.isinf(norm_type) else xp.sum(size**norm_type) ** (1.0 / norm_type)
    return xp.asarray(norm)


def _norms(params: list[Tensor], norm_type: float) -> list[float]:
    """Those of all, read from each device at once: a read waits for what was launched there."""
    norms: dict[Device, list[Array]] = {}
    for p in params:
        norms.setdefault(p.device, []).append(_norm(p, norm_type))
    return [n for device, those in norms.items() for n in Tensor(device.xp.stack(those), device).numpy().tolist()]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    r"""Scale all gradients by one factor so that their joint norm is at most ``max_norm``.

    .. math:: g ← g \cdot \min(1, \texttt{max\_norm} / (‖g‖ + 10^{-6})).

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those without a gradient are skipped.
    max_norm : float
    norm_type : float
        p of the p-norm over all entries; ``inf`` for the largest.
    error_if_nonfinite : bool
        Raise instead of scaling by a NaN or infinite norm.

    Returns
    -------
    Tensor, 0-d
        The norm before clipping.

    Raises
    ------
    RuntimeError
        If the norm is not finite and ``error_if_nonfinite``.

    Notes
    -----
    Gradients are replaced, not written: two leaves may share one gradient array.

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.tensor([1.0, 1.0], requires_grad=True)
    >>> (w * mc.tensor([3.0, 4.0])).sum().backward()
    >>> mc.optim.clip_grad_norm_([w], 1.0).item()
    5.0
    >>> [round(v, 4) for v in w.grad.tolist()]
    [0.6, 0.8]
    """
    if not max_norm >= 0 or not norm_type > 0:
        raise checks.value_error("clip_grad_norm_", "max_norm must be >= 0 and norm_type > 0", max_norm=max_norm)
    params = _with_gradients(parameters)
    if not params:
        return tensor(0.0)
    norms = _norms(params, norm_type)
    if math.isinf(norm_type):
        total = max(norms) if not any(math.isnan(n) for n in norms) else math.nan
    else:
        total = sum(n**norm_type for n in norms) ** (1.0 / norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {total}; look for the op with anomaly mode")
    scale = max_norm / (total + 1e-6)
    if not scale >= 1.0:
        for p in params:
            p.grad = Tensor(p.device.xp.multiply(p.grad.data, scale), p.device)  # type: ignore[union-attr]
    wide = "float32" if params[0].dtype.itemsize < 4 else params[0].dtype  # a norm of halves may be beyond them
    return constant(params[0].device.xp.asarray(total, dtype=wide), params[0])


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Cut every gradient entry to [-clip_value, clip_value].

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
    clip_value : float

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.tensor([1.0, 1.0], requires_grad=True)
    >>> (w * mc.tensor([3.0, -0.5])).sum().backward()
    >>> mc.optim.clip_grad_value_([w], 1.0)
    >>> w.grad.tolist()
    [1.0, -0.5]
    """
    if not clip_value >= 0:
        raise checks.value_error("clip_grad_value_", f"clip_value must be >= 0, got {clip_value}")
    for p in _with_gradients(parameters):
        xp = p.device.xp
        p.grad = Tensor(xp.minimum(xp.maximum(p.grad.data, -clip_value), clip_value), p.device)  # type: ignore[union-attr]
