"""One stream of what the engine does; anomaly mode, profiler, memory ledger and tracer all listen to it.

Off, it costs one truth test of an empty list per operation.

=============  ==============================================  =====================================
kind           arguments                                        when
=============  ==============================================  =====================================
``forward``    node, inputs (Tensors), outputs (Tensors)        after a node's forward
``enter``      node, gys (Tensors or None)                      before a node's backward
``backward``   node, gys (Tensors or None), gxs (same)          after a node's backward
``leaf``       tensor, gradient                                 a leaf's ``.grad`` was written
``update``     parameter                                        an optimiser wrote a parameter
=============  ==============================================  =====================================
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Listener = Callable[..., None]
LISTENERS: list[Listener] = []


def emit(kind: str, *args: Any) -> None:
    """Tell every listener; callers test ``LISTENERS`` first."""
    for listener in tuple(LISTENERS):
        listener(kind, *args)


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Call ``listener(kind, *args)`` for every event inside the block.

    Examples
    --------
    >>> import minicnn as mc
    >>> from minicnn.core import events
    >>> seen = []
    >>> with events.listen(lambda kind, *args: seen.append(kind)):
    ...     x = mc.tensor([1.0, 2.0], requires_grad=True)
    ...     x.sum().backward()
    >>> seen
    ['forward', 'enter', 'forward', 'backward', 'leaf']
    """
    LISTENERS.append(listener)
    try:
        yield
    finally:
        LISTENERS.remove(listener)
