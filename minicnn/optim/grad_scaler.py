"""Loss scaling: gradients that float16 would round to zero are computed larger, and made small again in float32."""

from __future__ import annotations

from typing import Any

from minicnn.core import checks
from minicnn.core.device import device as find_device
from minicnn.core.tensor import Tensor
from minicnn.optim.optimizer import Optimizer

__all__ = ["GradScaler"]


class GradScaler:
    """Multiplies the loss, divides the gradients, and leaves out steps whose gradients are not finite.

    The scale grows by ``growth_factor`` after ``growth_interval`` steps without an infinite or NaN gradient, and
    shrinks by ``backoff_factor`` after each one with.

    Parameters
    ----------
    device : str
        Where the parameters are.
    init_scale : float
        The first scale.
    growth_factor, backoff_factor : float
        Above 1, and between 0 and 1.
    growth_interval : int
        Steps between attempts to grow.
    enabled : bool
        False: every method does what a loop without scaling would do.

    Raises
    ------
    ValueError
        For factors out of range.

    Notes
    -----
    One number is read back from the device for each optimiser and step.

    References
    ----------
    Micikevicius et al., *Mixed precision training*, ICLR 2018, section 3.2.

    Examples
    --------
    >>> import minicnn as mc
    >>> w = mc.tensor([1.0], requires_grad=True)
    >>> optimizer, scaler = mc.optim.SGD([w], lr=0.5), mc.GradScaler("cpu", init_scale=4.0)
    >>> scaler.scale((w * w).sum()).backward()
    >>> w.grad.item()
    8.0
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> w.item(), scaler.get_scale()
    (0.0, 4.0)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if not init_scale > 0 or not growth_factor > 1 or not 0 < backoff_factor < 1 or growth_interval < 1:
            message = "needs init_scale > 0, growth_factor > 1, 0 < backoff_factor < 1 and growth_interval >= 1"
            given = {"init_scale": init_scale, "growth_factor": growth_factor, "backoff_factor": backoff_factor}
            raise checks.value_error("GradScaler", message, **given, growth_interval=growth_interval)
        self.device = find_device(device)
        self._scale, self._growth_tracker = float(init_scale), 0
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._enabled = growth_interval, enabled
        self._found: dict[int, bool] = {}  # by optimiser: whether its gradients were finite; empty after update
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """The loss times the scale, in its own graph; also for lists and tuples of Tensors."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, tuple | list):
            return type(outputs)(self.scale(value) for value in outputs)
        return outputs * self._scale

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of an optimiser's parameters by the scale, before clipping them, say.

        Gradients are replaced, not written: two leaves may share one gradient array.

        Raises
        ------
        RuntimeError
            If it was called since the last :meth:`update`, or after :meth:`step`.
        ValueError
            For float16 gradients (parameters must stay float32), or those of another device.
        """
        if not self._enabled:
            return
        if id(optimizer) in self._found:
            raise RuntimeError("GradScaler: unscale_ was already called on this optimizer since the last update")
        params = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        for p in params:
            if p.device is not self.device:
                raise checks.value_error("GradScaler", f"a parameter lives on {p.device}, the scaler on {self.device}")
            if p.grad.dtype.itemsize < 4:
                message = "gradients must be float32; keep parameters in float32"
                raise checks.value_error("GradScaler", message, grad=p.grad)
        xp, finite = self.device.xp, None
        for p in params:
            gradient = xp.multiply(p.grad.data, 1.0 / self._scale)
            p.grad = Tensor(gradient, p.device)
            all_finite = xp.all(xp.isfinite(gradient))
            finite = all_finite if finite is None else xp.logical_and(finite, all_finite)
        self._found[id(optimizer)] = finite is None or bool(finite)

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Unscale if that was not done yet, and let the optimiser step if all its gradients are finite.

        Returns
        -------
        What the optimiser's step returned; None where it was left out.

        Raises
        ------
        RuntimeError
            If it was called since the last :meth:`update`.
        TypeError
            For a closure, whose gradients would not be unscaled.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if args or "closure" in kwargs:
            raise checks.type_error("GradScaler", "step does not take a closure: its gradients would not be unscaled")
        if id(optimizer) in self._stepped:
            raise RuntimeError("GradScaler: step was already called on this optimizer since the last update")
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return optimizer.step(**kwargs) if self._found[id(optimizer)] else None

    def update(self, new_scale: float | None = None) -> None:
        """Grow or shrink the scale by what the steps since the last update found, or set it.

        Raises
        ------
        RuntimeError
            If no gradients were looked at since the last update.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._found:
            raise RuntimeError("GradScaler: no gradients were looked at since the last update; call step first")
        elif not all(self._found.values()):
            self._scale, self._growth_tracker = self._scale * self._backoff_factor, 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale, self._growth_tracker = self._scale * self._growth_factor, 0
        self._found.clear()
        self._stepped.clear()

    def get_scale(self) -> float:
        """The scale; 1 where scaling is not enabled."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Whether losses are scaled."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Numbers that a resumed run needs, under PyTorch's keys; empty where scaling is not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken.

        Raises
        ------
        ValueError
            If a number is missing.
        """
        if not self._enabled:
            return
        lacking = sorted(set(self.state_dict()) - set(state_dict))
        if lacking:
            raise checks.value_error("GradScaler", f"the state lacks {', '.join(lacking)}")
        self._scale, self._growth_tracker = float(state_dict["scale"]), int(state_dict["_growth_tracker"])
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval = int(state_dict["growth_interval"])
