"""Reverse-mode differentiation over the tape: visit nodes from the newest to the oldest, add up what they send.

A node is always made after the nodes it reads from, so falling sequence numbers are a valid order, and a heap of
them visits each node once, after every use of its outputs. Nothing recurses.
"""

import heapq
import sys
from collections.abc import Sequence
from typing import Any

from minicnn.core import events
from minicnn.core.function import Function
from minicnn.core.modes import as_given, enable_grad, no_grad
from minicnn.core.tensor import Tensor

_ALIGNMENT = 64  # bytes that an array's memory may be longer than the array


class Accumulate(Function):
    """Sum of two gradients that reach the same value by different ways."""

    def forward(self, a: Any, b: Any) -> Any:
        return self.xp.add(a, b)

    def backward(self, gy: Tensor) -> tuple[Tensor, Tensor]:
        return gy, gy


class Copy(Function):
    """The same gradient in memory of its own."""

    def forward(self, g: Any) -> Any:
        return g.copy()

    def backward(self, gy: Tensor) -> Tensor:
        return gy


class OrderLimit(Function):
    """Stands where a gradient of finite order ends, and says so when it is differentiated."""

    def __init__(self, op: str) -> None:
        self.op = op

    def forward(self, *arrays: Any) -> Any:
        return arrays

    def backward(self, *gys: Any) -> Any:
        raise RuntimeError(
            f"{self.op}: its gradient is of order 1 and cannot be differentiated again; "
            "compose the operation from differentiable ones to get higher orders"
        )


def backward(
    output: Tensor, gradient: Tensor | None = None, retain_graph: bool | None = None, create_graph: bool = False
) -> None:
    """Accumulate gradients into the leaves; see :meth:`Tensor.backward`."""
    _run([output], [gradient], None, retain_graph, create_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: "Tensor | Sequence[Tensor | None] | None" = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """Gradients of ``sum(outputs . grad_outputs)`` with respect to ``inputs``; no ``.grad`` is touched.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensors
    inputs : Tensor or sequence of Tensors
        Leaves or intermediate values.
    grad_outputs : cotangents of the outputs, optional
        May be left out (or ``None``) where an output has one element.
    retain_graph, create_graph : bool
        As in :meth:`Tensor.backward`.
    allow_unused : bool
        Give ``None`` for an input that the outputs do not depend on, instead of raising.

    Returns
    -------
    tuple of Tensors (or ``None``), one for each input

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor(3.0, requires_grad=True)
    >>> (g,) = mc.grad(x * x * x, x, create_graph=True)
    >>> (h,) = mc.grad(g, x)
    >>> g.item(), h.item()
    (27.0, 18.0)
    """
    roots = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    targets = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    cotangents: list[Tensor | None]
    if grad_outputs is None or isinstance(grad_outputs, Tensor):
        cotangents = [grad_outputs] * len(roots)
    else:
        cotangents = list(grad_outputs)
    if len(cotangents) != len(roots):
        raise ValueError(f"grad: {len(roots)} outputs but {len(cotangents)} grad_outputs")
    for place, target in enumerate(targets):
        if not target.requires_grad:
            raise RuntimeError(f"grad: input {place} does not require grad")
    found = _run(roots, cotangents, targets, retain_graph, create_graph)
    for place, value in enumerate(found):
        if value is None and not allow_unused:
            raise RuntimeError(f"grad: input {place} was not used to compute the outputs; pass allow_unused=True")
    return tuple(found)


def _seed(output: Tensor, gradient: Tensor | None) -> Tensor:
    if not output.requires_grad:
        raise RuntimeError("backward: the output does not require grad: nothing it came from was recorded")
    if gradient is None:
        if output.data.size != 1:
            raise RuntimeError(
                f"backward: an output of shape {output.shape} needs a gradient of its shape; "
                "only one-element outputs have an implicit gradient of 1"
            )
        return Tensor(output.device.xp.ones_like(output.data), output.device)
    if gradient.shape != output.shape or gradient.dtype != output.dtype:
        raise ValueError(
            f"backward: gradient is {gradient.shape} {gradient.dtype}, output is {output.shape} {output.dtype}"
        )
    return gradient


class _Sums:
    """Gradients on their way, added up by place: a leaf, or an output of a node."""

    def __init__(self, create_graph: bool) -> None:
        self.create_graph = create_graph
        self.entries: dict[Any, list[Any]] = {}  # place -> [gradient, whether its array was made here]
        self.leaves: dict[int, Tensor] = {}
        self.queue: list[tuple[int, Function]] = []
        self.queued: set[Function] = set()

    def add(self, edge: Any, gradient: Tensor) -> None:
        """Send a gradient along an edge; only an array made here is added to in place."""
        place = _place(edge)
        entry = self.entries.get(place)
        if entry is None:
            self.entries[place] = [gradient, False]
            if isinstance(edge, Tensor):
                self.leaves[place] = edge
            elif edge[0] not in self.queued:
                self.queued.add(edge[0])
                heapq.heappush(self.queue, (-edge[0].sequence, edge[0]))
        elif entry[1] and not self.create_graph:
            gradient.device.xp.add(entry[0].data, gradient.data, out=entry[0].data)
        else:
            entry[:] = Accumulate()(entry[0], gradient), True

    def pop(self) -> tuple[Function, list[Tensor | None]]:
        """The newest node and the complete gradients of its outputs."""
        _, node = heapq.heappop(self.queue)
        return node, [self.entries.pop((node, i), [None])[0] for i in range(len(node.out_shapes))]


def _run(
    roots: list[Tensor],
    cotangents: "list[Tensor | None]",
    targets: list[Tensor] | None,
    retain_graph: bool | None,
    create_graph: bool,
) -> "list[Tensor | None]":
    retain = create_graph if retain_graph is None else retain_graph
    useful = None if targets is None else _leading_to(targets, roots)
    wanted = {} if targets is None else {_place(_edge(t)): None for t in targets}
    found: dict[Any, Tensor | None] = dict(wanted)
    with enable_grad() if create_graph else no_grad(), as_given():
        sums = _Sums(create_graph)
        for root, cotangent in zip(roots, cotangents, strict=True):
            seed = _seed(root, cotangent)
            sums.add(_edge(root), seed)
        while sums.queue:
            node, gys = sums.pop()
            for index, hooks in node.hooks.items():
                if gys[index] is not None:
                    gys[index] = _hooked(hooks, gys[index])
            for index, gy in enumerate(gys):
                if (node, index) in wanted:
                    found[node, index] = gy
            if useful is None or node in useful:
                _step(node, gys, sums, useful, wanted, create_graph)
                if not retain:
                    node.release()
        for place, leaf in sums.leaves.items():
            gradient, ours = sums.entries.pop(place)
            if leaf.hooks:
                gradient, ours = _hooked(leaf.hooks, gradient), False
            if targets is None:
                _deliver(leaf, gradient, ours, create_graph)
            elif place in wanted:
                found[place] = gradient
    return [] if targets is None else [found[_place(_edge(t))] for t in targets]


def _step(
    node: Function,
    gys: "list[Tensor | None]",
    sums: _Sums,
    useful: "set[Function] | None",
    wanted: dict[Any, None],
    create_graph: bool,
) -> None:
    """Run one node's backward, check what it gives, and pass it on."""
    edges, every = node.edges, node._needs
    if useful is not None:
        node._needs = tuple(e is not None and _useful(e, useful, wanted) for e in edges)
    if events.LISTENERS:
        events.emit("enter", node, gys)
    try:
        if node.order == 1 and create_graph:
            with no_grad():
                gxs = _limited(node, gys, _tuple(node.backward(*gys)))
        else:
            gxs = _tuple(node.backward(*gys))
        needs = node._needs
    finally:
        node._needs = every
    if len(gxs) != len(edges):
        raise RuntimeError(f"{node.name}: backward returned {len(gxs)} gradients for {len(edges)} inputs")
    if events.LISTENERS:
        events.emit("backward", node, gys, gxs)
    for place, (edge, gx, need) in enumerate(zip(edges, gxs, needs, strict=True)):
        if edge is None or gx is None or not need:
            continue
        dtype = edge.dtype if isinstance(edge, Tensor) else edge[0].out_dtypes[edge[1]]
        if gx.data.shape != node.in_shapes[place] or gx.data.dtype != dtype:
            raise RuntimeError(
                f"{node.name}: backward returned a gradient of shape {gx.shape}, {gx.dtype} for input {place} "
                f"of shape {node.in_shapes[place]}, {dtype}"
            )
        sums.add(edge, gx)


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else tuple(value) if isinstance(value, list) else (value,)


def _limited(node: Function, gys: "list[Tensor | None]", gxs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradients as outputs of an OrderLimit that stands behind all that the node saw."""
    given = [Tensor(g.data, g.device, requires_grad=True) for g in gxs if g is not None]
    if not given:
        return gxs
    limit = OrderLimit(node.name)
    with enable_grad():
        ends = iter(_tuple(limit(*given)))
    history = [(g.node, g.index) if g.node else g for g in gys if g is not None and g.requires_grad]
    limit.edges = (*node.edges, *history)
    return tuple(None if g is None else next(ends) for g in gxs)


def _hooked(hooks: list[Any], gradient: Any) -> Tensor:
    """The gradient as its hooks leave it; a replacement must fit."""
    for hook in list(hooks):
        replaced = hook(gradient)
        if replaced is None:
            continue
        if not isinstance(replaced, Tensor):
            raise TypeError(f"backward: a hook must return a Tensor or None, got {type(replaced).__name__}")
        if replaced.data.shape != gradient.data.shape or replaced.data.dtype != gradient.data.dtype:
            raise ValueError(
                f"backward: a hook returned {replaced.shape} {replaced.dtype} "
                f"for a gradient of {gradient.shape} {gradient.dtype}"
            )
        gradient = replaced
    return gradient  # type: ignore[no-any-return]


def _edge(t: Tensor) -> Any:
    return t if t.node is None else (t.node, t.index)


def _place(edge: Any) -> Any:
    """A key for what an edge leads to."""
    return id(edge) if isinstance(edge, Tensor) else edge


def _useful(edge: Any, useful: "set[Function]", wanted: dict[Any, None]) -> bool:
    return _place(edge) in wanted or (not isinstance(edge, Tensor) and edge[0] in useful)


def _leading_to(targets: list[Tensor], roots: list[Tensor]) -> "set[Function]":
    """Nodes between the roots and the targets: those whose backward must run."""
    wanted = {_place(_edge(t)): None for t in targets}
    nodes: dict[int, Function] = {}
    stack = [r.node for r in roots if r.node is not None]
    while stack:
        node = stack.pop()
        if node.sequence not in nodes:
            nodes[node.sequence] = node
            stack.extend(e[0] for e in node.edges if isinstance(e, tuple))
    useful: set[Function] = set()
    for sequence in sorted(nodes):  # oldest first: a node is useful if an input is wanted or comes from a useful one
        if any(e is not None and _useful(e, useful, wanted) for e in nodes[sequence].edges):
            useful.add(nodes[sequence])
    return useful


def _deliver(leaf: Tensor, gradient: Tensor, ours: bool, create_graph: bool) -> None:
    """Write a leaf's ``.grad``; it takes over an array that nobody else can hold, and copies any other."""
    if leaf.grad is not None:
        leaf.grad = Accumulate()(leaf.grad, gradient)
    elif create_graph:
        leaf.grad = gradient if ours else Copy()(gradient)
    else:
        alone = ours or _held_by_nobody_else(gradient)
        leaf.grad = Tensor(gradient.data if alone else gradient.data.copy(), gradient.device)
    if events.LISTENERS:
        events.emit("leaf", leaf, gradient)


def _held_by_nobody_else(gradient: Tensor) -> bool:
    """Whether only the frames of this file refer to the gradient and its array; unknown means no."""
    if sys.version_info >= (3, 14):  # it no longer counts references of frames
        return False
    base = gradient.data.base
    # a view of the whole of an array, but for a rest that aligns it: its base attribute, the name here, the argument
    if base is not None:
        if type(base) is not type(gradient.data) or 0 in gradient.data.strides:  # another owner; a broadcast view
            return False
        if not 0 <= base.nbytes - gradient.data.nbytes <= _ALIGNMENT or sys.getrefcount(base) > 3:
            return False
    # the array: the Tensor and getrefcount's argument; the Tensor: _run, _deliver, this frame, getrefcount's argument
    return sys.getrefcount(gradient.data) <= 2 and sys.getrefcount(gradient) <= 4
