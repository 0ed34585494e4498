"""Replacing a C function that one module of CuPy exports to others.

Cython keeps such functions in ``module.__pyx_capi__``: capsules of an address, each with its signature for a name. A
module that is imported later takes the address out of the capsule that it finds there.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

_TYPES: dict[str, Any] = {
    "int": ctypes.c_int, "unsigned int": ctypes.c_uint, "size_t": ctypes.c_size_t, "intptr_t": ctypes.c_ssize_t,
    "float": ctypes.c_float, "PyObject *": ctypes.py_object,
}  # fmt: skip
_KEPT: list[Any] = []  # addresses are not owned by those who took them

_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
_name = ctypes.pythonapi.PyCapsule_GetName
_name.restype, _name.argtypes = ctypes.c_char_p, [ctypes.py_object]


def replace(module: ModuleType, name: str, function: Callable[..., Any]) -> None:
    """Make ``function`` what other modules, compiled or not, call as ``module.name``."""
    signature = _name(module.__pyx_capi__[name])
    matched = re.fullmatch(r"(.*?) ?\((.*)\)", signature.decode())
    assert matched, signature
    words = [word.strip() for word in matched[2].split(",") if word.strip() != "void"]
    own = sum("__pyx_" not in word for word in words)  # behind the arguments: whether to look for an override, options
    types = [_TYPES[word] for word in words[:own]]
    types += [ctypes.c_void_p if "*" in word else ctypes.c_int for word in words[own:]]
    text = ctypes.create_string_buffer(signature)
    pointer = ctypes.PYFUNCTYPE(_TYPES[matched[1]], *types)(lambda *args: function(*args[:own]))
    _KEPT.extend((text, pointer, module.__pyx_capi__[name]))
    module.__pyx_capi__[name] = _new(ctypes.cast(pointer, ctypes.c_void_p), ctypes.addressof(text), None)
    setattr(module, name, function)
