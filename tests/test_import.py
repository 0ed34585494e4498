"""Importing the library is cheap: no GPU, plotting or compiler code, and the names are all there afterwards."""

import subprocess
import sys

import pytest

import minicnn as mc

HEAVY = ("numba", "llvmlite", "cupy", "matplotlib", "rich", "PIL", "scipy", "torch", "minicnn.nn", "minicnn.ops.layers")


def test_importing_loads_nothing_heavy():
    code = f"import sys, minicnn; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["ops", ""])
def test_every_public_name_exists(name):
    module = getattr(mc, name) if name else mc
    for public in module.__all__:
        assert getattr(module, public) is not None


@pytest.mark.parametrize("name", ["dropout", "unfold", "cross_entropy", "conv_algorithm", "conv2d"])
def test_a_function_wins_over_a_file_of_its_name(name):
    file = "convolution" if name == "conv2d" else name
    code = f"import minicnn.ops.{file}, minicnn; print(callable(minicnn.ops.{name}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'minicnn' has no attribute 'convx'"):
        mc.convx  # noqa: B018
    with pytest.raises(AttributeError, match="module 'minicnn.ops' has no attribute 'convx'"):
        mc.ops.convx  # noqa: B018
