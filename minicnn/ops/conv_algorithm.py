"""Naming the algorithm of a convolution: a block whose names each convolution captures when it is called."""

from contextvars import ContextVar, Token

from minicnn.backends.convolution import AUTO, PASSES, Algorithms

_AUTOMATIC = Algorithms()
_LAST: ContextVar[Algorithms | None] = ContextVar("last_conv_algorithms", default=None)
_CURRENT: ContextVar[Algorithms] = ContextVar("conv_algorithm", default=_AUTOMATIC)


class conv_algorithm:  # noqa: N801 - used like a function: ``with mc.conv_algorithm("naive"):``
    """Run the convolutions called inside the block by a named algorithm.

    Parameters
    ----------
    name : str, optional
        For all three passes: ``"naive"``, ``"im2col"``, ``"direct"``, ... or ``"auto"`` (written rules choose).
    forward, input_grad, weight_grad : str, optional
        For one pass. A pass without a name keeps that of the enclosing block, or ``"auto"``.

    Raises
    ------
    ValueError
        At the call of a convolution: for an unknown name, or an algorithm that cannot do a pass which that call
        will need. For no name at all, here.

    Notes
    -----
    A convolution captures the names when it is called. They hold for that call's forward pass and for its two
    gradients, also when backward runs after the block; second derivatives use the automatic choice. The passes are
    those of the call: the forward pass of ``conv_transpose2d`` is done by the algorithm's input gradient. What a call
    used stands in ``y.node.algorithms``, and without a graph in :meth:`conv_algorithm.last`.

    On finite numbers algorithms differ by rounding. A NaN or infinity goes further with some than with others:
    Winograd's forward pass turns an infinity into NaN and spreads it over the tiles that read it, the Fourier
    transform over the whole plane.

    Examples
    --------
    >>> import minicnn as mc
    >>> x, w = mc.ones(1, 1, 4, 4), mc.ones(1, 1, 3, 3, requires_grad=True)
    >>> with mc.conv_algorithm("im2col", weight_grad="naive"):
    ...     y = mc.ops.conv2d(x, w)
    >>> y.node.algorithms.forward, y.node.algorithms.weight_grad
    ('im2col', 'naive')
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        forward: str | None = None,
        input_grad: str | None = None,
        weight_grad: str | None = None,
    ) -> None:
        given = (forward, input_grad, weight_grad)
        if name is None and given == (None, None, None):
            raise ValueError(f"conv_algorithm: expected a name, or one for some of {', '.join(PASSES)}")
        self._given = tuple(one if one is not None else name for one in given)
        self._tokens: list[Token[Algorithms]] = []

    @staticmethod
    def last() -> Algorithms | None:
        """What ran in the last ``conv2d``, ``conv2d_relu`` or ``conv_transpose2d`` of this thread; None before it.

        A pass that this call will not need is ``"auto"``: no algorithm was sought for it.

        Examples
        --------
        >>> import minicnn as mc
        >>> with mc.no_grad():
        ...     y = mc.ops.conv2d(mc.ones(1, 1, 4, 4), mc.ones(1, 1, 3, 3))
        >>> mc.conv_algorithm.last().forward
        'direct'
        """
        return _LAST.get()

    def __enter__(self) -> None:
        outer = _CURRENT.get()
        first, by_x, by_w = (new if new is not None else old for new, old in zip(self._given, outer[:3], strict=True))
        self._tokens.append(_CURRENT.set(Algorithms(first, by_x, by_w, outer.max_error)))

    def __exit__(self, *exc: object) -> None:
        _CURRENT.reset(self._tokens.pop())


class conv_precision:  # noqa: N801 - used like a function: ``with mc.conv_precision(5e-6):``
    """Bound the rounding error that the automatic choice of a convolution's algorithm may trade for speed.

    Parameters
    ----------
    max_error : float, > 0
        Largest error, ``max |y - y64| / max |y64|``, of an algorithm that may be chosen. Algorithms state theirs for
        float32: 5e-6 excludes Winograd's F(4x4, 3x3), whose error is up to 2e-5. In float64 errors are 2^29 times
        smaller. Algorithms named by :class:`conv_algorithm` are taken as they are named.

    Raises
    ------
    ValueError
        If it is not positive; at the call of a convolution, if no rule has an algorithm that is as exact.

    Notes
    -----
    Captured at the call, like the names of :class:`conv_algorithm`; it holds for all gradients of that call.

    Examples
    --------
    >>> import minicnn as mc
    >>> x, w = mc.ones(1, 32, 56, 56), mc.ones(32, 32, 3, 3)
    >>> with mc.conv_precision(max_error=5e-6):
    ...     y = mc.ops.conv2d(x, w.requires_grad_())
    >>> y.node.algorithms.forward
    'winograd_f2'
    """

    def __init__(self, max_error: float) -> None:
        if not max_error > 0:
            raise ValueError(f"conv_precision: max_error must be positive, got {max_error}")
        self._bound = float(max_error)
        self._tokens: list[Token[Algorithms]] = []

    def __enter__(self) -> None:
        self._tokens.append(_CURRENT.set(_CURRENT.get()._replace(max_error=self._bound)))

    def __exit__(self, *exc: object) -> None:
        _CURRENT.reset(self._tokens.pop())


def ran(algorithms: Algorithms) -> None:
    """Note what a convolution ran by."""
    _LAST.set(algorithms)


def current() -> Algorithms:
    """The names that a convolution called now captures."""
    return _CURRENT.get()


__all__ = ["AUTO", "Algorithms", "conv_algorithm", "conv_precision", "current", "ran"]
