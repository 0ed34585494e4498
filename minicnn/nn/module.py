"""The base class of every layer and network: it finds its parameters, switches modes, saves and loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from minicnn.core import checks
from minicnn.core.tensor import Tensor
from minicnn.nn import hooks, transfer
from minicnn.nn.parameter import Parameter

__all__ = ["IncompatibleKeys", "Module"]


class IncompatibleKeys(NamedTuple):
    """What a non-strict `Module.load_state_dict` found on one side only."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base class of layers and networks.

    A module is a plain object. Whatever is assigned to an attribute takes part by its type: a `Parameter` is
    trained, a `Module` is a child, a tensor given to `register_buffer` is saved but not trained. The order of
    all listings, and of `state_dict`, is the order of definition: own parameters, own buffers, then children.

    Subclasses write `forward`; `super().__init__()` is allowed but not needed.

    Attributes
    ----------
    training : bool
        True after construction and `train()`, False after `eval()`; read by dropout and batch normalisation.

    Examples
    --------
    >>> import minicnn as mc
    >>> class Scale(mc.nn.Module):
    ...     def __init__(self) -> None:
    ...         self.factor = mc.nn.Parameter(mc.tensor([2.0]))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> scale = Scale()
    >>> scale(mc.tensor([1.0, 3.0])).tolist()
    [2.0, 6.0]
    >>> [name for name, _ in scale.named_parameters()]
    ['factor']
    """

    training: bool
    _buffer_names: dict[str, bool]  # name -> saved in state_dict?
    _hooks: hooks.HookTable

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Set up here, not in __init__, so that a subclass that forgets super().__init__() still works.
        self = super().__new__(cls)
        self.training = True
        self._buffer_names = {}
        self._hooks = hooks.HookTable()
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__}: forward is not defined; write it in the subclass")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, with the hooks around it."""
        if not self._hooks:
            return self.forward(*args, **kwargs)
        return hooks.call(self, self._hooks, args, kwargs)

    # -- what belongs to the module ------------------------------------------------------------------------

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Hold a tensor that is saved and moved with the module, but not trained.

        Parameters
        ----------
        name : str
            Attribute name.
        tensor : Tensor or None
            The value; None keeps the name free of state (as `track_running_stats=False` does).
        persistent : bool
            Whether `state_dict` contains it.

        Raises
        ------
        ValueError
            If the name is taken by something else, or contains a dot.
        """
        self._check_name("register_buffer", name)
        if isinstance(tensor, Parameter):
            raise checks.type_error("register_buffer", f"{name!r} is a Parameter; a buffer is a plain Tensor")
        self._buffer_names[name] = persistent
        setattr(self, name, tensor)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Hold a parameter under a name known only at run time; the same as assigning the attribute."""
        self._check_name("register_parameter", name)
        setattr(self, name, parameter)

    def add_module(self, name: str, module: Module) -> None:
        """Hold a child under a name known only at run time; the same as assigning the attribute."""
        self._check_name("add_module", name)
        setattr(self, name, module)

    def _check_name(self, method: str, name: str) -> None:
        if not name or "." in name:
            raise checks.value_error(method, f"name must be a non-empty string without dots, got {name!r}")
        if name not in self._buffer_names and hasattr(type(self), name):
            raise checks.value_error(method, f"{type(self).__name__} already has an attribute {name!r}")

    def _own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield name, value

    def _own_buffers(self, persistent_only: bool = False) -> Iterator[tuple[str, Tensor]]:
        for name, persistent in self._buffer_names.items():
            value = getattr(self, name, None)
            if value is not None and (persistent or not persistent_only):
                yield name, value

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Direct children with their names, in definition order, each object once."""
        seen: set[int] = set()
        for name, value in self._own_children():
            if id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def _own_children(self) -> Iterator[tuple[str, Module]]:
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        """Direct children, in definition order."""
        for _, child in self.named_children():
            yield child

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """Itself and all modules below with dotted names, depth first."""
        yield from self._walk(prefix, set() if remove_duplicate else None)

    def _walk(self, prefix: str, seen: set[int] | None) -> Iterator[tuple[str, Module]]:
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield prefix, self
        for name, child in self._own_children():
            yield from child._walk(_join(prefix, name), seen)

    def modules(self) -> Iterator[Module]:
        """Itself and all modules below, each object once."""
        for _, module in self.named_modules():
            yield module

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with dotted names; one shared by two modules comes once, under its first name."""
        seen: set[int] = set()
        for path, module in self._walk(prefix, None) if recurse else [(prefix, self)]:
            for name, parameter in module._own_parameters():
                if remove_duplicate and id(parameter) in seen:
                    continue
                seen.add(id(parameter))
                yield _join(path, name), parameter

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Parameters, each object once: what an optimiser is given."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Buffers with dotted names."""
        for path, module in self._walk(prefix, set()) if recurse else [(prefix, self)]:
            for name, buffer in module._own_buffers():
                yield _join(path, name), buffer

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Buffers: saved and moved, not trained."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path; the empty path is this module.

        Raises
        ------
        ValueError
            If no module has this path.
        """
        module = self
        for part in target.split(".") if target else ():
            child = vars(module).get(part)
            if not isinstance(child, Module):
                raise checks.value_error("get_submodule", f"{type(self).__name__} has no module {target!r}")
            module = child
        return module

    # -- modes and places ----------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Switch this module and all below it to training mode (or, with False, to evaluation mode)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation mode: dropout passes through, batch norm uses its running statistics."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze (False) or unfreeze all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients (or, with `set_to_none=False`, fill them with zeros)."""
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                parameter.grad = parameter.grad.detach().zero_()

    def apply(self, function: Callable[[Module], None]) -> Self:
        """Call a function on every module below and then on this one: children first."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def to(self, *target: Any, device: Any = None, dtype: Any = None) -> Self:
        """Move parameters and buffers to a device and/or cast the floating ones to a dtype, in place.

        The `Parameter` objects stay the same, so an optimiser that holds them keeps working; gradients are
        moved with them.

        Parameters
        ----------
        *target : str or dtype
            A device name (``"cpu"``, ``"cuda"``), a floating dtype, or both.
        device, dtype
            The same by name.
        """
        device, dtype = transfer.parse_target(target, device, dtype)
        for parameter in self.parameters():
            transfer.move_(parameter, device, dtype)
        for buffer in self.buffers():
            transfer.move_(buffer, device, dtype)
        return self

    def float(self) -> Self:
        """Cast floating parameters and buffers to float32."""
        return self.to(dtype="float32")

    def double(self) -> Self:
        """Cast floating parameters and buffers to float64."""
        return self.to(dtype="float64")

    def cpu(self) -> Self:
        """Move everything to the host."""
        return self.to(device="cpu")

    def cuda(self) -> Self:
        """Move everything to the GPU."""
        return self.to(device="cuda")

    # -- saving --------------------------------------------------------------------------------------------

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """All parameters and saved buffers by dotted name, in definition order.

        Returns
        -------
        dict of str to Tensor
            Detached tensors that share memory with the module: copy them to keep a snapshot.
        """
        return {_join(prefix, name): value.detach() for name, value in self._state()}

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        for path, module in self._walk("", None):
            for name, parameter in module._own_parameters():
                yield _join(path, name), parameter
            for name, buffer in module._own_buffers(persistent_only=True):
                yield _join(path, name), buffer

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy saved values into the module; nothing is written unless everything fits.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or array
            As made by `state_dict`; values are cast to the dtype and device of their target.
        strict : bool
            Whether keys must match exactly. A wrong shape is an error either way.

        Returns
        -------
        IncompatibleKeys
            The keys found on one side only; both empty when strict.

        Raises
        ------
        ValueError
            Once, naming all missing keys, all unexpected keys and all shapes that differ.
        """
        own = dict(self._state())
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        common = [key for key in own if key in state_dict]
        wrong = [
            f"{key} is {own[key].shape}, got {transfer.shape_of(state_dict[key])}"
            for key in common
            if transfer.shape_of(state_dict[key]) != own[key].shape
        ]
        problems = [f"wrong shape: {'; '.join(wrong)}"] if wrong else []
        if strict and missing:
            problems.append(f"missing keys: {', '.join(missing)}")
        if strict and unexpected:
            problems.append(f"unexpected keys: {', '.join(map(str, unexpected))}")
        if problems:
            raise checks.value_error(f"{type(self).__name__}.load_state_dict", "; ".join(problems))
        for key in common:
            transfer.assign_(own[key], state_dict[key])
        return IncompatibleKeys(missing, unexpected)

    # -- hooks ---------------------------------------------------------------------------------------------

    def register_forward_pre_hook(self, hook: hooks.PreHook) -> hooks.RemovableHandle:
        """Call ``hook(module, args)`` before each forward; what it returns, if not None, replaces the args."""
        return self._hooks.pre.add(hook)

    def register_forward_hook(self, hook: hooks.ForwardHook) -> hooks.RemovableHandle:
        """Call ``hook(module, args, output)`` after each forward; a result that is not None replaces it."""
        return self._hooks.forward.add(hook)

    def register_full_backward_hook(self, hook: hooks.BackwardHook) -> hooks.RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when gradients have passed through the module.

        Both are tuples with one entry per positional tensor argument and per output tensor; entries are None
        where no gradient flows. A result that is not None replaces `grad_input`.
        """
        return self._hooks.backward.add(hook)

    # -- text ----------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of `repr`; layers describe their options here."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [f"({name}): {_indent(repr(child))}" for name, child in self._own_children()]
        if not lines:
            return f"{type(self).__name__}({extra})"
        body = "\n  ".join([*extra.splitlines(), *lines])
        return f"{type(self).__name__}(\n  {body}\n)"


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix and name else prefix or name


def _indent(text: str) -> str:
    return text.replace("\n", "\n  ")
