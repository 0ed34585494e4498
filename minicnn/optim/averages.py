"""Averages of weights along the path of training: exponential (EMA) and plain (SWA)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicnn.core import checks
from minicnn.core.dtypes import is_float
from minicnn.core.tensor import Tensor, tensor
from minicnn.core.types import Array

__all__ = ["EMA", "SWA"]


class EMA:
    r"""Exponential moving average: :math:`a ← τa + (1-τ)w` at every :meth:`update`.

    Parameters
    ----------
    params : iterable of Tensor
        What is averaged: parameters, and buffers such as running statistics if wanted. Integer tensors are copied.
    decay : float
        τ in [0, 1]; may be changed between updates (a schedule).

    Raises
    ------
    ValueError
        If ``decay`` is out of range.

    References
    ----------
    Polyak, Juditsky, *Acceleration of stochastic approximation by averaging*, 1992.

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.tensor([0.0])
    >>> average = mc.optim.EMA([w], decay=0.75)
    >>> _ = w.fill_(4.0)
    >>> average.update()
    >>> with average.applied():
    ...     w.item()
    1.0
    >>> w.item()
    4.0
    """

    def __init__(self, params: Iterable[Tensor], decay: float = 0.999) -> None:
        if not 0 <= decay <= 1:
            raise checks.value_error(type(self).__name__, f"decay must be in [0, 1], got {decay}")
        self.params = list(params)
        self.decay = decay
        self.updates = 0
        self.shadow: list[Array] = [p.data.copy() for p in self.params]

    def rate(self) -> float:
        """Weight of the newest values in the average."""
        return 1.0 - self.decay

    def update(self) -> None:
        """Take the present values into the average."""
        rate = self.rate()
        for p, average in zip(self.params, self.shadow, strict=True):
            if is_float(p.dtype):
                xp = p.device.xp
                step = xp.subtract(p.data, average)
                xp.add(average, xp.multiply(step, rate), out=average)
            else:
                average[...] = p.data
        self.updates += 1

    def copy_to(self, params: Iterable[Tensor] | None = None) -> None:
        """Write the average into the given tensors (its own by default), of the same number and shapes."""
        given = self.params if params is None else list(params)
        if [p.shape for p in given] != [a.shape for a in self.shadow]:
            message = f"copy_to needs {len(self.shadow)} tensors of the averages' shapes, got {len(given)}"
            raise checks.value_error(type(self).__name__, message, shapes=[tuple(p.shape) for p in given[:4]])
        for p, average in zip(given, self.shadow, strict=True):
            p.data[...] = average
            p.bump_version()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The tensors hold the average inside the block, and their own values again after it."""
        own = [p.data.copy() for p in self.params]
        self.copy_to()
        try:
            yield
        finally:
            for p, value in zip(self.params, own, strict=True):
                p.data[...] = value
                p.bump_version()

    def state_dict(self) -> dict[str, Any]:
        """Averages (NumPy copies, in the order of the tensors) and numbers."""
        arrays = [np.array(p.backend.to_host(a)) for p, a in zip(self.params, self.shadow, strict=True)]
        return {"decay": self.decay, "updates": self.updates, "shadow": arrays}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken."""
        arrays = [np.asarray(a) for a in state_dict["shadow"]]
        if [a.shape for a in arrays] != [p.shape for p in self.params]:
            raise checks.value_error(type(self).__name__, "stored averages do not have the tensors' shapes")
        self.decay, self.updates = state_dict["decay"], state_dict["updates"]
        pairs = zip(arrays, self.params, strict=True)
        self.shadow = [tensor(a, dtype=p.dtype, device=p.device).data for a, p in pairs]


class SWA(EMA):
    """Plain average of the values at every :meth:`update` (stochastic weight averaging).

    Parameters
    ----------
    params : iterable of Tensor

    References
    ----------
    Izmailov et al., *Averaging weights leads to wider optima and better generalization*, 2018.

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.tensor([0.0])
    >>> average = mc.optim.SWA([w])
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = w.fill_(value)
    ...     average.update()
    >>> average.copy_to()
    >>> w.item()
    3.0
    """

    def __init__(self, params: Iterable[Tensor]) -> None:
        super().__init__(params)

    def rate(self) -> float:
        return 1.0 / (self.updates + 1)
