"""Hooks of modules: functions called before and after forward, and when gradients have passed through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

from minicnn.core.function import Function
from minicnn.core.modes import is_grad_enabled
from minicnn.core.tensor import Tensor

PreHook = Callable[..., Any]  # (module, args) -> new args or None
ForwardHook = Callable[..., Any]  # (module, args, output) -> new output or None
BackwardHook = Callable[..., Any]  # (module, grad_input, grad_output) -> new grad_input or None


class RemovableHandle:
    """Returned by every `register_..._hook`; `remove()` takes the hook away, leaving a `with` block does too."""

    def __init__(self, hooks: HookList, hook: Callable[..., Any]) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        """Take the hook away; doing it twice is harmless."""
        self._hooks.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class HookList:
    """Hooks in order of registration; one may remove itself while they run."""

    def __init__(self) -> None:
        self._handles: dict[RemovableHandle, Callable[..., Any]] = {}

    def add(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Register a hook; the handle removes it."""
        handle = RemovableHandle(self, hook)
        self._handles[handle] = hook
        return handle

    def discard(self, handle: RemovableHandle) -> None:
        """Forget the hook of this handle, if it is still there."""
        self._handles.pop(handle, None)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter(list(self._handles.values()))

    def __bool__(self) -> bool:
        return bool(self._handles)


class HookTable:
    """The three lists of one module; false while all are empty, which is what a call without hooks tests."""

    def __init__(self) -> None:
        self.pre, self.forward, self.backward = HookList(), HookList(), HookList()

    def __bool__(self) -> bool:
        return bool(self.pre or self.forward or self.backward)


def call(module: Any, table: HookTable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``module.forward`` with its hooks around it."""
    for hook in table.pre:
        replaced = hook(module, args)
        if replaced is not None:
            args = replaced if isinstance(replaced, tuple) else (replaced,)
    passage = _Passage(module, table.backward) if table.backward and is_grad_enabled() else None
    inner = args if passage is None else passage.enter(args)
    output = module.forward(*inner, **kwargs)
    for hook in table.forward:
        replaced = hook(module, args, output)
        output = output if replaced is None else replaced
    return output if passage is None else passage.leave(output)


class ModuleBoundary(Function):
    """Identity on several tensors at once, whose backward shows the gradients to a listener."""

    def __init__(self, listener: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> None:
        self.listener = listener

    def forward(self, *arrays: Any) -> Any:
        return tuple(array[...] for array in arrays)

    def backward(self, *gys: Any) -> Any:
        return self.listener(gys)


class _Passage:
    """One call of a module with backward hooks: gradients are met where they enter and where they leave it."""

    def __init__(self, module: Any, hooks: HookList) -> None:
        self.module, self.hooks = module, hooks
        self.grad_output: tuple[Any, ...] = ()
        self.inputs: list[int | None] = []  # for each tensor argument, its place among those that need gradients

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        tensors = [a for a in args if isinstance(a, Tensor)]
        tracked = [a for a in tensors if a.requires_grad]
        order = iter(range(len(tracked)))
        self.inputs = [next(order) if a.requires_grad else None for a in tensors]
        if not tracked:
            return args
        wrapped = iter(_tuple(ModuleBoundary(self._gradients_leave)(*tracked)))
        return tuple(next(wrapped) if isinstance(a, Tensor) and a.requires_grad else a for a in args)

    def leave(self, output: Any) -> Any:
        outputs = _tuple(output)
        tracked = [y for y in outputs if isinstance(y, Tensor) and y.requires_grad]
        if not tracked:
            return output
        wrapped = iter(_tuple(ModuleBoundary(self._gradients_enter)(*tracked)))
        replaced = [next(wrapped) if isinstance(y, Tensor) and y.requires_grad else y for y in outputs]
        if hasattr(output, "_make"):
            return output._make(replaced)
        return type(output)(replaced) if isinstance(output, tuple | list) else replaced[0]

    def _gradients_enter(self, gys: tuple[Any, ...]) -> tuple[Any, ...]:
        self.grad_output = gys
        if all(place is None for place in self.inputs):  # they will leave nowhere, so now is the time
            self._show((None,) * len(self.inputs))
        return gys

    def _gradients_leave(self, gxs: tuple[Any, ...]) -> tuple[Any, ...]:
        shown = self._show(tuple(None if place is None else gxs[place] for place in self.inputs))
        return tuple(g for g, place in zip(shown, self.inputs, strict=True) if place is not None)

    def _show(self, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.hooks:
            replaced = hook(self.module, grad_input, self.grad_output)
            if replaced is not None:
                grad_input = replaced if isinstance(replaced, tuple) else (replaced,)
        return grad_input


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)
