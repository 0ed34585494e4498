"""Mixed precision: products in half precision on a GPU, everything that sums or exponentiates in float32.

An op says what it wants in one of two ways. A Function has ``precision = "half"`` or ``"float32"``, and its inputs are
cast when it is called; a public function that looks at dtypes itself, or is a composition, has a decorator from here.
All others compute in the dtype they are given. Casts are ordinary nodes, so gradients come back in the dtype of what
was cast: weights and their gradients stay float32. Backward runs each node in the dtype that its forward had.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, Self, TypeVar

from minicnn.core import checks
from minicnn.core.device import device as find_device
from minicnn.core.dtypes import find as find_dtype
from minicnn.core.dtypes import is_float
from minicnn.core.modes import state
from minicnn.core.tensor import Tensor
from minicnn.ops.cast import cast

P = ParamSpec("P")
R = TypeVar("R")

HALVES = ("float16", "bfloat16")
_NARROW = (*HALVES, "float32")  # what is cast; float64 is left alone, as a choice of the user


class autocast:  # noqa: N801 - PyTorch's spelling
    """Compute convolutions and matrix products in half precision inside: ``with mc.autocast("cuda"): ...``.

    A context manager and a decorator. ``linear``, ``matmul``, ``einsum`` and the convolutions cast their float32 inputs
    to ``dtype``; normalisation, reductions, softmax, losses, exponentials, logarithms and powers cast theirs to
    float32; all other ops compute in the dtype of their inputs, the wider one where two differ.

    Parameters
    ----------
    device_type : str
        The device whose Tensors are cast; others are not touched.
    dtype : dtype
        float16 (the default: 11 bits of precision, up to 65504) or bfloat16 (8 bits, the range of float32, so that the
        loss needs no scaling; from the package ``ml_dtypes``).
    enabled : bool
        False: float32 again, inside a region with autocast.

    Raises
    ------
    ValueError
        On the CPU, which has no half-precision products, or for another dtype.
    ModuleNotFoundError
        For bfloat16 where ``ml_dtypes`` is not installed.

    Notes
    -----
    Only forward belongs inside; backward uses the dtypes that forward chose. Small gradients vanish in float16: scale
    the loss with :class:`minicnn.GradScaler`. Weights are cast again at every use.

    References
    ----------
    Micikevicius et al., *Mixed precision training*, ICLR 2018 (float16); Kalamkar et al., *A study of BFLOAT16 for deep
    learning training*, 2019.

    Examples
    --------
    >>> import minicnn as mc
    >>> with mc.autocast("cpu"):
    ...     pass
    Traceback (most recent call last):
    ValueError: autocast: device 'cpu' computes in float32 and float64 only; use a GPU, or enabled=False
    >>> with mc.autocast("cpu", enabled=False):
    ...     mc.ops.matmul(mc.tensor([1.0]), mc.tensor([2.0])).dtype
    dtype('float32')
    """

    def __init__(self, device_type: str, dtype: Any = None, enabled: bool = True) -> None:
        name = "float16" if dtype is None else str(getattr(dtype, "name", dtype))
        wanted: Any = name
        if enabled:
            if str(device_type) == "cpu":
                raise checks.value_error(
                    "autocast", "device 'cpu' computes in float32 and float64 only; use a GPU, or enabled=False"
                )
            if name not in HALVES:
                raise checks.value_error("autocast", f"dtype must be float16 or bfloat16, got {name}")
            wanted = find_dtype(name)
        self.device, self.dtype, self.enabled = find_device(str(device_type)), wanted, enabled
        self._previous: list[Any] = []

    def __enter__(self) -> Self:
        self._previous.append(state.autocast)
        state.autocast = self if self.enabled else None
        return self

    def __exit__(self, *exc: object) -> None:
        state.autocast = self._previous.pop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            with autocast(self.device, self.dtype, self.enabled):
                return function(*args, **kwargs)

        return wrapped

    def prepared(self, precision: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The floating Tensors of this device among the values in the precision that an op asks for."""
        dtype = self.dtype if precision == "half" else "float32"
        floats = [v for v in values if isinstance(v, Tensor) and is_float(v.data.dtype)]
        if any(v.device is not self.device or v.data.dtype.name not in _NARROW for v in floats):
            return values
        return tuple([cast(v, dtype) if isinstance(v, Tensor) and is_float(v.data.dtype) else v for v in values])


def _in(precision: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            current = state.autocast
            if current is None:
                return function(*args, **kwargs)
            found = current.prepared(precision, (*args, *kwargs.values()))
            state.autocast = None  # what it is composed of keeps this precision
            try:
                return function(*found[: len(args)], **dict(zip(kwargs, found[len(args) :], strict=True)))
            finally:
                state.autocast = current

        return call

    return decorate


in_half = _in("half")
in_float32 = _in("float32")
