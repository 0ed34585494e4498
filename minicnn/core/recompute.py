"""Recomputation (gradient checkpointing): trade a second forward pass for the memory of saved values.

Inside a checkpointed segment nodes are recorded as usual, but what they keep is dropped. The first time backward
asks one of them, the segment runs again, in the same random state, and its nodes hand their values to the
original ones, place by place. The graph is that of the plain call, so closures, shared parameters and gradients
of any order work unchanged.
"""

import weakref
from collections.abc import Callable
from typing import Any

from minicnn.core import rng
from minicnn.core.function import Function
from minicnn.core.modes import as_given, enable_grad, state
from minicnn.core.tensor import Tensor


class _Segment:
    """The nodes of one checkpointed call, and how to run it again."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function, self.args = function, args
        self.seen = [(weakref.ref(a), a.storage.version) for a in args if isinstance(a, Tensor)]
        self.random = rng.get_state()
        self.autocast = state.autocast
        self.nodes: list[weakref.ref[Function]] = []

    def add(self, node: Function) -> None:
        """Drop what a freshly recorded node saved."""
        if node._keep_inputs or node._keep_outputs:
            self.seen += [(weakref.ref(x), version) for x, version, _ in node._saved_inputs or () if x.node is None]
            node.release()
            node.segment = self
            self.nodes.append(weakref.ref(node))

    def replay(self) -> None:
        """Run the segment again and give every living node its saved values back."""
        for reference, version in self.seen:
            value = reference()
            if value is not None and value.storage.version != version:
                raise RuntimeError(
                    f"checkpoint: an input or parameter of shape {value.shape} was changed in place between forward "
                    "and backward"
                )
        refill = _Refill(self.nodes)
        before = state.segment, state.recomputing
        state.segment, state.recomputing = refill, True
        try:
            with enable_grad(), rng.replayed(self.random), as_given(self.autocast):
                self.function(*self.args)
        finally:
            state.segment, state.recomputing = before
        if refill.position != len(self.nodes):
            raise RuntimeError("checkpoint: the function did not repeat the same operations when it was run again")
        for place in self.nodes:  # a segment is filled once; what backward then frees stays freed
            node = place()
            if node is not None:
                node.segment = None


class _Refill:
    """Receives the nodes of the second run in order, and copies their saved values to those of the first."""

    def __init__(self, originals: "list[weakref.ref[Function]]") -> None:
        self.originals, self.position = originals, 0

    def add(self, node: Function) -> None:
        if not (node._keep_inputs or node._keep_outputs):
            return
        if self.position >= len(self.originals):
            raise RuntimeError("checkpoint: the function did more operations when it was run again")
        original = self.originals[self.position]()
        self.position += 1
        if original is None:
            return
        if original.name != node.name or original.in_shapes != node.in_shapes:
            raise RuntimeError(f"checkpoint: {original.name} became {node.name} when the function was run again")
        values = [
            _with_history(value, original.edges[i])
            for i, (value, _, _) in zip(node._keep_inputs, node._saved_inputs or (), strict=True)
        ]
        original._saved_inputs = tuple([(value, value.storage.version, value.data) for value in values])
        original._saved_outputs = node._saved_outputs


def _with_history(value: Tensor, edge: Any) -> Tensor:
    """The recomputed value standing where the first run's tensor stood in the graph."""
    if edge is None:
        return value
    if isinstance(edge, Tensor):
        return edge
    out = value.detach()
    out.requires_grad, (out.node, out.index) = True, edge
    return out


def checkpoint(function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)`` without keeping its intermediate values; backward computes them again.

    Dropout draws the same masks again, and batch normalisation updates its running statistics once only.

    Parameters
    ----------
    function : callable
        Must repeat the same operations when it is called again with the same arguments.
    *args : Tensors and other arguments

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([0.5, 1.0], requires_grad=True)
    >>> y = mc.checkpoint(lambda v: (v * v).exp(), x)
    >>> y.sum().backward()
    >>> x.grad
    tensor([1.284 , 5.4366])
    """
    if not state.grad or state.recomputing or state.segment is not None:
        return function(*args)  # an outer segment already drops and recomputes
    state.segment = _Segment(function, args)
    try:
        return function(*args)
    finally:
        state.segment = None
