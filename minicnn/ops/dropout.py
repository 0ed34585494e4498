"""Dropout: random zeros in training, from the counter-based generator's stream "dropout"."""

from minicnn.core import checks, rng
from minicnn.core.function import Function
from minicnn.core.tensor import Tensor
from minicnn.core.types import Array, Shape


class MaskedScale(Function):
    """x * scale where the mask is set, x * 0 elsewhere; linear, and its own adjoint."""

    def __init__(self, mask: Array, scale: float) -> None:
        self.mask, self.scale = mask, scale  # a declared constant: bits that depend on no input

    def forward(self, x: Array) -> Array:
        return self.backend.random.masked_scale(x, self.mask, self.scale)

    def backward(self, gy: Tensor) -> Tensor:
        return MaskedScale(self.mask, self.scale)(gy)  # type: ignore[no-any-return]


def _drop(op: str, input: Tensor, drawn: Shape, p: float, training: bool, convention: str) -> Tensor:
    """Dropout with one random bit for each entry of shape `drawn`, which broadcasts to the input's."""
    checks.floating(op, input=input)
    if not 0.0 <= p <= 1.0:
        raise checks.value_error(op, f"p must be in [0, 1], got {p}")
    if convention not in ("inverted", "paper"):
        raise checks.value_error(op, f"convention must be 'inverted' or 'paper', got {convention!r}")
    if not training:
        return input * (1.0 - p) if convention == "paper" and p else input
    if not p:
        return input
    checks.kernel_dtype(op, input=input)
    stream = rng.stream("dropout")
    mask = input.backend.random.mask(drawn, round(p * 2.0**32), stream.key, stream.next_call())
    if drawn != input.shape:
        xp = input.device.xp
        mask = xp.ascontiguousarray(xp.broadcast_to(mask, input.shape))
    scale = 1.0 if convention == "paper" or p == 1.0 else 1.0 / (1.0 - p)
    return MaskedScale(mask, scale)(input)  # type: ignore[no-any-return]


def dropout(input: Tensor, p: float = 0.5, training: bool = True, *, convention: str = "inverted") -> Tensor:
    """Set each element to zero with probability p, independently.

    The expected output is the same in training and at test, by either convention.

    Parameters
    ----------
    input : floating Tensor
    p : float in [0, 1]
        Probability of zero.
    training : bool
        False: no randomness.
    convention : "inverted" or "paper"
        "inverted" (PyTorch's) divides what is kept by 1 - p in training and does nothing at test; "paper" leaves it
        in training and multiplies by 1 - p at test, the "average" network with scaled weights.

    Raises
    ------
    ValueError
        For p outside [0, 1] or another convention.

    Gradient
    --------
    gy where the element was kept (divided by 1 - p if inverted), 0 where it was dropped. Any order.

    Notes
    -----
    Element i is kept where word i of the call is at least p * 2**32: the same bits on every device. Each call takes the
    next call number of the stream "dropout"; recomputation replays the same one.

    References
    ----------
    Srivastava et al., *Dropout: a simple way to prevent neural networks from overfitting*, JMLR 2014; Krizhevsky,
    Sutskever, Hinton, 2012, section 4.2 ("paper", p = 0.5).

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.manual_seed(0)
    >>> sorted(set(mc.ops.dropout(mc.tensor([1.0] * 100), 0.75).tolist()))
    [0.0, 4.0]
    >>> mc.ops.dropout(mc.tensor([1.0]), 0.75, training=False, convention="paper").tolist()
    [0.25]
    """
    return _drop("dropout", input, input.shape, p, training, convention)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, *, convention: str = "inverted") -> Tensor:
    """Set whole channels to zero with probability p: neighbouring pixels are too alike to be dropped one by one.

    Parameters
    ----------
    input : floating Tensor (N, C, H, W) or (N, C, L)
    p, training, convention
        As in :func:`dropout`.

    Raises
    ------
    ValueError
        For another number of axes, or as :func:`dropout`.

    Gradient
    --------
    As :func:`dropout`, channel by channel. Any order.

    References
    ----------
    Tompson et al., *Efficient object localization using convolutional networks*, 2015.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.manual_seed(0)
    >>> y = mc.ops.dropout2d(mc.tensor([[[[1.0, 1.0]]] * 20]))
    >>> bool((y[..., 0] == y[..., 1]).all())
    True
    """
    if input.ndim not in (3, 4):
        raise checks.value_error("dropout2d", "expected input (N, C, H, W) or (N, C, L)", input=input)
    drawn = input.shape[:2] + (1,) * (input.ndim - 2)
    return _drop("dropout2d", input, drawn, p, training, convention)
