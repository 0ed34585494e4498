"""L-BFGS: Newton steps from the last few changes of the gradient, with a strong-Wolfe line search."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.core import checks, events
from minicnn.core.modes import enable_grad, no_grad
from minicnn.core.tensor import tensor
from minicnn.core.types import Array
from minicnn.optim.optimizer import Closure, Group, Optimizer, non_negative

__all__ = ["LBFGS", "strong_wolfe"]


def _dot(a: Array, b: Array) -> float:
    return float(a @ b)


def _largest(x: Array) -> float:
    return float(abs(x).max()) if x.size else 0.0


@dataclass
class Point:
    """The loss along a line: step length, value, slope, and the full gradient there."""

    t: float
    value: float
    slope: float
    grad: Array = None


class LBFGS(Optimizer):
    r"""Limited-memory BFGS: the direction :math:`-Hg` by the two-loop recursion over the last steps.

    H starts as :math:`\frac{s·y}{y·y} I` with the last step s and change of gradient y, and is corrected by
    ``history_size`` pairs; a pair with :math:`s·y` not positive is left out. The first direction is scaled to
    length at most ``lr`` in the 1-norm.

    Parameters
    ----------
    params : iterable of Tensor
        One group only.
    lr : float
        Step length tried first.
    max_iter : int
        Iterations per :meth:`step`.
    max_eval : int, optional
        Calls of the closure per :meth:`step`; ``max_iter * 5 / 4`` by default.
    tolerance_grad : float
        Stop where the largest gradient entry is at most this.
    tolerance_change : float
        Stop where the loss, or every weight, changes by less.
    history_size : int
        Pairs kept.
    line_search_fn : None or "strong_wolfe"
        None takes the step ``lr`` unseen.

    Raises
    ------
    ValueError
        For several groups or an unknown line search.
    TypeError
        If :meth:`step` is called without a closure.

    References
    ----------
    Nocedal, Wright, *Numerical optimization*, 2006, Algorithms 3.5, 3.6 (line search), 7.4, 7.5 (two loops).

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.tensor([3.0, -2.0], requires_grad=True)
    >>> optimizer = mc.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (mc.tensor([1.0, 10.0]) * w * w).sum()
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure)
    >>> bool(abs(w.detach()).max() < 1e-4)
    True
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        options: dict[str, Any] = {"lr": lr, "max_iter": max_iter, "max_eval": max_eval}
        options |= {"tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change}
        super().__init__(params, {**options, "history_size": history_size, "line_search_fn": line_search_fn})
        self.steps: list[Array] = []  # s, oldest first
        self.changes: list[Array] = []  # y
        self.last: tuple[Array, Array] | None = None  # last step and the gradient before it
        self.iterations = 0
        self.evaluations = 0

    def check(self, group: Group) -> None:
        non_negative("LBFGS", lr=group["lr"], max_iter=group["max_iter"], history_size=group["history_size"])
        if self.param_groups:
            raise checks.value_error("LBFGS", "one parameter group only: the Hessian couples all parameters")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise checks.value_error(
                "LBFGS", f"line_search_fn must be None or 'strong_wolfe', got {group['line_search_fn']!r}"
            )

    def step(self, closure: Closure | None = None) -> Any:
        """Up to ``max_iter`` iterations; returns the loss that the first call of ``closure`` returned."""
        if closure is None:
            raise checks.type_error(
                "LBFGS", "step needs a closure that clears gradients, runs backward, returns the loss"
            )
        group = self.param_groups[0]
        limit = self.evaluations + (group["max_eval"] or group["max_iter"] * 5 // 4)
        with no_grad():
            x = self._flat([p.data for p in self._params()])
            first = self._evaluate(closure)
            value, grad = float(first), self._gradient()
            for _ in range(group["max_iter"]):
                if not _largest(grad) > group["tolerance_grad"] or not math.isfinite(value):
                    break
                self._remember(grad, group["history_size"])
                direction = self._direction(grad)
                slope = _dot(grad, direction)
                if slope > -(group["tolerance_change"] ** 2):
                    break  # no descent left at this precision
                self.iterations += 1
                t = group["lr"] * (1.0 if self.steps else min(1.0, 1.0 / float(abs(grad).sum())))
                start = Point(0.0, value, slope, grad)
                if group["line_search_fn"] is None:
                    end = self._at(closure, x, direction, t)
                else:
                    end = strong_wolfe(lambda t: self._at(closure, x, direction, t), start, t)  # noqa: B023
                move = direction * end.t
                self.last = (move, grad)
                x = x + move
                change, value, grad = abs(end.value - value), end.value, end.grad
                if _largest(move) <= group["tolerance_change"] or change < group["tolerance_change"]:
                    break
                if self.evaluations >= limit:
                    break
            self._write(x)
        return first

    # -- direction ----------------------------------------------------------------------------------------------

    def _remember(self, grad: Array, history_size: int) -> None:
        """Take the last step into the history, if the curvature along it is positive."""
        if self.last is None:
            return
        s, y = self.last[0], grad - self.last[1]
        self.last = None
        if _dot(s, y) > 1e-14 * math.sqrt(_dot(s, s) * _dot(y, y)):
            self.steps, self.changes = [*self.steps, s][-history_size:], [*self.changes, y][-history_size:]

    def _direction(self, grad: Array) -> Array:
        """-H g by the two-loop recursion."""
        q = -grad
        weights = []
        for s, y in zip(reversed(self.steps), reversed(self.changes), strict=True):
            weight = _dot(s, q) / _dot(s, y)
            weights.append(weight)
            q = q - weight * y
        if self.steps:
            s, y = self.steps[-1], self.changes[-1]
            q = q * (_dot(s, y) / _dot(y, y))
        for s, y, weight in zip(self.steps, self.changes, reversed(weights), strict=True):
            q = q + (weight - _dot(y, q) / _dot(s, y)) * s
        return q

    # -- the closure at a point ---------------------------------------------------------------------------------

    def _evaluate(self, closure: Closure) -> Any:
        self.evaluations += 1
        with enable_grad():
            return closure()

    def _at(self, closure: Closure, x: Array, direction: Array, t: float) -> Point:
        self._write(x + t * direction)
        value = float(self._evaluate(closure))
        grad = self._gradient()
        return Point(t, value, _dot(grad, direction), grad)

    def _gradient(self) -> Array:
        xp = self._params()[0].device.xp
        return self._flat([xp.zeros(p.shape, dtype=p.dtype) if p.grad is None else p.grad.data for p in self._params()])

    def _flat(self, arrays: list[Array]) -> Array:
        return self._params()[0].device.xp.concatenate([a.reshape(-1) for a in arrays])

    def _write(self, x: Array) -> None:
        offset = 0
        for p in self._params():
            p.data[...] = x[offset : offset + p.numel()].reshape(p.shape)
            offset += p.numel()
            p.bump_version()
            if events.LISTENERS:
                events.emit("update", p)

    # -- state --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """History, last step and counters, as plain numbers and NumPy arrays."""
        to_host = self._params()[0].backend.to_host
        last = () if self.last is None else self.last
        state: dict[str, Any] = {"iterations": self.iterations, "evaluations": self.evaluations}
        for key, vectors in (("steps", self.steps), ("changes", self.changes), ("last", last)):
            state[key] = [np.array(to_host(v)) for v in vectors]
        return {**super().state_dict(), "state": state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken."""
        state, like = state_dict.get("state", {}), self._params()[0]
        lacking = [key for key in ("steps", "changes", "last") if key not in state]
        if lacking:
            raise checks.value_error("LBFGS", f"the state lacks {', '.join(lacking)}")
        total = sum(p.numel() for p in self._params())
        vectors = {}
        for key in ("steps", "changes", "last"):
            arrays = [np.asarray(v) for v in state[key]]
            if any(a.shape != (total,) for a in arrays):
                raise checks.value_error("LBFGS", f"stored {key} do not have the {total} entries of the parameters")
            vectors[key] = [tensor(a, dtype=like.dtype, device=like.device).data for a in arrays]
        super().load_state_dict({**state_dict, "state": {}})
        self.steps, self.changes = vectors["steps"], vectors["changes"]
        self.last = (vectors["last"][0], vectors["last"][1]) if vectors["last"] else None
        self.iterations, self.evaluations = state["iterations"], state["evaluations"]


def strong_wolfe(
    line: Callable[[float], Point], start: Point, t: float, c1: float = 1e-4, c2: float = 0.9, max_eval: int = 25
) -> Point:
    """A point on the line with enough decrease and a slope at most c2 times the first one's size.

    Parameters
    ----------
    line : callable
        Gives the :class:`Point` at a step length.
    start : Point
        At length 0; its slope is negative.
    t : float
        Length tried first.
    c1, c2 : float
        ``f(t) <= f(0) + c1 t f'(0)`` and ``|f'(t)| <= c2 |f'(0)|``.
    max_eval : int
        After that many evaluations the best point with enough decrease is returned (or ``start``).

    References
    ----------
    Nocedal, Wright, *Numerical optimization*, 2006, Algorithms 3.5 and 3.6.
    """
    low, high, here = start, None, line(t)
    # near the minimum the loss no longer resolves a step that its slope still does (Hager, Zhang, 2005)
    noise = 4.0 * float(np.finfo(np.float64 if start.grad is None else start.grad.dtype).eps) * abs(start.value)
    for _ in range(max_eval - 1):
        # both comparisons are False for NaN, which then bounds the bracket
        if here.value <= start.value + c1 * here.t * start.slope + noise and here.value < low.value + noise:
            if abs(here.slope) <= -c2 * start.slope:
                return here
            if high is None and here.slope < 0:  # still falling: look further
                low, t = here, _extrapolate(low, here)
            elif high is None or here.slope * (high.t - low.t) >= 0:
                low, high = here, low
            else:
                low = here
        else:
            high = here
        if high is not None:
            if abs(high.t - low.t) * -start.slope <= 1e-3 * noise:
                break  # the bracket is below the precision of the loss
            t = _inside(low, high)
        here = line(t)
    return here if here.value < low.value else low


def _cubic(a: Point, b: Point) -> float:
    """Minimum of the cubic through two values and slopes; NaN where it has none."""
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not (square >= 0 and math.isfinite(square)):
        return math.nan
    d2 = math.copysign(math.sqrt(square), b.t - a.t)
    bottom = b.slope - a.slope + 2 * d2
    return b.t - (b.t - a.t) * (b.slope + d2 - d1) / bottom if bottom else math.nan


def _extrapolate(low: Point, here: Point) -> float:
    """Further along a line that still falls: the cubic's minimum, at most ten times as far."""
    t = _cubic(low, here)
    least, most = here.t + 0.1 * (here.t - low.t), 10 * here.t
    return min(max(t, least), most) if math.isfinite(t) else most


def _inside(low: Point, high: Point) -> float:
    """Within a bracket: the cubic's minimum, at least a tenth of the width away from both ends."""
    t = _cubic(low, high)
    margin = 0.1 * abs(high.t - low.t)
    least, most = min(low.t, high.t) + margin, max(low.t, high.t) - margin
    return min(max(t, least), most) if math.isfinite(t) else 0.5 * (low.t + high.t)
