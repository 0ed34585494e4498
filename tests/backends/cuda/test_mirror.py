"""What ops, nn, optim and core ask of a backend is there on both sides, with the same signatures.

Read from the sources, so neither numba nor CuPy need be importable.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import minicnn

ROOT = Path(minicnn.__file__).parent
ROOMS = ("core", "ops", "nn", "optim", "training", "explain", "vision")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def sources(*rooms: str) -> list[Path]:
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]


def module_path(backend: str, module: str) -> Path | None:
    """``backends/<backend>/<module>``, a file or a folder."""
    place = ROOT / "backends" / backend / module.replace(".", "/")
    found = [p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()]
    return found[0] if found else None


def backend_module(node: ast.AST) -> str | None:
    """``m`` where the expression is ``<anything>.backend.m`` and m is a module of the CPU's; the namespace is none."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "backend":
        return node.attr if node.attr != "arrays" and module_path("cpu", node.attr) else None
    return None


def aliases(function: ast.AST) -> dict[str, str]:
    """Local names for modules of the backend: ``kernels = self.backend.normalization``, also in a tuple."""
    found = {}
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target, value = node.targets[0], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=True))
        for name, what in pairs:
            module = backend_module(what)
            if module and isinstance(name, ast.Name):
                found[name.id] = module
    return found


@cache
def asked() -> list[str]:
    """``module.name`` for all that the rooms take from a backend."""
    found = set()
    for path in sources(*ROOMS):
        for function in ast.walk(tree(path)):
            if not isinstance(function, ast.FunctionDef):
                continue
            known = aliases(function)
            for node in ast.walk(function):
                if not isinstance(node, ast.Attribute):
                    continue
                module = known.get(node.value.id) if isinstance(node.value, ast.Name) else backend_module(node.value)
                if module:
                    found.add(f"{module}.{node.attr}")
    return sorted(found)


def definition(backend: str, module: str, name: str) -> ast.AST | None:
    """The function of that name, where it is defined; another statement that binds the name; or nothing."""
    path = module_path(backend, module)
    if path is None:
        return None
    package = f"minicnn.backends.{backend}."
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == name for a in node.names):
            original = next(a.name for a in node.names if (a.asname or a.name) == name)
            if (node.module or "").startswith(package):
                return definition(backend, (node.module or "").removeprefix(package), original)
            return node
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return node
    return None


def signature(function: ast.AST | None) -> list[tuple[str, str, str | None]]:
    """Kind, name and default of each parameter."""
    assert isinstance(function, ast.FunctionDef)
    a = function.args
    positional = [*a.posonlyargs, *a.args]
    missing = [None] * (len(positional) - len(a.defaults))
    listed: list[tuple[str, list[ast.arg], list[ast.expr | None]]] = [
        ("positional", positional, [*missing, *a.defaults]),
        ("*", [a.vararg] if a.vararg else [], [None]),
        ("keyword", a.kwonlyargs, list(a.kw_defaults)),
        ("**", [a.kwarg] if a.kwarg else [], [None]),
    ]
    return [
        (kind, arg.arg, ast.unparse(default) if default is not None else None)
        for kind, arguments, defaults in listed
        for arg, default in zip(arguments, defaults, strict=False)
    ]


def test_the_scan_sees_what_is_known_to_be_asked() -> None:
    known = {"pooling.max_pool2d", "updates.sgd", "normalization.normalize_grad", "convolution.forward"}
    assert known <= set(asked())
    assert [name for name in asked() if definition("cpu", *name.split(".")) is None] == []


@pytest.mark.parametrize("name", asked())
def test_a_function_has_its_twin(name: str) -> None:
    module, function = name.split(".")
    theirs, mine = (definition(backend, module, function) for backend in ("cpu", "cuda"))
    assert mine is not None, f"backends/cuda has no {name}, which backends/cpu has"
    if isinstance(theirs, ast.FunctionDef):
        assert signature(mine) == signature(theirs)


def array_names(path: Path) -> set[str]:
    """What a file takes from an array namespace: ``xp.name``, ``self.xp.name``, ``seam.xp().name``."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            owner = node.value.func if isinstance(node.value, ast.Call) and not node.value.args else node.value
            called = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if called == "xp":
                found.add(node.attr)
    return found


def test_every_name_of_the_array_namespace_exists_in_cupy() -> None:
    cupy = pytest.importorskip("cupy")
    ours = {node.name for node in tree(ROOT / "backends/cuda/arrays.py").body if isinstance(node, ast.FunctionDef)}
    used = {name: path for path in sources(*ROOMS, "backends/cuda") for name in array_names(path)}
    assert "multiply" in used
    missing = {name: str(path.relative_to(ROOT)) for name, path in used.items() if not hasattr(cupy, name)}
    assert {name: where for name, where in missing.items() if name not in ours} == {}
