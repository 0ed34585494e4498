"""Joining, splitting and padding. Cut and glue are adjoint: the gradient of one is the other."""

from collections.abc import Sequence
from operator import index
from typing import Any

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.promotion import result_type
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Ints, Shape
from minicnn.ops.cast import cast
from minicnn.ops.indexing import getitem, index_select
from minicnn.ops.shape import ints, reshape, unsqueeze


class Cat(Function):
    """Adjoint of :class:`Split`."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, *arrays: Array) -> Array:
        try:
            return self.xp.concatenate(arrays, axis=self.dim)
        except ValueError:
            shapes = [x.shape for x in arrays]
            raise checks.value_error("cat", f"shapes {shapes} differ outside dim {self.dim}") from None

    def backward(self, gy: Tensor) -> tuple[Tensor, ...]:
        return Split(tuple(shape[self.dim] for shape in self.in_shapes), self.dim)(gy)  # type: ignore[no-any-return]


class Split(Function):
    """Adjoint of :class:`Cat`; the parts are views."""

    def __init__(self, sizes: Shape, dim: int) -> None:
        self.sizes, self.dim = sizes, dim

    def forward(self, x: Array) -> tuple[Array, ...]:
        self.dtype = x.dtype
        parts, start, front = [], 0, (slice(None),) * self.dim
        for size in self.sizes:
            parts.append(x[(*front, slice(start, start + size))])
            start += size
        return tuple(parts)

    def backward(self, *gys: Tensor | None) -> Tensor:
        parts = []
        for gy, shape in zip(gys, self.out_shapes, strict=True):
            parts.append(Tensor(self.xp.zeros(shape, self.dtype), self.device) if gy is None else gy)
        return Cat(self.dim)(*parts)  # type: ignore[no-any-return]


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors along an axis; they agree in all other sizes. (PyTorch's legacy empty 1-d tensors are skipped.)

    Parameters
    ----------
    tensors : sequence of Tensor
        At least one; different dtypes meet in their common one.
    dim : int

    Raises
    ------
    ValueError
        For an empty sequence, or shapes that do not fit.

    Gradient
    --------
    To each tensor its slice of gy. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.cat([mc.tensor([[1], [2]]), mc.tensor([[3, 4], [5, 6]])], 1).tolist()
    [[1, 3, 4], [2, 5, 6]]
    """
    parts = alike("cat", tensors)
    if len({t.ndim for t in parts}) > 1:
        parts = [t for t in parts if t.shape != (0,)]
    if not parts[0].ndim:
        raise checks.value_error("cat", "0-d tensors cannot be joined; use stack")
    return Cat(checks.dim("cat", dim, parts[0].ndim))(*parts)  # type: ignore[no-any-return]


concat = concatenate = cat


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis.

    Raises
    ------
    ValueError
        For an empty sequence, or different shapes.

    Gradient
    --------
    To each tensor its slice of gy. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.stack([mc.tensor([1, 2]), mc.tensor([3, 4])], 1).tolist()
    [[1, 3], [2, 4]]
    """
    parts = alike("stack", tensors)
    shapes = [t.shape for t in parts]
    if any(shape != shapes[0] for shape in shapes):
        raise checks.value_error("stack", f"shapes {shapes} must be equal")
    dim = checks.dim("stack", dim, len(shapes[0]) + 1)
    return Cat(dim)(*[unsqueeze(t, dim) for t in parts])  # type: ignore[no-any-return]


def alike(op: str, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors in one dtype."""
    parts = list(tensors)
    if not parts:
        raise checks.value_error(op, "expected at least one tensor, got an empty sequence")
    dtype = parts[0].dtype
    if any(t.dtype != dtype for t in parts):
        widest = parts[0].data
        for t in parts[1:]:
            dtype = result_type(widest, t.data)
            widest = widest if widest.dtype == dtype else t.data if t.dtype == dtype else t.data.astype(dtype)
        parts = [cast(t, dtype) for t in parts]
    return parts


def split(tensor: Tensor, split_size_or_sections: Ints, dim: int = 0) -> tuple[Tensor, ...]:
    """Cut along an axis into parts of one size (the last may be smaller), or of the sizes listed. Views.

    Raises
    ------
    ValueError
        If the listed sizes do not add up to the axis.

    Gradient
    --------
    The parts' gradients joined; zeros for a part that was not used. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> [part.tolist() for part in mc.ops.split(mc.tensor([1, 2, 3, 4, 5]), 2)]
    [[1, 2], [3, 4], [5]]
    """
    dim = checks.dim("split", dim, tensor.ndim)
    length = tensor.shape[dim]
    if hasattr(split_size_or_sections, "__index__") and not getattr(split_size_or_sections, "ndim", 0):
        size = index(split_size_or_sections)
        if size <= 0:
            raise checks.value_error("split", f"split size must be positive, got {size}", tensor=tensor)
        sizes = [min(size, length - start) for start in range(0, length, size)] or [0]
    else:
        sizes = list(ints(split_size_or_sections))
        if sum(sizes) != length:
            raise checks.value_error("split", f"sections {sizes} do not add up to {length}", tensor=tensor, dim=dim)
    parts = Split(tuple(sizes), dim)(tensor)
    return parts if isinstance(parts, tuple) else (parts,)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Cut along an axis into at most ``chunks`` parts of equal size (the last may be smaller). Views.

    Gradient
    --------
    The parts' gradients joined. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> [part.tolist() for part in mc.ops.chunk(mc.tensor([1, 2, 3, 4, 5]), 2)]
    [[1, 2, 3], [4, 5]]
    """
    if chunks <= 0:
        raise checks.value_error("chunk", f"chunks must be positive, got {chunks}", input=input)
    length = input.shape[checks.dim("chunk", dim, input.ndim)]
    return split(input, max(1, -(-length // chunks)), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis, without that axis; undoes :func:`stack`.

    Gradient
    --------
    The slices' gradients stacked. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> [row.tolist() for row in mc.ops.unbind(mc.tensor([[1, 2], [3, 4]]))]
    [[1, 2], [3, 4]]
    """
    dim = checks.dim("unbind", dim, input.ndim)
    if not input.shape[dim]:
        return ()
    shape = input.shape[:dim] + input.shape[dim + 1 :]
    return tuple(reshape(part, shape) for part in split(input, 1, dim))


class Pad(Function):
    """Constant padding of whole axes; its adjoint cuts the padding off."""

    def __init__(self, widths: tuple[tuple[int, int], ...], value: float) -> None:
        self.widths, self.value = widths, value

    def forward(self, x: Array) -> Array:
        shape = [n + before + after for n, (before, after) in zip(x.shape, self.widths, strict=True)]
        y = self.xp.full(shape, self.value, x.dtype) if self.value else self.xp.zeros(shape, x.dtype)
        y[tuple(slice(b, b + n) for n, (b, _) in zip(x.shape, self.widths, strict=True))] = x
        return y

    def backward(self, gy: Tensor) -> Tensor:
        inner = zip(self.in_shapes[0], self.widths, strict=True)
        return getitem(gy, tuple(slice(before, before + n) for n, (before, _) in inner))


def pad(input: Tensor, pad: Ints, mode: str = "constant", value: float = 0.0) -> Tensor:
    """Enlarge the last axes.

    Parameters
    ----------
    input : Tensor
    pad : tuple of int
        (left, right, top, bottom, ...): two numbers for the last axis, two for the one before, and so on. Negative
        numbers cut off ("constant" only).
    mode : "constant", "reflect", "replicate" or "circular"
        Filled with ``value``; mirrored without repeating the edge; with the edge repeated; from the other end.
    value : float

    Raises
    ------
    ValueError
        For an odd or too long ``pad``, an unknown mode, or more reflection than there is input.

    Gradient
    --------
    gy without the padding; other modes add the gradient of each copy to its original. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.pad(mc.tensor([1, 2, 3]), (1, 2)).tolist()
    [0, 1, 2, 3, 0, 0]
    >>> mc.ops.pad(mc.tensor([1, 2, 3]), (2, 2), mode="reflect").tolist()
    [3, 2, 1, 2, 3, 2, 1]
    """
    amounts = ints(pad)
    if len(amounts) % 2 or len(amounts) > 2 * input.ndim:
        raise checks.value_error(
            "pad", f"pad {amounts} must hold a pair of ints for each of the last axes", input=input
        )
    count = len(amounts) // 2
    pairs = [(amounts[2 * i], amounts[2 * i + 1]) for i in reversed(range(count))]
    widths = [(0, 0)] * (input.ndim - count) + pairs
    if mode != "constant":
        for dim, (before, after) in enumerate(widths):
            if before or after:
                source = _source(mode, input, dim, before, after)
                input = index_select(input, dim, source)
        return input
    if min(amounts, default=0) < 0:
        cut = [slice(max(0, -b), n - max(0, -a)) for n, (b, a) in zip(input.shape, widths, strict=True)]
        for n, s in zip(input.shape, cut, strict=True):
            if s.start > n or s.stop < s.start:
                raise checks.value_error("pad", f"pad {amounts} cuts off more than there is", input=input)
        input = getitem(input, tuple(cut))
        widths = [(max(0, b), max(0, a)) for b, a in widths]
    if not any(b or a for b, a in widths):
        return input
    return Pad(tuple(widths), value)(input)  # type: ignore[no-any-return]


def _source(mode: str, input: Tensor, dim: int, before: int, after: int) -> Tensor:
    """For each place of the padded axis, the place of the original it copies."""
    n = input.shape[dim]
    xp: Any = input.device.xp
    place = xp.arange(-before, n + after)
    limit = {"reflect": n - 1, "replicate": None, "circular": n}.get(mode, -1)
    if limit == -1 and mode != "reflect":
        raise checks.value_error("pad", f"mode must be constant, reflect, replicate or circular, got {mode!r}")
    if not n or min(before, after) < 0 or (limit is not None and max(before, after) > limit):
        raise checks.value_error(
            "pad", f"mode {mode!r} cannot pad dim {dim} of size {n} by {(before, after)}", input=input
        )
    if mode == "reflect":
        place = xp.where(place < 0, -place, xp.where(place >= n, 2 * (n - 1) - place, place))
    elif mode == "replicate":
        place = xp.clip(place, 0, n - 1)
    else:
        place = place % n
    return Tensor(place, input.device)
