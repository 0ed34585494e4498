"""Changing dtype or device, copying, and bringing a gradient back to the shape and dtype of its operand."""

from typing import Any

from minicnn.core.device import Device
from minicnn.core.device import device as find_device
from minicnn.core.dtypes import find as find_dtype
from minicnn.core.dtypes import is_name
from minicnn.core.function import Function, constant
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Shape
from minicnn.ops.shape import sum_to


class Cast(Function):
    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def forward(self, x: Array) -> Array:
        self.input_dtype = x.dtype
        return x.astype(self.dtype)

    def backward(self, gy: Tensor) -> Tensor:
        return cast(gy, self.input_dtype)


def cast(input: Tensor, dtype: Any) -> Tensor:
    """The same values in another dtype; the input itself where it has that dtype already.

    Parameters
    ----------
    input : Tensor
    dtype : dtype
        As NumPy or minicnn names it: ``mc.float64``, ``"int64"``, ``bool``, ``"bfloat16"``.

    Gradient
    --------
    The gradient, cast back. Between floating dtypes, any order; a cast to integers or bools ends the graph.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.cast(mc.tensor([1.7, -1.7]), mc.int64).tolist()
    [1, -1]
    """
    wanted = find_dtype(dtype)
    return input if input.data.dtype == wanted else Cast(wanted)(input)


class Clone(Function):
    def forward(self, x: Array) -> Array:
        return self.xp.array(x)

    def backward(self, gy: Tensor) -> Tensor:
        return gy


def clone(input: Tensor) -> Tensor:
    """A copy in memory of its own.

    Gradient
    --------
    The gradient itself. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([1.0])
    >>> y = mc.ops.clone(x)
    >>> y.fill_(5.0).item(), x.item()
    (5.0, 1.0)
    """
    return Clone()(input)  # type: ignore[no-any-return]


class ToDevice(Function):
    """A copy on another device; the gradient travels back."""

    def __init__(self, target: Device) -> None:
        self.target = target

    def forward(self, x: Array) -> Array:
        return self.target.xp.array(Tensor(x, self.device).numpy())

    def backward(self, gy: Tensor) -> Tensor:
        return to(gy, self.device)


def to(input: Tensor, *args: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """The same values in another dtype, on another device, or both; the input itself where nothing changes.

    Parameters
    ----------
    input : Tensor
    *args
        In any order a device (a str), a dtype or its name, or a Tensor whose device and dtype are taken.
    dtype : dtype, optional
    device : str, optional

    Raises
    ------
    ValueError
        If no backend registered the device.

    Gradient
    --------
    The gradient, cast and moved back. Between floating dtypes, any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.to(mc.tensor([1.7]), "cpu", mc.int64).tolist()
    [1]
    """
    for value in args:
        if isinstance(value, Tensor):
            dtype, device = value.dtype, value.device
        elif isinstance(value, str) and not is_name(value):
            device = value
        else:
            dtype = value
    if dtype is not None:
        input = cast(input, dtype)
    target = input.device if device is None else find_device(device)
    if target is input.device:
        return input
    moved: Tensor = ToDevice(target)(input)
    moved.device = target  # a node's outputs stand on its inputs' device; this one's do not
    return moved


def cpu(input: Tensor) -> Tensor:
    """The tensor in the host's memory: :func:`to` with device "cpu".

    Gradient
    --------
    The gradient, moved back. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.cpu(mc.tensor([1.0])).device
    device('cpu')
    """
    return to(input, "cpu")


def contiguous(input: Tensor) -> Tensor:
    """The input where its memory is in row-major order, else a :func:`clone` that is.

    Gradient
    --------
    The gradient itself. Any order.
    """
    return input if input.data.flags.c_contiguous else Clone()(input)


def zeros_like(input: Tensor) -> Tensor:
    """Zeros of the input's shape, dtype and device, without history.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.zeros_like(mc.tensor([1, 2])).tolist()
    [0, 0]
    """
    return constant(input.device.xp.zeros(input.shape, input.dtype), input)


def ones_like(input: Tensor) -> Tensor:
    """Ones of the input's shape, dtype and device, without history.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.ones_like(mc.tensor([1, 2])).tolist()
    [1, 1]
    """
    return constant(input.device.xp.ones(input.shape, input.dtype), input)


def full_like(input: Tensor, fill_value: float) -> Tensor:
    """One number everywhere, in the input's shape, dtype and device, without history.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.full_like(mc.tensor([1, 2]), 7).tolist()
    [7, 7]
    """
    return constant(input.device.xp.full(input.shape, fill_value, input.dtype), input)


def fit(gradient: Tensor, shape: Shape, dtype: Any) -> Tensor:
    """The gradient of an operand that was broadcast or promoted: summed to its shape, cast to its dtype."""
    if gradient.data.shape != shape:
        gradient = sum_to(gradient, shape)
    return gradient if gradient.data.dtype == dtype else Cast(dtype)(gradient)
