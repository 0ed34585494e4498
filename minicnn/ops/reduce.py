"""Reductions: sum, mean, variance, products, norms, extremes, running sums.

``dim`` is an axis, several, or ``None`` for all; ``keepdim`` leaves the reduced axes in place with size 1.
"""

from math import inf
from math import prod as _product

from minicnn.core import checks
from minicnn.core.dtypes import is_float
from minicnn.core.function import Function, constant
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Ints, Shape
from minicnn.ops.arithmetic import where
from minicnn.ops.cast import cast
from minicnn.ops.comparisons import eq
from minicnn.ops.joining import cat
from minicnn.ops.rounding import abs, sign
from minicnn.ops.shape import broadcast_to, ints, movedim, reshape


class _Reduction(Function):
    """What all reductions share: the axes, and the way back from the result's shape to the input's."""

    precision = "float32"

    def __init__(self, dims: Shape | None, keepdim: bool) -> None:
        self.dims, self.keepdim = dims, keepdim

    def kept(self, y: Tensor) -> Tensor:
        """The result (or its gradient) with size 1 on the reduced axes: it broadcasts against the input."""
        if self.keepdim or self.dims is None:
            return y
        return reshape(y, tuple(1 if i in self.dims else n for i, n in enumerate(self.in_shapes[0])))

    def count(self, shape: Shape) -> int:
        """How many numbers meet in one."""
        return _product(shape) if self.dims is None else _product([shape[i] for i in self.dims])


def _axes(op: str, input: Tensor, dim: Ints | None) -> Shape | None:
    """None for all axes; PyTorch counts an empty tuple as all, too."""
    if dim is None:
        return None
    if not isinstance(dim, tuple | list):
        return (checks.dim(op, dim, input.data.ndim),) if input.data.ndim else checks.dims(op, dim, 0)
    axes = ints(dim)
    return checks.dims(op, axes, input.ndim) if axes else None


class Sum(_Reduction):
    def forward(self, x: Array) -> Array:
        if x.dtype.kind == "u":
            x = x.astype("int64")
        return self.xp.sum(x, axis=self.dims, keepdims=self.keepdim)

    def backward(self, gy: Tensor) -> Tensor:
        return broadcast_to(self.kept(gy), self.in_shapes[0])


def sum(input: Tensor, dim: Ints | None = None, keepdim: bool = False, *, dtype: object = None) -> Tensor:
    """Sum over axes; bools and integers add up as int64.

    Parameters
    ----------
    input : Tensor
    dim : int, tuple of int or None
        ``None`` sums everything.
    keepdim : bool
    dtype : dtype, optional
        Cast the input first.

    Gradient
    --------
    gy, repeated for every element of its sum. Any order.

    Notes
    -----
    Added up pairwise and in blocks of fixed size: the result does not depend on the number of threads.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.sum(mc.tensor([[1, 2], [3, 4]]), 0).tolist()
    [4, 6]
    """
    if dtype is not None:
        input = cast(input, dtype)
    return Sum(_axes("sum", input, dim), keepdim)(input)  # type: ignore[no-any-return]


class Mean(_Reduction):
    def forward(self, x: Array) -> Array:
        if not is_float(x.dtype):
            raise checks.type_error("mean", "input must be floating; cast it first", input=x)
        total = self.xp.sum(x, axis=self.dims, keepdims=self.keepdim)
        return self.xp.divide(total, float(self.count(x.shape)))

    def backward(self, gy: Tensor) -> Tensor:
        shape = self.in_shapes[0]
        return broadcast_to(self.kept(gy) * (1.0 / max(1, self.count(shape))), shape)


def mean(input: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """Arithmetic mean over axes; NaN over nothing.

    Parameters
    ----------
    input : floating Tensor
    dim : int, tuple of int or None
    keepdim : bool

    Gradient
    --------
    gy / n for each of the n elements. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.mean(mc.tensor([[1.0, 2.0], [3.0, 4.0]]), 1).tolist()
    [1.5, 3.5]
    """
    return Mean(_axes("mean", input, dim), keepdim)(input)  # type: ignore[no-any-return]


class Var(_Reduction):
    def __init__(self, dims: Shape | None, keepdim: bool, correction: float) -> None:
        super().__init__(dims, keepdim)
        self.correction = correction

    def divisor(self, shape: Shape) -> float:
        return float(max(0, self.count(shape) - self.correction))

    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        if not is_float(x.dtype):
            raise checks.type_error(self.name, "input must be floating; cast it first", input=x)
        xp = self.xp
        center = xp.divide(xp.sum(x, axis=self.dims, keepdims=True), float(self.count(x.shape)))
        d = xp.subtract(x, center)
        total = xp.sum(xp.multiply(d, d), axis=self.dims, keepdims=self.keepdim)
        return xp.divide(total, self.divisor(x.shape))

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.kept_inputs()
        return (x - mean(x, self.dims, keepdim=True)) * (self.kept(gy) * 2.0 / self.divisor(x.shape))


class Std(Var):
    def forward(self, x: Array) -> Array:
        self.keep_outputs(0)
        return self.xp.sqrt(super().forward(x))

    def backward(self, gy: Tensor) -> Tensor:
        (x,), (y,) = self.kept_inputs(), self.kept_outputs()
        scale = gy / (where(y == 0, 1.0, y) * self.divisor(x.shape))  # equal numbers: x - mean is 0, not 0/0
        return (x - mean(x, self.dims, keepdim=True)) * self.kept(scale)


def var(
    input: Tensor,
    dim: Ints | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float = 1,
) -> Tensor:
    """Variance over axes, y = sum((input - mean)**2) / (n - correction), in two passes.

    Parameters
    ----------
    input : floating Tensor
    dim : int, tuple of int or None
    unbiased : bool, optional
        PyTorch's older spelling: True for correction 1, False for correction 0.
    keepdim : bool
    correction : float
        1 estimates the variance of a population from a sample; 0 is the mean square deviation itself.

    Gradient
    --------
    2 * gy * (input - mean) / (n - correction). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.var(mc.tensor([1.0, 3.0]), correction=0).item()
    1.0
    """
    c = correction if unbiased is None else int(unbiased)
    return Var(_axes("var", input, dim), keepdim, c)(input)  # type: ignore[no-any-return]


def std(
    input: Tensor,
    dim: Ints | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float = 1,
) -> Tensor:
    """Standard deviation over axes, the square root of :func:`var` with the same arguments.

    Gradient
    --------
    gy * (input - mean) / (y * (n - correction)), 0 where y = 0. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.std(mc.tensor([1.0, 5.0]), correction=0).item()
    2.0
    """
    c = correction if unbiased is None else int(unbiased)
    return Std(_axes("std", input, dim), keepdim, c)(input)  # type: ignore[no-any-return]


class Norm(_Reduction):
    """Order p, finite and not 0."""

    def __init__(self, p: float, dims: Shape | None, keepdim: bool) -> None:
        super().__init__(dims, keepdim)
        self.p = p

    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        self.keep_outputs(0)
        xp, p = self.xp, self.p
        if p == 2:
            return xp.sqrt(xp.sum(xp.multiply(x, x), axis=self.dims, keepdims=self.keepdim))
        return xp.power(xp.sum(xp.power(xp.abs(x), p), axis=self.dims, keepdims=self.keepdim), 1.0 / p)

    def backward(self, gy: Tensor) -> Tensor:
        (x,), (y,) = self.kept_inputs(), self.kept_outputs()
        safe = where(y == 0, 1.0, y)  # all zeros: the gradient is 0
        if self.p == 2:
            return x * self.kept(gy / safe)
        size = abs(x)
        if self.p < 2:
            size = where(size == 0, 1.0, size)  # sign(x) = 0 there; keeps 0 ** negative out
        return sign(x) * size ** (self.p - 1.0) * self.kept(gy / safe ** (self.p - 1.0))


def norm(input: Tensor, p: float | str = 2, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """Vector norm over axes, y = sum(abs(input)**p) ** (1/p).

    Parameters
    ----------
    input : floating Tensor
    p : float
        2 by default ("fro" means the same); ``inf`` and ``-inf`` give the largest and smallest magnitude, 0 the
        number of non-zeros.
    dim : int, tuple of int or None
    keepdim : bool

    Gradient
    --------
    gy * sign(input) * (abs(input) / y)**(p - 1); 0 where y = 0. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.norm(mc.tensor([3.0, 4.0])).item()
    5.0
    """
    p = 2.0 if p == "fro" else float(p)
    checks.floating("norm", input=input)
    if p == inf:
        return amax(abs(input), dim, keepdim)
    if p == -inf:
        return amin(abs(input), dim, keepdim)
    if p == 0:
        return sum(input != 0, dim, keepdim, dtype=input.dtype)
    if p == 1:
        return sum(abs(input), dim, keepdim)
    return Norm(p, _axes("norm", input, dim), keepdim)(input)  # type: ignore[no-any-return]


class _Extreme(_Reduction):
    """The gradient is shared evenly by all elements that equal the extreme."""

    def reduce(self, x: Array) -> Array:
        raise NotImplementedError

    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        self.keep_outputs(0)
        if not self.count(x.shape):
            raise checks.value_error(self.name, "nothing to choose from: a reduced axis has size 0", input=x)
        return self.reduce(x)

    def backward(self, gy: Tensor) -> Tensor:
        (x,), (y,) = self.kept_inputs(), self.kept_outputs()
        hit = cast(eq(x, self.kept(y)), gy.dtype)
        return hit * (self.kept(gy) / sum(hit, self.dims, keepdim=True))


class Amax(_Extreme):
    def reduce(self, x: Array) -> Array:
        return self.xp.max(x, axis=self.dims, keepdims=self.keepdim)


class Amin(_Extreme):
    def reduce(self, x: Array) -> Array:
        return self.xp.min(x, axis=self.dims, keepdims=self.keepdim)


def amax(input: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """Largest value over axes; NaN wins.

    Raises
    ------
    ValueError
        If a reduced axis is empty.

    Gradient
    --------
    gy, split evenly among equal maxima. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([3.0, 1.0, 3.0], requires_grad=True)
    >>> mc.ops.amax(x).backward()
    >>> x.grad.tolist()
    [0.5, 0.0, 0.5]
    """
    return Amax(_axes("amax", input, dim), keepdim)(input)  # type: ignore[no-any-return]


def amin(input: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """Smallest value over axes; NaN wins.

    Raises
    ------
    ValueError
        If a reduced axis is empty.

    Gradient
    --------
    gy, split evenly among equal minima. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.amin(mc.tensor([[3.0, 1.0], [2.0, 5.0]]), 1).tolist()
    [1.0, 2.0]
    """
    return Amin(_axes("amin", input, dim), keepdim)(input)  # type: ignore[no-any-return]


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Product over one axis, or of everything; 1 over nothing. Bools and integers multiply as int64.

    Parameters
    ----------
    input : Tensor
    dim : int or None
    keepdim : bool

    Gradient
    --------
    gy times the product of all other elements, right where elements are zero too. Any order.

    Notes
    -----
    Halves are multiplied with each other, log2(n) times, so the gradient divides by nothing.

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([2.0, 0.0, 5.0], requires_grad=True)
    >>> mc.ops.prod(x).backward()
    >>> x.grad.tolist()
    [0.0, 10.0, 0.0]
    """
    if dim is None:
        y = _halved(reshape(input, -1))
        return reshape(y, (1,) * input.ndim if keepdim else ())
    axis = checks.dim("prod", dim, input.ndim)
    y = _halved(movedim(input, axis, 0) if input.ndim else reshape(input, 1))
    if not input.ndim:
        return reshape(y, ())
    return movedim(y, 0, axis) if keepdim else reshape(y, y.shape[1:])


def _halved(x: Tensor) -> Tensor:
    """The product over axis 0, which stays with size 1."""
    if x.dtype.kind in "biu":
        x = cast(x, "int64")
    n = x.shape[0]
    if n == 0:
        return constant(x.device.xp.ones((1, *x.shape[1:]), x.dtype), x)
    while n > 1:
        half = n // 2
        y = x[:half] * x[half : 2 * half]
        x = y if n % 2 == 0 else cat([y, x[2 * half :]])
        n = x.shape[0]
    return x


class Cumsum(Function):
    """Its adjoint runs from the other end."""

    precision = "float32"

    def __init__(self, dim: int, backwards: bool = False) -> None:
        self.dim, self.backwards = dim, backwards

    def forward(self, x: Array) -> Array:
        xp = self.xp
        if self.backwards:
            return xp.flip(xp.cumsum(xp.flip(x, self.dim), axis=self.dim), self.dim)
        return xp.cumsum(x, axis=self.dim)

    def backward(self, gy: Tensor) -> Tensor:
        return Cumsum(self.dim, not self.backwards)(gy)  # type: ignore[no-any-return]


def cumsum(input: Tensor, dim: int) -> Tensor:
    """Running sum along an axis: element i is the sum of elements 0 .. i. Bools and integers add up as int64.

    Gradient
    --------
    The running sum of gy from the other end. Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.cumsum(mc.tensor([1, 2, 3]), 0).tolist()
    [1, 3, 6]
    """
    if not is_float(input.dtype):
        input = cast(input, "int64")
    if not input.ndim:
        return reshape(cumsum(reshape(input, 1), dim), ())
    return Cumsum(checks.dim("cumsum", dim, input.ndim))(input)  # type: ignore[no-any-return]


def all(input: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """Whether every element is non-zero, over axes; True over nothing. No history.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.all(mc.tensor([[True, False], [True, True]]), 1).tolist()
    [False, True]
    """
    return constant(input.device.xp.all(input.data, axis=_axes("all", input, dim), keepdims=keepdim), input)


def any(input: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """Whether some element is non-zero, over axes; False over nothing. No history.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.any(mc.tensor([[True, False], [False, False]]), 1).tolist()
    [True, False]
    """
    return constant(input.device.xp.any(input.data, axis=_axes("any", input, dim), keepdims=keepdim), input)
