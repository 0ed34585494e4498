"""Where arrays are computed: one package per device, the same module and function names in each."""

from importlib import import_module
from typing import Any

from minicnn.core.device import register


def _load_cpu() -> Any:
    return import_module("minicnn.backends.cpu")


def _load_cuda() -> Any:
    return import_module("minicnn.backends.cuda").load_cuda()


def _load_emulated() -> Any:
    return import_module("minicnn.backends.cuda").load_emulated()


register("cpu", _load_cpu)
register("cuda", _load_cuda)
register("cuda-emulated", _load_emulated)
