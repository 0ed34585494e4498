"""Reading at indices, and its adjoint, adding at indices.

Each pair is closed: ``getitem`` / ``PutItem``, ``gather`` / ``ScatterAlong``, ``index_select`` / ``IndexAdd``,
``take`` / ``scatter_flat``. Indices are ints or bools: they are never differentiated.
"""

from math import prod
from typing import Any

from minicnn.core import checks
from minicnn.core.dtypes import is_float
from minicnn.core.function import Function, constant
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Shape
from minicnn.ops.arithmetic import Operand, where
from minicnn.ops.cast import cast
from minicnn.ops.shape import broadcast_to, reshape


class GetItem(Function):
    """Adjoint of :class:`PutItem`."""

    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: Array) -> Array:
        try:
            return x[self.index]
        except IndexError as error:  # stays an IndexError: Python's protocols stop at one
            raise IndexError(f"getitem: {error} [input.shape={x.shape}]") from None

    def backward(self, gy: Tensor) -> Tensor:
        return PutItem(self.index, self.in_shapes[0])(gy)  # type: ignore[no-any-return]


class PutItem(Function):
    """Zeros of a shape, with the input added at an index. Adjoint of :class:`GetItem`."""

    def __init__(self, index: Any, shape: Shape) -> None:
        self.index, self.shape = index, shape

    def forward(self, x: Array) -> Array:
        y = self.xp.zeros(self.shape, x.dtype)
        parts = self.index if isinstance(self.index, tuple) else (self.index,)
        if any(getattr(i, "ndim", 0) and i.dtype.kind != "b" for i in parts):  # an element may be read many times
            self.backend.indexing.add_at(y, self.index, x)
        else:
            y[self.index] = x
        return y

    def backward(self, gy: Tensor) -> Tensor:
        return GetItem(self.index)(gy)  # type: ignore[no-any-return]


def getitem(input: Tensor, index: Any) -> Tensor:
    """``input[index]``: NumPy's basic and advanced indexing.

    Parameters
    ----------
    input : Tensor
    index : int, slice, None, Ellipsis, int or bool array or Tensor, list of ints, or a tuple of these
        Ints and slices give a view, arrays a copy.

    Raises
    ------
    IndexError
        If an index is out of range.
    TypeError
        For a float index.

    Gradient
    --------
    gy added at the places that were read; a place read twice collects both. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> x[[0, 0, 2]].sum().backward()
    >>> x.grad.tolist()
    [2.0, 0.0, 1.0]
    """
    parts = tuple([_part(i, input) for i in index]) if isinstance(index, tuple) else _part(index, input)
    _check_places(parts if isinstance(parts, tuple) else (parts,), input)
    return GetItem(parts)(input)  # type: ignore[no-any-return]


def _part(index: Any, input: Tensor) -> Any:
    if index is None or index is Ellipsis or isinstance(index, int | slice):
        return index
    raw = input.device.xp.array(index.data if isinstance(index, Tensor) else index)  # a copy: it may be written to
    if not raw.size and isinstance(index, list):
        raw = raw.astype("int64")
    if raw.dtype.kind not in "iub":
        raise checks.type_error("getitem", f"indices must be ints, slices, bools or None, got {raw.dtype}")
    return raw if raw.ndim or raw.dtype.kind == "b" else int(raw)


def _check_places(parts: tuple[Any, ...], input: Tensor) -> None:
    """Raise for an index array that is out of range: not every device's arrays do, some wrap it around."""
    taken = [0 if p is None or p is Ellipsis else p.ndim if _is_mask(p) else 1 for p in parts]
    axis, left = 0, input.ndim - sum(taken)
    for part, count in zip(parts, taken, strict=True):
        if hasattr(part, "dtype") and not _is_mask(part) and part.size and left >= 0:
            size, low, high = input.shape[axis], int(part.min()), int(part.max())
            if low < -size or high >= size:
                wrong = low if low < -size else high
                message = f"index {wrong} is out of bounds for axis {axis} with size {size}"
                raise IndexError(f"getitem: {message} [input.shape={input.shape}]")
        axis += left if part is Ellipsis else count


def _is_mask(part: Any) -> bool:
    return hasattr(part, "dtype") and part.dtype.kind == "b"


class Gather(Function):
    """Adjoint of :class:`ScatterAlong`."""

    def __init__(self, dim: int, index: Array, unique: bool = False) -> None:
        self.dim, self.index, self.unique = dim, index, unique

    def forward(self, x: Array) -> Array:
        return self.xp.take_along_axis(_corner(x, self.index.shape, self.dim), self.index, self.dim)

    def backward(self, gy: Tensor) -> Tensor:
        return ScatterAlong(self.dim, self.index, self.in_shapes[0], self.unique)(gy)  # type: ignore[no-any-return]


class ScatterAlong(Function):
    """Zeros of a shape, with the input added at the indices along an axis. Adjoint of :class:`Gather`."""

    def __init__(self, dim: int, index: Array, shape: Shape, unique: bool = False) -> None:
        self.dim, self.index, self.shape, self.unique = dim, index, shape, unique

    def forward(self, x: Array) -> Array:
        if self.unique:  # no place twice (sort, max): a plain write will do
            y = self.xp.zeros(self.shape, x.dtype)
            self.xp.put_along_axis(_corner(y, self.index.shape, self.dim), self.index, x, self.dim)
            return y
        return self.backend.indexing.add_along(x, self.index, self.dim, self.shape)

    def backward(self, gy: Tensor) -> Tensor:
        return Gather(self.dim, self.index, self.unique)(gy)  # type: ignore[no-any-return]


def _corner(x: Array, shape: Shape, dim: int) -> Array:
    """The part of ``x`` that an index of this shape reaches: all of ``dim``, the beginning of other axes."""
    if all(n == m or i == dim for i, (n, m) in enumerate(zip(x.shape, shape, strict=True))):
        return x
    return x[tuple(slice(None) if i == dim else slice(n) for i, n in enumerate(shape))]


def _along(op: str, input: Tensor, dim: int, index: Tensor) -> tuple[int, Array]:
    """``dim`` and the raw index, checked."""
    dim = checks.dim(op, dim, input.ndim)
    raw = _integers(op, index, input)
    fits = raw.ndim == input.ndim and all(
        m <= n or i == dim for i, (n, m) in enumerate(zip(input.shape, raw.shape, strict=True))
    )
    if not fits:
        raise checks.value_error(op, f"index must fit the input on all axes but {dim}", input=input, index=raw)
    return dim, _in_range(op, raw, input.shape[dim] if input.ndim else 1, input)


def _integers(op: str, index: Any, input: Tensor) -> Array:
    raw = index.data if isinstance(index, Tensor) else input.device.xp.asarray(index)
    if raw.dtype.kind not in "iu" and raw.size:
        raise checks.type_error(op, "index must hold integers", index=raw)
    return raw.astype("int64")  # a copy: the caller may write to the index before backward


def _in_range(op: str, index: Array, size: int, input: Tensor, least: int = 0) -> Array:
    if index.size and not (least <= int(index.min()) and int(index.max()) < size):
        wrong = int(index.min()) if int(index.min()) < least else int(index.max())
        raise checks.value_error(op, f"index {wrong} is out of range for size {size}", input=input, index=index)
    return index


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Read along an axis: for ``dim = 1`` of a matrix, y[i, j] = input[i, index[i, j]].

    Parameters
    ----------
    input : Tensor
    dim : int
    index : integer Tensor
        As many axes as the input, none longer than the input's except ``dim``. The result has its shape.

    Raises
    ------
    ValueError
        If the shapes do not fit or an index is out of range.

    Gradient
    --------
    gy added at the places that were read. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.gather(mc.tensor([[1, 2], [3, 4]]), 1, mc.tensor([[1], [0]])).tolist()
    [[2], [3]]
    """
    axis, raw = _along("gather", input, dim, index)
    if not input.ndim:
        return Gather(0, raw.reshape(1))(reshape(input, 1)).reshape(())  # type: ignore[no-any-return]
    return Gather(axis, raw)(input)  # type: ignore[no-any-return]


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """Add along an axis: for ``dim = 1`` of a matrix, y[i, index[i, j]] += src[i, j] on a copy of the input.

    Parameters
    ----------
    input : Tensor
    dim : int
    index : integer Tensor
    src : Tensor
        At least as large as ``index`` on every axis; what lies beyond it is not used.

    Gradient
    --------
    gy to the input; to ``src`` what :func:`gather` reads from gy. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.scatter_add(mc.tensor([0, 0, 0]), 0, mc.tensor([2, 2, 0]), mc.tensor([1, 2, 3])).tolist()
    [3, 0, 3]
    """
    axis, raw = _along("scatter_add", input, dim, index)
    return input + ScatterAlong(axis, raw, input.shape)(_used("scatter_add", src, raw))  # type: ignore[no-any-return]


def _used(op: str, src: Tensor, index: Array) -> Tensor:
    if src.ndim != index.ndim or any(n < m for n, m in zip(src.shape, index.shape, strict=True)):
        raise checks.value_error(op, "src must be at least as large as index", src=src, index=index)
    return src if src.shape == index.shape else getitem(src, tuple(slice(n) for n in index.shape))


class Scatter(Function):
    def __init__(self, dim: int, index: Array) -> None:
        self.dim, self.index = dim, index

    def forward(self, x: Array, src: Array) -> Array:
        self.src_dtype = src.dtype
        y = self.xp.array(x)
        target = _corner(y, self.index.shape, self.dim)
        self.xp.put_along_axis(target, self.index, src.astype(x.dtype, copy=False), self.dim)
        return y

    def backward(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return (
            Scatter(self.dim, self.index)(gy, 0.0) if self.needs(0) else None,
            cast(Gather(self.dim, self.index)(gy), self.src_dtype) if self.needs(1) else None,
        )


def scatter(input: Tensor, dim: int, index: Tensor, src: Operand) -> Tensor:
    """Write along an axis: for ``dim = 1`` of a matrix, y[i, index[i, j]] = src[i, j] on a copy of the input.

    Parameters
    ----------
    input : Tensor
    dim : int
    index : integer Tensor
        Where a place is named twice, which value stays is not defined, and the gradient of ``src`` is wrong.
    src : Tensor or number
        A Tensor at least as large as ``index``; it is cast to the input's dtype.

    Raises
    ------
    TypeError
        For a floating ``src`` in an integer input.

    Gradient
    --------
    gy to the input, 0 at the places written; to ``src`` what :func:`gather` reads from gy. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.scatter(mc.tensor([1, 1, 1]), 0, mc.tensor([2]), 9).tolist()
    [1, 1, 9]
    """
    axis, raw = _along("scatter", input, dim, index)
    if isinstance(src, Tensor) and is_float(src.dtype) and not is_float(input.dtype):
        raise checks.type_error("scatter", "a floating src does not fit an integer input", input=input, src=src)
    return Scatter(axis, raw)(input, _used("scatter", src, raw) if isinstance(src, Tensor) else src)  # type: ignore[no-any-return]


class IndexSelect(Function):
    """Adjoint of :class:`IndexAdd`."""

    def __init__(self, dim: int, index: Array) -> None:
        self.dim, self.index = dim, index

    def forward(self, x: Array) -> Array:
        return self.xp.take(x, self.index, axis=self.dim)

    def backward(self, gy: Tensor) -> Tensor:
        return IndexAdd(self.dim, self.index, self.in_shapes[0][self.dim])(gy)  # type: ignore[no-any-return]


class IndexAdd(Function):
    """Zeros of length ``size`` on an axis, with slices of the input added. Adjoint of :class:`IndexSelect`."""

    def __init__(self, dim: int, index: Array, size: int) -> None:
        self.dim, self.index, self.size = dim, index, size

    def forward(self, x: Array) -> Array:
        return self.backend.indexing.add_slices(x, self.index, self.dim, self.size)

    def backward(self, gy: Tensor) -> Tensor:
        return IndexSelect(self.dim, self.index)(gy)  # type: ignore[no-any-return]


class EmbeddingRows(IndexSelect):
    """Rows of a table, one of which gets no gradient."""

    def __init__(self, index: Array, padding: int) -> None:
        super().__init__(0, index)
        self.padding = padding

    def backward(self, gy: Tensor) -> Tensor:
        learnt = constant((self.index != self.padding)[:, None], gy)
        return super().backward(where(learnt, gy, 0.0))


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Slices of an axis in the order listed.

    Parameters
    ----------
    input : Tensor
    dim : int
    index : integer Tensor (n,)

    Raises
    ------
    ValueError
        If an index is out of range.

    Gradient
    --------
    Slices of gy added where they came from. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.index_select(mc.tensor([[1, 2], [3, 4]]), 1, mc.tensor([1, 1])).tolist()
    [[2, 2], [4, 4]]
    """
    dim = checks.dim("index_select", dim, input.ndim)
    raw = _integers("index_select", index, input)
    checks.ndim("index_select", "index", raw, 1)
    return IndexSelect(dim, _in_range("index_select", raw, input.shape[dim], input))(input)  # type: ignore[no-any-return]


class Take(Function):
    """Adjoint of :class:`ScatterFlat`."""

    def __init__(self, index: Array) -> None:
        self.index = index

    def forward(self, x: Array) -> Array:
        return self.xp.take(x, self.index)

    def backward(self, gy: Tensor) -> Tensor:
        return ScatterFlat(self.index, self.in_shapes[0])(gy)  # type: ignore[no-any-return]


class ScatterFlat(Function):
    """Adjoint of :class:`Take`."""

    def __init__(self, index: Array, shape: Shape) -> None:
        self.index, self.shape = index, shape

    def forward(self, x: Array) -> Array:
        return self.backend.indexing.add_flat(x, self.index, prod(self.shape)).reshape(self.shape)

    def backward(self, gy: Tensor) -> Tensor:
        return Take(self.index)(gy)  # type: ignore[no-any-return]


def take(input: Tensor, index: Tensor) -> Tensor:
    """Read from the input as if it were 1-d; the result has the shape of the index.

    Parameters
    ----------
    input : Tensor
    index : integer Tensor
        0 <= index < number of elements.

    Gradient
    --------
    :func:`scatter_flat` of gy. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.take(mc.tensor([[1, 2], [3, 4]]), mc.tensor([3, 0])).tolist()
    [4, 1]
    """
    raw = _in_range("take", _integers("take", index, input), input.numel(), input)
    return Take(raw)(input)  # type: ignore[no-any-return]


def scatter_flat(input: Tensor, index: Tensor, shape: Shape) -> Tensor:
    """Zeros of a shape, with each input element added at a flat index: the adjoint of :func:`take`.

    Parameters
    ----------
    input : Tensor
    index : integer Tensor of the input's shape
    shape : tuple of int

    Gradient
    --------
    :func:`take` of gy. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.scatter_flat(mc.tensor([1, 2, 3]), mc.tensor([3, 3, 0]), (2, 2)).tolist()
    [[3, 0], [0, 3]]
    """
    raw = _in_range("scatter_flat", _integers("scatter_flat", index, input), prod(shape), input)
    if raw.shape != input.shape:
        raise checks.value_error("scatter_flat", "index must have the input's shape", input=input, index=raw)
    return ScatterFlat(raw, tuple(shape))(input)  # type: ignore[no-any-return]


def masked_fill(input: Tensor, mask: Tensor, value: Operand) -> Tensor:
    """The input with ``value`` where the mask is True.

    Parameters
    ----------
    input : Tensor
    mask : bool Tensor
        Of a shape that broadcasts with the input's.
    value : number or 0-d Tensor

    Gradient
    --------
    gy where the mask is False, 0 elsewhere. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.masked_fill(mc.tensor([1.0, 2.0]), mc.tensor([False, True]), 0.0).tolist()
    [1.0, 0.0]
    """
    return where(mask, value, input)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask is True, in row-major order, as a 1-d tensor.

    Gradient
    --------
    gy put back to its places, 0 elsewhere. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.masked_select(mc.tensor([[1, 2], [3, 4]]), mc.tensor([[True, False], [False, True]])).tolist()
    [1, 4]
    """
    xp = input.device.xp
    shape = xp.broadcast_shapes(input.shape, mask.shape)
    return getitem(broadcast_to(input, shape), Tensor(xp.broadcast_to(mask.data, shape), input.device))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Int64 rows that are 1 at the class and 0 elsewhere.

    Parameters
    ----------
    tensor : integer Tensor (...)
        0 <= class < num_classes.
    num_classes : int
        -1 means the largest class + 1.

    Returns
    -------
    Tensor (..., num_classes)

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.one_hot(mc.tensor([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    raw = _integers("one_hot", tensor, tensor)
    if num_classes == -1:
        if not raw.size:
            raise checks.value_error("one_hot", "num_classes must be given for an empty tensor", tensor=tensor)
        num_classes = int(raw.max()) + 1
    _in_range("one_hot", raw, num_classes, tensor)
    xp = tensor.device.xp
    return constant((raw[..., None] == xp.arange(num_classes)).astype("int64"), tensor)


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of a table.

    Parameters
    ----------
    input : integer Tensor (...)
        0 <= index < n.
    weight : Tensor (n, d)
    padding_idx : int, optional
        This row gets no gradient; a negative one counts from the end.

    Returns
    -------
    Tensor (..., d)

    Raises
    ------
    ValueError
        If an index or ``padding_idx`` is out of range.

    Gradient
    --------
    To each row the sum of gy over the places it was read from. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.embedding(mc.tensor([1, 1]), mc.tensor([[1, 2], [3, 4]])).tolist()
    [[3, 4], [3, 4]]
    """
    checks.ndim("embedding", "weight", weight, 2)
    count = weight.shape[0]
    raw = _in_range("embedding", _integers("embedding", input, weight), count, weight)
    flat = raw.reshape(-1)
    if padding_idx is None:
        rows = IndexSelect(0, flat)(weight)
    elif -count <= padding_idx < count:
        rows = EmbeddingRows(flat, padding_idx % count)(weight)
    else:
        raise checks.value_error("embedding", f"padding_idx {padding_idx} is out of range", weight=weight)
    return reshape(rows, (*raw.shape, weight.shape[1]))
