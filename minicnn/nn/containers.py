"""Modules that hold other modules: in a row, in a list, by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from minicnn.core import checks
from minicnn.nn.module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class _Numbered(Module):
    """Children under the names "0", "1", ... (or given names): what Sequential and ModuleList share."""

    def _values(self) -> list[Module]:
        return [child for _, child in self._own_children()]

    def _key(self, index: int) -> str:
        names = [name for name, _ in self._own_children()]
        if not -len(names) <= index < len(names):
            # IndexError, because Python's own iteration protocol listens for it.
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {len(names)} modules")
        return names[index]

    def _append(self, module: object) -> None:
        if not isinstance(module, Module):
            raise checks.type_error(type(self).__name__, f"expected a Module, got {type(module).__name__}")
        setattr(self, str(len(self)), module)

    def __len__(self) -> int:
        return len(self._values())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._values())

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._key(index), module)


class Sequential(_Numbered):
    """Apply modules one after another.

    Parameters
    ----------
    *modules : Module, or one OrderedDict of str to Module
        Named "0", "1", ... or by the keys of the dictionary.

    Examples
    --------
    >>> import minicnn as mc
    >>> net = mc.nn.Sequential(mc.nn.Linear(4, 3), mc.nn.ReLU(), mc.nn.Linear(3, 2))
    >>> net(mc.tensor([[1.0, 2.0, 3.0, 4.0]])).shape
    (1, 2)
    >>> net
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)
      (1): ReLU()
      (2): Linear(in_features=3, out_features=2, bias=True)
    )
    """

    def __init__(self, *modules: Module | OrderedDict[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            for item in modules:
                self._append(item)

    def forward(self, input: Any) -> Any:
        """The input through every module in turn."""
        for module in self._values():
            input = module(input)
        return input

    def append(self, module: Module) -> Sequential:
        """Add one module at the end."""
        self._append(module)
        return self

    def extend(self, modules: Iterable[Module]) -> Sequential:
        """Add several modules at the end."""
        for module in modules:
            self._append(module)
        return self

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module | Sequential:
        if isinstance(index, slice):
            return Sequential(OrderedDict(list(self._own_children())[index]))
        return self.get_submodule(self._key(index))


class ModuleList(_Numbered):
    """A list whose modules are registered; it has no forward of its own.

    Examples
    --------
    >>> import minicnn as mc
    >>> layers = mc.nn.ModuleList(mc.nn.Linear(2, 2) for _ in range(3))
    >>> len(layers), [name for name, _ in layers.named_parameters()][:2]
    (3, ['0.weight', '0.bias'])
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        """Add one module at the end."""
        self._append(module)
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add several modules at the end."""
        for module in modules:
            self._append(module)
        return self

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...
    def __getitem__(self, index: int | slice) -> Module | ModuleList:
        if isinstance(index, slice):
            return ModuleList(self._values()[index])
        return self.get_submodule(self._key(index))


class ModuleDict(Module):
    """A dictionary whose modules are registered, in order of insertion; it has no forward of its own.

    Examples
    --------
    >>> import minicnn as mc
    >>> heads = mc.nn.ModuleDict({"classes": mc.nn.Linear(4, 10), "box": mc.nn.Linear(4, 4)})
    >>> list(heads), heads["box"]
    (['classes', 'box'], Linear(in_features=4, out_features=4, bias=True))
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add or replace several modules."""
        for name, module in modules.items():
            self[name] = module

    def keys(self) -> list[str]:
        """Names, in order of insertion."""
        return [name for name, _ in self._own_children()]

    def values(self) -> list[Module]:
        """Modules, in order of insertion."""
        return [child for _, child in self._own_children()]

    def items(self) -> list[tuple[str, Module]]:
        """Pairs of name and module, in order of insertion."""
        return list(self._own_children())

    def __getitem__(self, name: str) -> Module:
        child = vars(self).get(name)
        if not isinstance(child, Module):
            raise KeyError(name)
        return child

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise checks.type_error("ModuleDict", f"expected a Module, got {type(module).__name__}")
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        self[name]  # a KeyError rather than an AttributeError
        delattr(self, name)

    def __contains__(self, name: object) -> bool:
        return isinstance(vars(self).get(str(name)), Module)

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())
