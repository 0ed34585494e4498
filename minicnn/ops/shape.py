"""Ops that only move or repeat numbers. Each is linear, and its adjoint stands in the same file:

reshape / reshape, permute / inverse permute, broadcast_to / sum_to, flip / flip, roll / roll back.
"""

from math import prod
from operator import index

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Ints, Shape


def ints(value: Ints) -> Shape:
    """One int or several, NumPy's included, as a tuple."""
    if isinstance(value, int):
        return (value,)
    single = hasattr(value, "__index__") and not getattr(value, "ndim", 0)
    return (index(value),) if single else tuple(map(index, value))  # type: ignore[arg-type]


class Reshape(Function):
    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        try:
            return x.reshape(self.shape)
        except ValueError:
            raise checks.value_error("reshape", f"{x.size} elements do not fit shape {self.shape}", input=x) from None

    def backward(self, gy: Tensor) -> Tensor:
        return reshape(gy, self.in_shapes[0])


def reshape(input: Tensor, shape: Ints) -> Tensor:
    """The same elements in row-major order under another shape; a view where the memory allows it.

    Parameters
    ----------
    input : Tensor
    shape : int or tuple of int
        At most one entry is -1 and follows from the others.

    Raises
    ------
    ValueError
        If the number of elements differs.

    Gradient
    --------
    The gradient, reshaped back. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.reshape(mc.tensor([[1, 2], [3, 4]]), (-1,)).tolist()
    [1, 2, 3, 4]
    """
    return Reshape(shape if isinstance(shape, tuple) else ints(shape))(input)  # type: ignore[no-any-return]


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge the axes from ``start_dim`` to ``end_dim`` (inclusive) into one.

    Parameters
    ----------
    input : Tensor
    start_dim, end_dim : int
        A 0-d input becomes 1-d.

    Gradient
    --------
    The gradient, reshaped back. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.flatten(mc.tensor([[[1, 2], [3, 4]]]), 1).shape
    (1, 4)
    """
    shape = input.shape
    first, last = checks.dim("flatten", start_dim, len(shape)), checks.dim("flatten", end_dim, len(shape))
    if first > last:
        raise checks.value_error("flatten", f"start_dim {start_dim} comes after end_dim {end_dim}", input=input)
    return reshape(input, (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Shape) -> Tensor:
    """Split axis ``dim`` into axes of the given sizes (one may be -1); undoes :func:`flatten`.

    Gradient
    --------
    The gradient, reshaped back. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.unflatten(mc.tensor([1, 2, 3, 4, 5, 6]), 0, (2, -1)).tolist()
    [[1, 2, 3], [4, 5, 6]]
    """
    dim = checks.dim("unflatten", dim, input.ndim)
    return reshape(input, (*input.shape[:dim], *sizes, *input.shape[dim + 1 :]))


def squeeze(input: Tensor, dim: Ints | None = None) -> Tensor:
    """Drop axes of size 1: all of them, or those named (an axis of another size stays).

    Gradient
    --------
    The gradient, reshaped back. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.squeeze(mc.tensor([[[1], [2]]])).shape
    (2,)
    """
    axes = checks.dims("squeeze", None if dim is None else ints(dim), input.ndim)
    return reshape(input, tuple(n for i, n in enumerate(input.shape) if n != 1 or i not in axes))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """Insert an axis of size 1 so that it stands at ``dim``.

    Gradient
    --------
    The gradient, reshaped back. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.unsqueeze(mc.tensor([1, 2]), -1).shape
    (2, 1)
    """
    dim = checks.dim("unsqueeze", dim, input.ndim + 1)
    return reshape(input, (*input.shape[:dim], 1, *input.shape[dim:]))


class Permute(Function):
    def __init__(self, dims: Shape) -> None:
        self.dims = dims

    def forward(self, x: Array) -> Array:
        return x.transpose(self.dims)

    def backward(self, gy: Tensor) -> Tensor:
        inverse = [0] * len(self.dims)
        for position, axis in enumerate(self.dims):
            inverse[axis] = position
        return Permute(tuple(inverse))(gy)  # type: ignore[no-any-return]


def permute(input: Tensor, dims: Ints) -> Tensor:
    """Reorder the axes: axis ``i`` of the result is axis ``dims[i]`` of the input. A view.

    Parameters
    ----------
    input : Tensor
    dims : tuple of int
        Each axis once.

    Gradient
    --------
    The gradient with the axes put back. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.permute(mc.tensor([[[1, 2, 3]]]), (2, 0, 1)).shape
    (3, 1, 1)
    """
    axes = checks.dims("permute", ints(dims), input.ndim)
    if len(axes) != input.ndim:
        raise checks.value_error("permute", f"dims {dims} must name each axis once", input=input)
    return Permute(axes)(input)  # type: ignore[no-any-return]


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Swap two axes. A view.

    Gradient
    --------
    The gradient with the axes swapped back. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.transpose(mc.tensor([[1, 2], [3, 4]]), 0, 1).tolist()
    [[1, 3], [2, 4]]
    """
    ndim = input.data.ndim
    axes = list(range(ndim))
    dim0, dim1 = checks.dim("transpose", dim0, ndim), checks.dim("transpose", dim1, ndim)
    if ndim:
        axes[dim0], axes[dim1] = dim1, dim0
    return Permute(tuple(axes))(input)  # type: ignore[no-any-return]


def movedim(input: Tensor, source: Ints, destination: Ints) -> Tensor:
    """Move axes to new places; the others keep their order. A view.

    Gradient
    --------
    The gradient with the axes put back. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.movedim(mc.tensor([[[1, 2, 3]]]), -1, 0).shape
    (3, 1, 1)
    """
    sources = checks.dims("movedim", ints(source), input.ndim)
    targets = checks.dims("movedim", ints(destination), input.ndim)
    if len(sources) != len(targets):
        raise checks.value_error("movedim", f"source {source} and destination {destination} differ in length")
    axes = [axis for axis in range(input.ndim) if axis not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        axes.insert(target, axis)
    return Permute(tuple(axes))(input)  # type: ignore[no-any-return]


moveaxis = movedim


class BroadcastTo(Function):
    """Adjoint of :class:`SumTo`."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        try:
            return self.xp.broadcast_to(x, self.shape)
        except ValueError:
            raise checks.value_error("broadcast_to", f"{x.shape} does not broadcast to {self.shape}", input=x) from None

    def backward(self, gy: Tensor) -> Tensor:
        return sum_to(gy, self.in_shapes[0])


class SumTo(Function):
    """Adjoint of :class:`BroadcastTo`."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        lead = x.ndim - len(self.shape)
        fits = lead >= 0 and all(n in (1, m) for n, m in zip(self.shape, x.shape[lead:], strict=True))
        if not fits:
            raise checks.value_error("sum_to", f"{self.shape} does not broadcast to the input's shape", input=x)
        kept = x.shape[lead:]
        axes = (*range(lead), *(lead + i for i, n in enumerate(self.shape) if n == 1 and kept[i] != 1))
        return self.xp.sum(x, axis=axes).reshape(self.shape)

    def backward(self, gy: Tensor) -> Tensor:
        return broadcast_to(gy, self.in_shapes[0])


def broadcast_to(input: Tensor, shape: Ints) -> Tensor:
    """Repeat the input along new leading axes and along axes of size 1. A view: nothing is copied.

    Parameters
    ----------
    input : Tensor
    shape : tuple of int

    Raises
    ------
    ValueError
        If the input's shape does not broadcast to it.

    Gradient
    --------
    :func:`sum_to` of the gradient: a number used many times collects all of their gradients. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.broadcast_to(mc.tensor([[1], [2]]), (2, 3)).tolist()
    [[1, 1, 1], [2, 2, 2]]
    """
    target = ints(shape)
    return input if input.shape == target else BroadcastTo(target)(input)


def expand(input: Tensor, sizes: Ints) -> Tensor:
    """:func:`broadcast_to`, where -1 keeps the size that an axis has.

    Gradient
    --------
    :func:`sum_to` of the gradient. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.expand(mc.tensor([[1], [2]]), (-1, 2)).tolist()
    [[1, 1], [2, 2]]
    """
    target = ints(sizes)
    lead = len(target) - input.ndim
    if lead < 0 or -1 in target[:lead]:
        raise checks.value_error("expand", f"sizes {target} do not fit", input=input)
    return broadcast_to(input, tuple(input.shape[i - lead] if n == -1 else n for i, n in enumerate(target)))


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """:func:`broadcast_to` the shape of ``other``."""
    return broadcast_to(input, other.shape)


def sum_to(input: Tensor, shape: Ints) -> Tensor:
    """Sum over the axes along which ``shape`` would broadcast to the input's shape.

    Parameters
    ----------
    input : Tensor
    shape : tuple of int

    Gradient
    --------
    :func:`broadcast_to` of the gradient. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.sum_to(mc.tensor([[1, 2], [3, 4]]), (2, 1)).tolist()
    [[3], [7]]
    """
    target = ints(shape)
    return input if input.shape == target else SumTo(target)(input)


class Flip(Function):
    """Its own adjoint."""

    def __init__(self, dims: Shape) -> None:
        self.dims = dims

    def forward(self, x: Array) -> Array:
        return self.xp.flip(x, self.dims)

    def backward(self, gy: Tensor) -> Tensor:
        return Flip(self.dims)(gy)  # type: ignore[no-any-return]


def flip(input: Tensor, dims: Ints) -> Tensor:
    """Reverse the order along the given axes.

    Gradient
    --------
    The gradient, flipped. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.flip(mc.tensor([[1, 2], [3, 4]]), (1,)).tolist()
    [[2, 1], [4, 3]]
    """
    return Flip(checks.dims("flip", ints(dims), input.ndim))(input)  # type: ignore[no-any-return]


class Roll(Function):
    """Its adjoint rolls back."""

    def __init__(self, shifts: Shape, dims: Shape) -> None:
        self.shifts, self.dims = shifts, dims

    def forward(self, x: Array) -> Array:
        return self.xp.roll(x, self.shifts, self.dims)

    def backward(self, gy: Tensor) -> Tensor:
        return Roll(tuple(-s for s in self.shifts), self.dims)(gy)  # type: ignore[no-any-return]


def roll(input: Tensor, shifts: Ints, dims: Ints | None = None) -> Tensor:
    """Shift along axes; what leaves at the end comes in at the beginning. Without ``dims``: of the flat input.

    Gradient
    --------
    The gradient, rolled back. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.roll(mc.tensor([1, 2, 3]), 1).tolist()
    [3, 1, 2]
    """
    if dims is None:
        return reshape(roll(reshape(input, -1), shifts, 0), input.shape)
    amounts, axes = ints(shifts), ints(dims)
    if len(amounts) != len(axes):
        raise checks.value_error("roll", f"shifts {shifts} and dims {dims} differ in length", input=input)
    return Roll(amounts, tuple(checks.dim("roll", d, input.ndim) for d in axes))(input)  # type: ignore[no-any-return]


def tile(input: Tensor, dims: Ints) -> Tensor:
    """Lay copies of the input side by side, ``dims[i]`` of them along axis ``i`` (missing leading axes count 1).

    Gradient
    --------
    The sum over all copies. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.tile(mc.tensor([1, 2]), (2, 2)).tolist()
    [[1, 2, 1, 2], [1, 2, 1, 2]]
    """
    times = ints(dims)
    times = (1,) * (input.ndim - len(times)) + times
    shape = (1,) * (len(times) - input.ndim) + input.shape
    apart = tuple(n for size in shape for n in (1, size))
    copies = tuple(n for pair in zip(times, shape, strict=True) for n in pair)
    return reshape(broadcast_to(reshape(input, apart), copies), [t * n for t, n in zip(times, shape, strict=True)])


def repeat(input: Tensor, sizes: Ints) -> Tensor:
    """PyTorch's ``Tensor.repeat``: :func:`tile` with at least one entry per axis.

    Gradient
    --------
    The sum over all copies. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.repeat(mc.tensor([1, 2]), (2, 1)).tolist()
    [[1, 2], [1, 2]]
    """
    times = ints(sizes)
    if len(times) < input.ndim:
        raise checks.value_error("repeat", f"sizes {times} have fewer entries than the input has axes", input=input)
    return tile(input, times)


def repeat_interleave(input: Tensor, repeats: int, dim: int | None = None) -> Tensor:
    """Repeat every element ``repeats`` times in a row along ``dim`` (of the flat input without it).

    Gradient
    --------
    The sum over the copies. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.repeat_interleave(mc.tensor([1, 2]), 2).tolist()
    [1, 1, 2, 2]
    """
    x = reshape(input, -1) if dim is None else input
    dim = checks.dim("repeat_interleave", 0 if dim is None else dim, x.ndim)
    before, size, after = x.shape[:dim], x.shape[dim], x.shape[dim + 1 :]
    copies = broadcast_to(reshape(x, (*before, size, 1, *after)), (*before, size, repeats, *after))
    return reshape(copies, (*before, size * repeats, *after))
