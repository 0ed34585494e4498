"""Which element is largest, and in what order they stand: indices without history, values with it.

Values are always read by ``Gather`` at the indices found, so their gradient goes back to exactly those elements.
"""

from typing import Any, NamedTuple

from minicnn.core import checks
from minicnn.core.function import constant
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array
from minicnn.ops.arithmetic import maximum, minimum
from minicnn.ops.indexing import Gather
from minicnn.ops.reduce import amax, amin
from minicnn.ops.shape import reshape


class ValuesIndices(NamedTuple):
    """Values and where along the axis they stood."""

    values: Tensor
    indices: Tensor


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Index of the largest element, the first of equals; NaN counts as largest. No history.

    Parameters
    ----------
    input : Tensor
    dim : int or None
        ``None``: index into the flat input.
    keepdim : bool

    Raises
    ------
    ValueError
        If there is nothing to choose from.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.argmax(mc.tensor([[1, 3, 3], [5, 2, 0]]), 1).tolist()
    [1, 0]
    """
    return _arg("argmax", input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Index of the smallest element, the first of equals; NaN counts as smallest. No history.

    Parameters
    ----------
    input : Tensor
    dim : int or None
    keepdim : bool

    Raises
    ------
    ValueError
        If there is nothing to choose from.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.argmin(mc.tensor([4, 2, 2])).item()
    1
    """
    return _arg("argmin", input, dim, keepdim)


def _arg(op: str, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    x = input.data
    if dim is not None:
        dim = checks.dim(op, dim, input.ndim)
    if not (x.size if dim is None or not input.ndim else x.shape[dim]):
        raise checks.value_error(op, "nothing to choose from: the axis has size 0", input=input)
    index = getattr(input.device.xp, op)(x, axis=dim if input.ndim else None, keepdims=keepdim)
    return constant(index, input)


def _extreme(op: str, input: Tensor, dim: int, keepdim: bool) -> ValuesIndices:
    if not input.ndim:
        checks.dim(op, dim, 0)
        return ValuesIndices(reshape(input, ()), constant(input.device.xp.zeros((), "int64"), input))
    axis = checks.dim(op, dim, input.ndim)
    index = _arg("arg" + op, input, axis, True)
    values = Gather(axis, index.data, unique=True)(input)
    if keepdim:
        return ValuesIndices(values, index)
    shape = input.shape[:axis] + input.shape[axis + 1 :]
    return ValuesIndices(reshape(values, shape), constant(index.data.reshape(shape), input))


def max(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
    """Largest element: of everything, along an axis, or of two tensors.

    Parameters
    ----------
    input : Tensor
    dim : int, Tensor or None
        ``None``: one value, as :func:`amax`. An axis: (values, indices). A Tensor: :func:`maximum` of the two.
    keepdim : bool

    Returns
    -------
    Tensor, or (values, indices) where ``dim`` is an axis

    Raises
    ------
    ValueError
        If there is nothing to choose from.

    Gradient
    --------
    With an axis, to the first maximum only; otherwise split evenly among equals. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([[1.0, 3.0, 3.0]], requires_grad=True)
    >>> values, indices = mc.ops.max(x, 1)
    >>> values.sum().backward()
    >>> indices.tolist(), x.grad.tolist()
    ([1], [[0.0, 1.0, 0.0]])
    """
    if dim is None:
        return amax(input)
    return maximum(input, dim) if isinstance(dim, Tensor) else _extreme("max", input, dim, keepdim)


def min(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
    """Smallest element: of everything, along an axis, or of two tensors; see :func:`max`.

    Gradient
    --------
    With an axis, to the first minimum only; otherwise split evenly among equals. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.min(mc.tensor([[4, 2, 2]]), 1).indices.tolist()
    [1]
    """
    if dim is None:
        return amin(input)
    return minimum(input, dim) if isinstance(dim, Tensor) else _extreme("min", input, dim, keepdim)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Indices that sort along an axis; equals keep their order (always: ``stable`` is there for PyTorch's sake).

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.argsort(mc.tensor([3, 1, 2])).tolist()
    [1, 2, 0]
    """
    if not input.ndim:
        checks.dim("argsort", dim, 0)
        return constant(input.device.xp.zeros((), "int64"), input)
    return constant(_order(input, checks.dim("argsort", dim, input.ndim), descending), input)


def _order(input: Tensor, axis: int, descending: bool) -> Array:
    xp, x = input.device.xp, input.data
    if not descending:
        return xp.argsort(x, axis=axis, kind="stable")
    backwards = xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, kind="stable"), axis)
    return x.shape[axis] - 1 - backwards  # equals keep their order this way, and NaN comes first


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> ValuesIndices:
    """Sorted values along an axis, and where they stood; equals keep their order, NaN counts as largest.

    Parameters
    ----------
    input : Tensor
    dim : int
    descending : bool
    stable : bool
        There for PyTorch's sake: sorting is always stable.

    Returns
    -------
    (values, indices)

    Gradient
    --------
    gy put back to where each value stood. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> values, indices = mc.ops.sort(mc.tensor([3, 1, 2]))
    >>> values.tolist(), indices.tolist()
    ([1, 2, 3], [1, 2, 0])
    """
    if not input.ndim:
        return ValuesIndices(reshape(input, ()), argsort(input, dim))
    axis = checks.dim("sort", dim, input.ndim)
    index = _order(input, axis, descending)
    return ValuesIndices(Gather(axis, index, unique=True)(input), constant(index, input))


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The k largest (or smallest) along an axis, best first, the first of equals before the others.

    Parameters
    ----------
    input : Tensor
    k : int
        0 <= k <= size of the axis.
    dim : int
    largest : bool
    sorted : bool
        There for PyTorch's sake: the result is always sorted.

    Returns
    -------
    (values, indices)

    Raises
    ------
    ValueError
        If k is out of range.

    Gradient
    --------
    gy put back to where each value stood, 0 to the others. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.topk(mc.tensor([3, 1, 2]), 2).values.tolist()
    [3, 2]
    """
    axis = checks.dim("topk", dim, input.ndim)
    size = input.shape[axis] if input.ndim else 1
    if not 0 <= k <= size:
        raise checks.value_error("topk", f"k {k} is out of range 0..{size}", input=input, dim=dim)
    if not input.ndim:
        return sort(input) if k else ValuesIndices(*(reshape(t, 1)[:0] for t in sort(input)))
    index = _order(input, axis, largest)[(slice(None),) * axis + (slice(k),)]
    return ValuesIndices(Gather(axis, index, unique=True)(input), constant(index, input))
