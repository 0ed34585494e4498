"""What every optimiser shares: parameter groups, the loop of a step, and a state that is plain numbers and arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minicnn.core import checks, events
from minicnn.core.dtypes import is_float
from minicnn.core.modes import enable_grad, no_grad
from minicnn.core.tensor import Tensor, tensor
from minicnn.core.types import Array

Group = dict[str, Any]
State = dict[str, Any]
Closure = Callable[[], Any]

__all__ = ["Closure", "Group", "Optimizer", "State", "fraction", "non_negative", "slot"]


class Optimizer:
    """Base of all optimisers: a rule for one parameter, applied to all of them.

    A rule of your own needs only :meth:`update`; it is called once per parameter that has a gradient and writes
    the parameter's array in place.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        Leaf tensors; or groups ``{"params": [...], "lr": ...}`` with options of their own.
    defaults : dict
        Options of groups that do not set them.

    Attributes
    ----------
    param_groups : list of dict
        Read at every step, so a schedule changes ``group["lr"]`` and nothing else.
    state : dict
        What the rule remembers of each parameter, by parameter.

    Raises
    ------
    TypeError
        For a parameter that is not a floating Tensor.
    ValueError
        For no parameters, one that is not a leaf, one that is given twice, or an unknown option.

    Examples
    --------
    >>> import minicnn as mc
    >>> class SignDescent(mc.optim.Optimizer):
    ...     def __init__(self, params, lr):
    ...         super().__init__(params, {"lr": lr})
    ...     def update(self, param, grad, state, group):
    ...         param.data -= group["lr"] * param.device.xp.sign(grad)
    >>> w = mc.tensor([1.0, -1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> SignDescent([w], lr=0.25).step()
    >>> w.tolist()
    [0.75, -0.75]
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, State] = {}
        if isinstance(params, Tensor):
            raise checks.type_error(self.name, "params must be an iterable of Tensors; write [tensor]")
        given = list(params)
        if not given:
            raise checks.value_error(self.name, "params is empty: nothing to optimise")
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    @property
    def name(self) -> str:
        """The class's name, for errors."""
        return type(self).__name__

    def add_param_group(self, param_group: Group) -> None:
        """Optimise more parameters, with options of their own.

        Parameters
        ----------
        param_group : dict
            ``"params"`` (a Tensor or an iterable of them) and any of the optimiser's options.
        """
        group = dict(param_group)
        if "params" not in group:
            raise checks.value_error(self.name, f"a parameter group lacks 'params'; it has {sorted(group)}")
        params = group["params"]
        group["params"] = params = [params] if isinstance(params, Tensor) else list(params)
        unknown = sorted(set(group) - set(self.defaults) - {"params", "initial_lr", "name"})
        if unknown:
            raise checks.value_error(self.name, f"unknown option {unknown[0]!r}; options are {sorted(self.defaults)}")
        seen = {id(p) for g in self.param_groups for p in g["params"]}
        for position, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise checks.type_error(self.name, f"parameter {position} must be a Tensor, got {type(p).__name__}")
            if not is_float(p.dtype):
                raise checks.type_error(self.name, f"parameter {position} must be floating", param=p)
            if not p.is_leaf:
                message = f"parameter {position} is not a leaf (made by {p.node}); optimise the tensor it came from"
                raise checks.value_error(self.name, message, param=p)
            if id(p) in seen:
                raise checks.value_error(self.name, f"parameter {position} is given twice", param=p)
            seen.add(id(p))
        full = {**self.defaults, **group}
        self.check(full)
        self.param_groups.append(full)

    def check(self, group: Group) -> None:
        """Raise where an option of the group is out of range (for subclasses)."""

    def update(self, param: Tensor, grad: Array, state: State, group: Group) -> None:
        """Write ``param.data`` in place from its gradient; ``state`` belongs to this parameter and starts empty."""
        raise NotImplementedError(f"{self.name}: update is not defined")

    def step(self, closure: Closure | None = None) -> Any:
        """Update every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Clears the gradients, computes the loss, calls ``backward`` and returns the loss.

        Returns
        -------
        What the closure returned, else None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for param in group["params"]:
                    grad = param.grad
                    if grad is not None:
                        state = self.state.get(param)
                        if state is None:
                            state = self.state[param] = {}
                        self.update(param, grad.data, state, group)
                        param.bump_version()
                        if events.LISTENERS:
                            events.emit("update", param)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; with ``set_to_none=False`` fill them with zeros instead."""
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none or param.grad is None:
                    param.grad = None
                else:
                    param.grad = Tensor(param.device.xp.zeros(param.shape, dtype=param.dtype), param.device)

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs, as plain numbers and NumPy arrays (copies), in a stable order.

        Returns
        -------
        dict
            ``"state"``: for each parameter's number a dict of numbers and arrays; ``"param_groups"``: the options,
            with numbers in place of parameters.
        """
        numbers = {id(p): i for i, p in enumerate(self._params())}
        state = {
            numbers[id(p)]: {key: _to_host(value, p) for key, value in self.state[p].items()}
            for p in self._params()
            if p in self.state
        }
        groups = [{**g, "params": [numbers[id(p)] for p in g["params"]]} for g in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken (also after a round trip through JSON-like containers).

        Raises
        ------
        ValueError
            If groups, their sizes or the shapes of stored arrays do not fit; nothing is changed then.
        """
        lacking = [key for key in ("state", "param_groups") if key not in state_dict]
        if lacking:
            raise checks.value_error(self.name, f"the state lacks {' and '.join(map(repr, lacking))}")
        if any("params" not in group for group in state_dict["param_groups"]):
            raise checks.value_error(self.name, "a stored group lacks 'params'")
        groups = state_dict["param_groups"]
        sizes, own = [len(g["params"]) for g in groups], [len(g["params"]) for g in self.param_groups]
        if sizes != own:
            raise checks.value_error(self.name, f"stored groups have {sizes} parameters, the optimiser has {own}")
        params = dict(zip((n for g in groups for n in g["params"]), self._params(), strict=True))
        state = {}
        for number, stored in state_dict["state"].items():
            if int(number) not in params:
                raise checks.value_error(self.name, f"the state is of parameter {number}, which no stored group has")
            param = params[int(number)]
            state[param] = {key: _from_host(self.name, key, value, param) for key, value in stored.items()}
        for group, stored in zip(self.param_groups, groups, strict=True):
            for key, value in stored.items():
                if key != "params":
                    group[key] = tuple(value) if isinstance(value, list) else value
        self.state = state

    def _params(self) -> list[Tensor]:
        return [p for g in self.param_groups for p in g["params"]]

    def __repr__(self) -> str:
        lines = [
            f"  group {i}: {len(g['params'])} tensors, " + ", ".join(f"{k}={v}" for k, v in g.items() if k != "params")
            for i, g in enumerate(self.param_groups)
        ]
        return "\n".join([f"{self.name}(", *lines, ")"])


def slot(state: State, key: str, param: Tensor, value: float = 0.0) -> Array:
    """The array of that name in a parameter's state; made on first use, of the parameter's shape and dtype."""
    array = state.get(key)
    if array is None:
        array = state[key] = param.device.xp.empty(param.shape, dtype=param.dtype)
        array.fill(value)
    return array


def non_negative(op: str, **options: Any) -> None:
    """Raise for an option that is not a number, negative or NaN."""
    for key, value in options.items():
        if not hasattr(value, "__float__"):
            raise checks.type_error(op, f"{key} must be a number, got {value!r}")
        if not value >= 0:
            raise checks.value_error(op, f"{key} must be >= 0, got {value}")


def fraction(op: str, **options: Any) -> None:
    """Raise for an option that is not a number in [0, 1)."""
    for key, value in options.items():
        if not hasattr(value, "__float__"):
            raise checks.type_error(op, f"{key} must be a number, got {value!r}")
        if not 0 <= value < 1:
            raise checks.value_error(op, f"{key} must be in [0, 1), got {value}")


def _to_host(value: Any, param: Tensor) -> Any:
    return np.array(param.backend.to_host(value)) if hasattr(value, "dtype") else value


def _from_host(op: str, key: str, value: Any, param: Tensor) -> Any:
    if not hasattr(value, "shape") and not isinstance(value, list):
        return value
    array = np.asarray(value)
    if array.shape != param.shape:
        message = f"stored {key} of shape {array.shape} does not fit its parameter"
        raise checks.value_error(op, message, param=param)
    return tensor(array, dtype=param.dtype, device=param.device).data
