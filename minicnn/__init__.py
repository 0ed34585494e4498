"""minicnn: a deep-learning framework from scratch, to read, to trust, to measure."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

import minicnn.backends  # noqa: F401 - registers the devices
from minicnn import ops  # gives Tensor its operators
from minicnn.core.backprop import grad
from minicnn.core.derivatives import hessian, hvp, jacobian, jvp, vjp
from minicnn.core.device import DeviceUnavailableError
from minicnn.core.device import device as _device
from minicnn.core.dtypes import bfloat16 as _bfloat16
from minicnn.core.function import Function
from minicnn.core.modes import enable_grad, is_grad_enabled, no_grad
from minicnn.core.recompute import checkpoint
from minicnn.core.rng import manual_seed
from minicnn.core.tensor import Tensor, tensor
from minicnn.creation import arange, eye, full, linspace, ones, rand, randint, randn, randperm, zeros

if TYPE_CHECKING:
    from minicnn import bench, cuda, data, explain, metrics, models, nn, optim, testing, training, vision
    from minicnn.bench.tune import use_conv_table
    from minicnn.explain.anomaly import detect_anomaly
    from minicnn.ops.autocast import autocast
    from minicnn.ops.conv_algorithm import conv_algorithm, conv_precision
    from minicnn.optim.grad_scaler import GradScaler

__version__ = "0.1.0"

_ROOMS = ("bench", "cuda", "data", "explain", "metrics", "models", "nn", "optim", "testing", "training", "vision")
_LATER = {
    "GradScaler": "minicnn.optim.grad_scaler",
    "autocast": "minicnn.ops.autocast",
    "conv_algorithm": "minicnn.ops.conv_algorithm",
    "conv_precision": "minicnn.ops.conv_algorithm",
    "detect_anomaly": "minicnn.explain.anomaly",
    "use_conv_table": "minicnn.bench.tune",
}

_DLPACK_CUDA = 2  # kDLCUDA

float16, float32, float64 = np.dtype("float16"), np.dtype("float32"), np.dtype("float64")
int32, int64, uint8, bool_ = np.dtype("int32"), np.dtype("int64"), np.dtype("uint8"), np.dtype("bool")


def set_num_threads(n: int) -> None:
    """Let BLAS, numba kernels and block-wise array operations use ``n`` threads each."""
    from minicnn.backends.cpu import threads

    threads.set_num_threads(n)


def get_num_threads() -> int:
    """How many threads one operation may use."""
    from minicnn.backends.cpu import threads

    return threads.get_num_threads()


def from_dlpack(source: Any) -> Tensor:
    """A Tensor that shares memory with any object that exports DLPack: arrays of NumPy, PyTorch, JAX, CuPy."""
    if source.__dlpack_device__()[0] == _DLPACK_CUDA:
        place = _device("cuda")
        return Tensor(place.xp.from_dlpack(source), place)
    return Tensor(np.from_dlpack(source))


def __getattr__(name: str) -> Any:
    """Load rooms when they are first touched, so that importing the library stays cheap."""
    if name == "bfloat16":
        try:
            return _bfloat16()
        except ModuleNotFoundError as error:  # so that hasattr() says no
            raise AttributeError(str(error)) from None
    if name in _ROOMS:
        return import_module(f"minicnn.{name}")
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'minicnn' has no attribute {name!r}")


__all__ = [
    "DeviceUnavailableError",
    "Function",
    "GradScaler",
    "Tensor",
    "arange",
    "autocast",
    "bench",
    "bool_",
    "checkpoint",
    "conv_algorithm",
    "conv_precision",
    "cuda",
    "data",
    "detect_anomaly",
    "enable_grad",
    "explain",
    "eye",
    "float16",
    "float32",
    "float64",
    "from_dlpack",
    "full",
    "get_num_threads",
    "grad",
    "hessian",
    "hvp",
    "int32",
    "int64",
    "is_grad_enabled",
    "jacobian",
    "jvp",
    "linspace",
    "manual_seed",
    "metrics",
    "models",
    "nn",
    "no_grad",
    "ones",
    "ops",
    "optim",
    "rand",
    "randint",
    "randn",
    "randperm",
    "set_num_threads",
    "tensor",
    "testing",
    "training",
    "uint8",
    "use_conv_table",
    "vision",
    "vjp",
    "zeros",
]
