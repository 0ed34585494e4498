"""A fault in the backward of one Function: how it is written down, compiled in memory, and planted for a while."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from minicnn.core.function import Function
from minicnn.testing.mutation.faults import SPOILT, faults, spoil
from minicnn.testing.mutation.meeting import Met
from minicnn.testing.mutation.rules import bare, edits


@dataclass(frozen=True)
class Mutant:
    """One fault in one Function.

    Parameters
    ----------
    function : str
        Full name of the Function's class.
    rule : str
        The named bug class, or the rule that changed the source.
    line : str
        The changed line, or which gradient is spoilt.
    where : str
        What is replaced: ``backward``, a method or a function of the module that only this backward sees changed.
    source : str
        Of what is replaced; empty for a named bug class.
    slot : int
        For a named bug class: the input whose gradient it spoils.
    """

    function: str
    rule: str
    line: str
    where: str = "backward"
    source: str = ""
    slot: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from all others, and what :mod:`equivalents` are listed by."""
        return self.function + f".{self.where}" * (self.where != "backward"), self.rule, self.line

    def __str__(self) -> str:
        return f"{self.function.rsplit('.', 1)[-1]}.{self.where}: {self.rule}: {self.line}"


def mutants_of(name: str, met: Met) -> list[Mutant]:
    """All mutants of one Function.

    Parameters
    ----------
    name : str
        Full name of its class.
    met : Met
        What the suite shows of its gradients; a Function whose gradients no case asks for has no named bug classes.
    """
    cls = class_of(name)
    found = []
    for rule, slot in faults(met.shapes, met.joint, met.alike):
        one = f"gradient {slot}" if rule in SPOILT else "all gradients"
        line = f"gradients {slot // 100} and {slot % 100}" if rule == "swapped" else one
        found.append(Mutant(name, rule, line, slot=slot))
    for where, source in _sources(cls).items():
        found += [Mutant(name, e.rule, e.line, where, e.source) for e in edits(source, helper=where != "backward")]
    return found


def class_of(name: str) -> type[Function]:
    """The class of that full name; its module is loaded if nothing has done so yet."""
    if name not in Function.registry:
        importlib.import_module(name.rpartition(".")[0])
    return Function.registry[name]


def _sources(cls: type[Function]) -> dict[str, str]:
    """Source of backward, of the private functions of its module that it calls, and of methods that only it calls."""
    backward = _function(cls, "backward")
    found = {"backward": _source(backward)}
    used = {n.id for n in ast.walk(ast.parse(found["backward"])) if isinstance(n, ast.Name)}
    module = vars(sys.modules[backward.__module__])
    for name in sorted(used):
        value = module.get(name)
        if name.startswith("_") and isinstance(value, FunctionType) and value.__module__ == backward.__module__:
            found[name] = _source(value)
    forward = _methods(_source(_function(cls, "forward")))
    for name in sorted(_methods(found["backward"]) - forward):
        value = inspect.getattr_static(cls, name, None)
        if isinstance(value, FunctionType) and value.__module__ == backward.__module__:
            found[name] = _source(value)
    return found


def _function(cls: type[Function], name: str) -> FunctionType:
    value = inspect.getattr_static(cls, name)
    assert isinstance(value, FunctionType)
    return value


def _source(function: FunctionType) -> str:
    return textwrap.dedent(inspect.getsource(function))


def _methods(source: str) -> set[str]:
    """Names ``x`` of ``self.x``."""
    return {
        n.attr for n in ast.walk(ast.parse(source))
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "self"
    }


def concerns_dtypes(mutant: Mutant) -> bool:
    """Whether the change touches a dtype, so that float64 alone may not show it."""
    if not mutant.source:
        return False
    if "dtype" in mutant.line:
        return True
    original = _sources(class_of(mutant.function))[mutant.where]
    return bare(original).count("dtype") != mutant.source.count("dtype")


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The fault in place inside the block; afterwards the class is as it was."""
    cls = class_of(mutant.function)
    backward = _function(cls, "backward")
    place, value = "backward", backward
    if not mutant.source:
        value = spoil(backward, mutant.rule, mutant.slot)  # type: ignore[assignment]
    elif mutant.where in vars(sys.modules[backward.__module__]):  # a function of the module, seen by this backward only
        value = _compiled(bare(_source(backward)), backward, cls, {mutant.where: mutant.source})
    else:
        place, value = mutant.where, _compiled(mutant.source, backward, cls, {})
    own = place in vars(cls)
    before = vars(cls).get(place)
    setattr(cls, place, value)
    try:
        yield
    finally:
        if own:
            setattr(cls, place, before)
        else:
            delattr(cls, place)


def _compiled(source: str, backward: FunctionType, cls: type, replaced: dict[str, str]) -> Any:
    """A method from its source, in a copy of its module's names, where some functions may be replaced."""
    namespace = dict(backward.__globals__)
    for name, text in replaced.items():
        exec(compile(text, f"<mutant of {name}>", "exec"), namespace)  # noqa: S102 - our own source, changed by a rule
    name = ast.parse(source).body[0].name  # type: ignore[attr-defined]
    whole = f"def make(__class__):\n{textwrap.indent(source, '    ')}\n    return {name}"  # for super() in it
    exec(compile(whole, f"<mutant of {cls.__name__}>", "exec"), namespace)  # noqa: S102 - idem
    make: Callable[[type], Any] = namespace["make"]
    return make(_owner(cls, backward))


def _owner(cls: type, function: FunctionType) -> type:
    """The class that a method was written in."""
    return next(c for c in cls.__mro__ if vars(c).get(function.__name__) is function)

