"""Where arrays are computed: one package per device, the same module and function names in each."""

from importlib import import_module
from typing import Any

from minicnn.core.device import register


def _load_cpu() -> Any:
    return import_module("minicnn.backends.cpu")


register("cpu", _load_cpu)
