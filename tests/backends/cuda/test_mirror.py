"""Both backends have the same modules, functions and parameters, but for what is listed here with its reason.

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


ONE_SIDED = {  # modules and functions of one backend, and why the other has none; a module's name stands for all in it
    "cpu": {
        "activation_kernels": "the compiled loops of activations: on the GPU they are in kernels/activations.cu",
        "blas": "BLAS called from inside compiled loops; cuBLAS is called by CuPy",
        "jit": "numba's compiler and its cache; NVRTC is behind the seam",
        "matrix": "products cut among cores; CuPy's matmul is cuBLAS's",
        "memory": "freed pages are kept by the C library; CuPy has a pool",
        "probe": "which threading layer numba found",
        "selection": "a where() without branches; CuPy's has none",
        "simd": "vectors of one core's registers",
        "simd_blocks": "the same",
        "simd_rows": "the same",
        "sums": "sums on all cores; CuPy's reductions run on the whole GPU",
        "threads": "how many cores take part",
        "convolution.direct": "an algorithm of the CPU",
        "convolution.fft": "an algorithm of the CPU",
        "convolution.planes": "shared by algorithms of the CPU",
        "convolution.scratch": "the bound of their memory; the GPU's is in thresholds",
        "convolution.winograd_kernels": "the compiled loops of winograd: kernels/winograd.cu",
        "convolution.im2col": "blocks for a core's cache, from which other algorithms take theirs",
        "convolution.pointwise.Blocking": "the same",
        "convolution.pointwise.blocking": "the same",
        "convolution.winograd.Plan": "the same",
        "arrays": "NumPy's functions, replaced by ones on all cores; the GPU's namespace is CuPy itself",
        "pooling.Axis": "windows as compiled loops take them; kernels/pooling.cu takes their sizes",
        "pooling.adaptive_axis": "the same, which average_pooling shares",
        "pooling.axes_of": "the same",
        "pooling.loop_of": "the same",
        "pooling.parts_of": "the same",
        "pooling.planes_of": "the same",
        "softmax.exp": "a vector loop; a GPU has the instruction",
        "softmax.softmax_rows": "the loop that losses share; kernels share it as text",
        "softmax.softmax_strip": "the same",
        "roi.scatter_bins": "called by its roi_pool_adjoint; on the GPU cells gather, by boxes, and nothing scatters",
        "Uploader": "a class of the package; the GPU's is uploading.PinnedUploader",
        "sources": "the files whose hash names the compiled kernels; the GPU's are read by a module of that name",
        "to_host": "a function of the package; of the GPU's, a method of Backend",
        "uploader": "the same",
    },
    "cuda": {
        "clock": "the device's events; the CPU's clock is the host's",
        "compiling": "NVRTC for machines that are not here",
        "detection": "whether there is a GPU",
        "device": "what is behind the seam: CuPy",
        "products": "how cuBLAS is told of a stack of matrices",
        "emulated_arrays": "what is behind the seam without a GPU",
        "emulator": "the same",
        "recording": "the same, under sanitizers",
        "seam": "launches; the CPU calls its kernels",
        "sources": "the text of kernels/*.cu",
        "uploading": "copies beside compute; on the CPU there is nothing to copy",
        "convolution.finishing": "what kernels do to a result: bias, ReLU, joining parts",
        "convolution.implicit_gemm": "an algorithm of the GPU",
        "convolution.im2col.Chunk": "images whose columns fit into the workspace",
        "convolution.depthwise.square": "which of its kernels do a problem",
        "convolution.winograd.Cut": "tiles that stay in the cache between kernels",
        "arrays.einsum": "a stack of products in its dtype, where CuPy's casts halves; NumPy's own does on the CPU",
        "arrays.cumsum": "halves are added in float32, as by arrays.sum: CUB, which CuPy asks, adds them as halves",
        "arrays.floor_divide": "NumPy's quotient, where CuPy's rounds it otherwise",
        "arrays.remainder": "NumPy's rest, where CuPy's rounds it otherwise",
        "softmax.row_threads": "threads of a row",
        "activations.add_bias": "a pass of its own where cuBLAS cannot add the bias",
        "indexing.runs": "equal indices side by side, so that no float atomics are needed",
        "indexing.add_rows_atomic": "a faster variant that is not deterministic, to compare with",
        "pooling.scatter_planes_atomic": "the same",
        "roi.roi_align_adjoint_atomic": "the same",
        "roi.roi_pool_adjoint_atomic": "the same",
        "roi.roi_pool_1": "the literal variant",
        "roi.roi_align_1": "the same",
        "normalization.normalize_1": "the same",
        "resample.resize_1": "the same",
        "average_pooling.avg_pool2d_adjoint_1": "the same",
        "normalization.normalize_grad_1": "the same",
        "Backend": "one package for two devices, so an object and not the package is the backend",
        "Room": "the same",
        "load_cuda": "the same",
        "load_emulated": "the same",
    },
}


@cache
def public(backend: str) -> dict[str, ast.AST]:
    """``module.name`` of every public function and class that a backend defines.

    Constants are left out: they are the sizes by which each processor's loops are cut.
    """
    room, found = ROOT / "backends" / backend, {}
    for path in sorted(room.rglob("*.py")):
        parts = path.relative_to(room).with_suffix("").parts
        stem = ".".join(part for part in parts if part != "__init__")
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                found[f"{stem}.{node.name}".removeprefix(".")] = node
    return found


def bound(backend: str, name: str) -> bool:
    """Whether a backend has the name, defined or taken from another module."""
    module, _, function = name.rpartition(".")
    return definition(backend, module, function) is not None


def listed(backend: str, name: str) -> str | None:
    """The entry that excuses a name: its own, or its module's."""
    reasons = ONE_SIDED[backend]
    return next((entry for entry in (name, name.rpartition(".")[0]) if entry in reasons), None)


@pytest.mark.parametrize(("backend", "other"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_every_public_name_has_its_twin_or_a_reason(backend: str, other: str) -> None:
    alone = [name for name in sorted(public(backend)) if not bound(other, name)]
    assert [name for name in alone if listed(backend, name) is None] == []
    assert set(ONE_SIDED[backend]) == {listed(backend, name) for name in alone}, "an entry without need"


def test_twins_have_the_same_parameters() -> None:
    mine, theirs = public("cuda"), public("cpu")
    both = sorted(name for name in set(mine) & set(theirs) if isinstance(theirs[name], ast.FunctionDef))
    assert len(both) > 80
    differ = {name: (signature(mine[name]), signature(theirs[name])) for name in both}
    assert {name: pair for name, pair in differ.items() if pair[0] != pair[1]} == {}


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
