"""The tape as text that other tools draw: Graphviz' DOT or Mermaid."""

from minicnn.core.function import Function
from minicnn.core.tensor import Tensor

_STYLES = ("dot", "mermaid")


def graph(output: Tensor, names: dict[str, Tensor] | None = None, style: str = "dot") -> str:
    """The graph that backward would walk from ``output``: operations, leaves, and the shapes between them.

    Parameters
    ----------
    output : Tensor with history
    names : dict of Tensors, optional
        What to call leaves, for instance ``dict(model.named_parameters())``.
    style : ``"dot"`` or ``"mermaid"``

    Returns
    -------
    str

    Examples
    --------
    >>> import minicnn as mc
    >>> x = mc.tensor([1.0, 2.0], requires_grad=True)
    >>> print(mc.explain.graph((x * x).sum(), {"x": x}, "mermaid"))
    graph TD
      n0["x (2,)"]
      n1(["mul"])
      n2(["sum"])
      n0 -->|"(2,)"| n1
      n0 -->|"(2,)"| n1
      n1 -->|"(2,)"| n2
    """
    if style not in _STYLES:
        raise ValueError(f"graph: style must be one of {_STYLES}, got {style!r}")
    if output.node is None:
        raise ValueError("graph: the output has no history: nothing it came from was recorded")
    labels = {id(t): name for name, t in (names or {}).items()}
    nodes: dict[int, Function] = {}
    stack = [output.node]
    while stack:
        node = stack.pop()
        if node.sequence not in nodes:
            nodes[node.sequence] = node
            stack.extend(e[0] for e in node.edges if isinstance(e, tuple))
    places: dict[int, str] = {}
    boxes, arrows = [], []

    def place(key: int, label: str, leaf: bool) -> str:
        if key not in places:
            places[key] = f"n{len(places)}"
            boxes.append(_box(places[key], label, leaf, style))
        return places[key]

    for sequence in sorted(nodes):
        node = nodes[sequence]
        sources = []
        for edge in node.edges:
            if isinstance(edge, Tensor):
                label = f"{labels.get(id(edge), 'leaf')} {tuple(edge.shape)}"
                sources.append((place(id(edge), label, True), tuple(edge.shape)))
            elif edge is not None:
                sources.append((place(id(edge[0]), edge[0].name, False), edge[0].out_shapes[edge[1]]))
        target = place(id(node), node.name, False)
        arrows += [_arrow(source, target, str(shape), style) for source, shape in sources]
    head, tail = ("graph TD", []) if style == "mermaid" else ("digraph {", ["}"])
    return "\n".join([head, *boxes, *arrows, *tail])


def _box(name: str, label: str, leaf: bool, style: str) -> str:
    if style == "mermaid":
        return f'  {name}["{label}"]' if leaf else f'  {name}(["{label}"])'
    return f'  {name} [label="{label}", shape={"box" if leaf else "ellipse"}];'


def _arrow(source: str, target: str, label: str, style: str) -> str:
    return f'  {source} -->|"{label}"| {target}' if style == "mermaid" else f'  {source} -> {target} [label="{label}"];'
