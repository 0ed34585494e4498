"""Softmax, its logarithm and log-sum-exp: the maximum is subtracted first, so that no exponential overflows."""

from minicnn.core import checks
from minicnn.core.function import Function
from minicnn.core.promotion import real
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Ints, Shape
from minicnn.ops.arithmetic import where
from minicnn.ops.elementwise import exp
from minicnn.ops.reduce import sum
from minicnn.ops.shape import reshape


class Softmax(Function):
    precision = "float32"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Array) -> Array:
        self.keep_outputs(0)
        x = real(x)
        if not x.size:
            return x
        return self.backend.softmax.softmax(x, self.dim)

    def backward(self, gy: Tensor) -> Tensor:
        (y,) = self.kept_outputs()
        return SoftmaxGrad(self.dim)(gy, y)  # type: ignore[no-any-return]


class SoftmaxGrad(Function):
    """y * (gy - sum(gy * y)): linear in gy, quadratic in y."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, gy: Array, y: Array) -> Array:
        self.keep_inputs(0, 1)
        return self.backend.softmax.softmax_grad(gy, y, self.dim) if y.size else self.xp.empty_like(y)

    def backward(self, ggx: Tensor) -> tuple[Tensor | None, Tensor | None]:
        gy, y = self.kept_inputs()
        by_y = None
        if self.needs(1):
            through = sum(gy * y, self.dim, keepdim=True)
            by_y = ggx * (gy - through) - gy * sum(ggx * y, self.dim, keepdim=True)
        return SoftmaxGrad(self.dim)(ggx, y) if self.needs(0) else None, by_y


def softmax(input: Tensor, dim: int) -> Tensor:
    """Y = exp(input) / sum(exp(input)) along ``dim``.

    Parameters
    ----------
    input : Tensor
        A slice that is minus infinity throughout gives NaN.
    dim : int

    Gradient
    --------
    y * (gy - sum(gy * y)). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.softmax(mc.tensor([0.0, 10000.0]), 0).tolist()
    [0.0, 1.0]
    """
    if not input.ndim:
        return reshape(softmax(reshape(input, 1), dim), ())
    return Softmax(checks.dim("softmax", dim, input.ndim))(input)  # type: ignore[no-any-return]


def softmin(input: Tensor, dim: int) -> Tensor:
    """:func:`softmax` of -input.

    Gradient
    --------
    y * (sum(gy * y) - gy). Any order.
    """
    return softmax(-input, dim)


class LogSoftmax(Function):
    precision = "float32"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Array) -> Array:
        self.keep_outputs(0)
        if not x.size:
            return real(x)
        xp, x = self.xp, real(x)
        y = xp.subtract(x, xp.max(x, axis=self.dim, keepdims=True))
        return xp.subtract(y, xp.log(xp.sum(xp.exp(y), axis=self.dim, keepdims=True)), out=y)

    def backward(self, gy: Tensor) -> Tensor:
        (y,) = self.kept_outputs()
        return gy - exp(y) * sum(gy, self.dim, keepdim=True)


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """Y = input - log(sum(exp(input))) along ``dim``: finite where the logarithm of :func:`softmax` would not be.

    Parameters
    ----------
    input : Tensor
    dim : int

    Gradient
    --------
    gy - exp(y) * sum(gy). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.log_softmax(mc.tensor([0.0, 10000.0]), 0).tolist()
    [-10000.0, 0.0]
    """
    if not input.ndim:
        return reshape(log_softmax(reshape(input, 1), dim), ())
    return LogSoftmax(checks.dim("log_softmax", dim, input.ndim))(input)  # type: ignore[no-any-return]


class Logsumexp(Function):
    precision = "float32"

    def __init__(self, dims: Shape, keepdim: bool) -> None:
        self.dims, self.keepdim = dims, keepdim

    def forward(self, x: Array) -> Array:
        self.keep_inputs(0)
        self.keep_outputs(0)
        xp, x = self.xp, real(x)
        if x.size:
            top = xp.max(x, axis=self.dims, keepdims=True)
            top = xp.where(xp.isinf(top), top.dtype.type(0), top)
            y = xp.add(xp.log(xp.sum(xp.exp(xp.subtract(x, top)), axis=self.dims, keepdims=True)), top)
        else:
            y = xp.full([1 if i in self.dims else n for i, n in enumerate(x.shape)], float("-inf"), x.dtype)
        return y if self.keepdim else y.reshape([n for i, n in enumerate(x.shape) if i not in self.dims])

    def backward(self, gy: Tensor) -> Tensor:
        (x,), (y,) = self.kept_inputs(), self.kept_outputs()
        y = where(y == float("-inf"), 0.0, y)  # a slice of -inf: exp(-inf - -inf) would be NaN
        kept = [1 if i in self.dims else n for i, n in enumerate(x.shape)]
        return reshape(gy, kept) * exp(x - reshape(y, kept))


def logsumexp(input: Tensor, dim: Ints, keepdim: bool = False) -> Tensor:
    """Y = log(sum(exp(input))) over ``dim``.

    Parameters
    ----------
    input : Tensor
    dim : int or tuple of int
    keepdim : bool
        Leave the reduced axes in place with size 1.

    Gradient
    --------
    gy * exp(input - y), which is gy * softmax(input). Any order.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.ops.logsumexp(mc.tensor([10000.0, 10000.0]), 0)
    tensor(10000.693)
    """
    dims = checks.dims("logsumexp", tuple(dim) if isinstance(dim, list) else dim, input.ndim)
    return Logsumexp(dims, keepdim)(input)  # type: ignore[no-any-return]
