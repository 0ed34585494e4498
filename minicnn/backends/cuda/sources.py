"""The CUDA sources: where they lie, and the signatures of their kernels, read from the text itself.

A launch is checked and its arguments are converted by what the ``.cu`` file declares, so there is no second list of
signatures to keep in step. A kernel's parameters are scalars, and pointers to arrays.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

TYPES = {
    "float": "float32", "double": "float64", "int": "int32", "i64": "int64", "unsigned": "uint32", "u8": "uint8",
    "bool": "bool", "int8": "int8",
}  # fmt: skip
_KERNEL = re.compile(r"^(DEVICE_)?KERNEL\b", re.MULTILINE)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_PARAMETER = re.compile(r"^(const\s+)?(\w+)\s*(\*?)\s*(?:__restrict__\s+)?(\w+)$")
_LIST = re.compile(r"^#define ([A-Z]+) ((?:.*\\\n)*.*)$", re.MULTILINE)  # a word for several parameters
_INCLUDE = re.compile(r'^#include "([\w.]+)"$', re.MULTILINE)


class Parameter(NamedTuple):
    """One parameter of a kernel."""

    name: str
    type: str  # as written: real, acc, int, i64, ...
    pointer: bool
    const: bool


class Kernel(NamedTuple):
    """A ``__global__`` function."""

    file: str  # stem of the .cu file
    name: str
    parameters: tuple[Parameter, ...]
    device_only: bool  # a DEVICE_KERNEL: the emulator cannot run it


def folder() -> Path:
    """``kernels/``: the wheel's copy, else that of the checkout."""
    package = Path(__file__).parents[2]
    packaged = package / "_kernels"
    return packaged if packaged.is_dir() else package.parent / "kernels"


FOLDERS = [folder()]  # searched in order; whoever has kernels of their own adds a folder


def _path(name: str) -> Path:
    for place in FOLDERS:
        if (place / name).is_file():
            return place / name
    raise ValueError(f"cuda: there is no kernel file {name} in {', '.join(map(str, FOLDERS))}")


@cache
def text(stem: str) -> str:
    """The source of ``kernels/<stem>.cu`` with its own includes put in place, once each."""
    seen: set[str] = set()

    def expand(name: str) -> str:
        source = _path(name).read_text(encoding="utf-8").replace("#pragma once\n", "\n")

        def put(match: re.Match[str]) -> str:
            if match[1] in seen:
                return ""
            seen.add(match[1])
            following = source.count("\n", 0, match.end()) + 2  # compilers shall name the lines of the files
            return f'{expand(match[1])}\n#line {following} "{name}"'

        return f'#line 1 "{name}"\n{_INCLUDE.sub(put, source)}'

    return expand(f"{stem}.cu")


def stems() -> list[str]:
    """Every kernel file of the project."""
    return sorted(path.stem for path in folder().glob("*.cu"))


@cache
def kernels(stem: str) -> dict[str, Kernel]:
    """The kernels of a file by name."""
    source = _COMMENT.sub(lambda match: "\n" * match[0].count("\n") or " ", text(stem))
    lists = {word: meaning.replace("\\\n", " ") for word, meaning in _LIST.findall(source)}

    def spelled_out(inside: str) -> str:
        return re.sub(r"\b[A-Z]+\b", lambda match: lists.get(match[0], match[0]), inside)

    found = {}
    for match in _KERNEL.finditer(source):
        name, inside = _head(stem, source, match.end())
        found[name] = Kernel(stem, name, _parameters(stem, name, spelled_out(inside)), match[1] is not None)
    words = len(re.findall(r"\b(?:DEVICE_)?KERNEL\b", re.sub(r"^#define.*", "", source, flags=re.MULTILINE)))
    if words != len(found):
        raise ValueError(f"kernels/{stem}.cu: {words} times KERNEL, but {len(found)} kernels; one begins each line")
    return found


def _head(stem: str, source: str, at: int) -> tuple[str, str]:
    """The name of a kernel and what stands between its parentheses, behind ``__launch_bounds__(...)`` or not."""
    while True:
        match = re.compile(r"\s*(\w+)\s*\(").match(source, at)
        if not match:
            raise ValueError(f"kernels/{stem}.cu: no kernel's name behind KERNEL: {source[at : at + 40]!r}")
        at, depth = match.end(), 1
        while depth and at < len(source):
            depth += {"(": 1, ")": -1}.get(source[at], 0)
            at += 1
        if match[1] != "__launch_bounds__":
            return match[1], source[match.end() : at - 1]


@cache
def kernel(name: str) -> Kernel:
    """The kernel ``"file.name"``."""
    stem, _, function = name.partition(".")
    found = kernels(stem).get(function)
    if found is None:
        raise ValueError(f"cuda: kernels/{stem}.cu has no kernel {function!r}; it has {', '.join(kernels(stem))}")
    return found


def _parameters(stem: str, name: str, inside: str) -> tuple[Parameter, ...]:
    found = []
    for part in filter(None, (" ".join(p.split()) for p in inside.split(","))):
        match = _PARAMETER.match(part.replace("*__restrict__", "* __restrict__").replace("* ", "*"))
        if not match or (match[2] not in TYPES and match[2] not in {"real", "acc"}):
            raise ValueError(f"kernels/{stem}.cu: {name} has a parameter that a launch cannot fill: {part!r}")
        found.append(Parameter(match[4], match[2], bool(match[3]), bool(match[1])))
    return tuple(found)


def sum_type(real: "np.dtype[Any]") -> "np.dtype[Any]":
    """What ``acc`` is for that element type."""
    return np.dtype(np.float32) if real.itemsize == 2 else real


def dtype_of(name: str, real: "np.dtype[Any]") -> "np.dtype[Any]":
    """The dtype of a type as the sources spell it."""
    if name == "real":
        return real
    return sum_type(real) if name == "acc" else np.dtype(TYPES[name])


def spelled(real: "np.dtype[Any]") -> dict[str, str]:
    """What REAL and ACC are defined as."""
    words = {"float32": "float", "float64": "double", "float16": "__half", "bfloat16": "__nv_bfloat16"}
    if real.name not in words:
        raise TypeError(f"cuda: kernels are compiled for {', '.join(words)}; got {real.name}")
    return {"REAL": words[real.name], "ACC": words[sum_type(real).name]}
