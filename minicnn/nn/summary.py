"""A table of a network: shapes, parameters, connections, multiply-accumulates, memory, receptive fields."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.core import checks
from minicnn.core.dtypes import find as find_dtype
from minicnn.core.dtypes import is_float
from minicnn.core.modes import enable_grad
from minicnn.core.tensor import Tensor, tensor
from minicnn.core.types import Shape
from minicnn.nn.local import MaskedConv2d
from minicnn.nn.module import Module
from minicnn.nn.work import Work, layer_work

__all__ = ["Row", "Summary", "count_parameters", "summary"]


@dataclass(frozen=True, slots=True)
class Row:
    """One layer at one call, for one sample.

    Attributes
    ----------
    name, type : str
        Dotted path in the network, and class.
    output_shape : tuple of int
        Without the batch axis.
    parameters : int
        Weights and biases, each counted where it is first used; absent links of a connection table are not
        counted, nor are running statistics and fixed codes.
    connections, macs : int
        Links (units × (inputs + bias)) and multiply-accumulates; normalisation, activations and pooling
        without weights count none.
    memory : int
        Bytes of the output.
    receptive_field : (int, int) or None
        Rows and columns of the network's input that one unit sees; None where that has no meaning.
    fixed : bool
        Whether the connections are not trained.
    """

    name: str
    type: str
    output_shape: Shape
    parameters: int
    connections: int
    macs: int
    memory: int
    receptive_field: tuple[int, int] | None
    fixed: bool = False


@dataclass(frozen=True)
class Summary:
    """Rows in the order in which the layers ran; index by layer name, print for a table."""

    name: str
    input_shape: Shape
    rows: tuple[Row, ...]

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    @property
    def parameters(self) -> int:
        """All weights and biases."""
        return sum(row.parameters for row in self.rows)

    @property
    def connections(self) -> int:
        """All links, those of fixed codes included."""
        return sum(row.connections for row in self.rows)

    @property
    def trainable_connections(self) -> int:
        """Links whose weights are trained."""
        return sum(row.connections for row in self.rows if not row.fixed)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one forward pass."""
        return sum(row.macs for row in self.rows)

    @property
    def memory(self) -> int:
        """Bytes of all layer outputs of one sample: about what training keeps for backward."""
        return sum(row.memory for row in self.rows)

    @property
    def output_shape(self) -> Shape:
        """Shape of the last layer's output, without the batch axis."""
        return self.rows[-1].output_shape

    @property
    def receptive_field(self) -> tuple[int, int] | None:
        """What a unit of the last layer sees of the input."""
        return self.rows[-1].receptive_field

    def __str__(self) -> str:
        header = ("layer", "type", "output", "parameters", "connections", "MACs", "memory", "field")
        body = [_cells(row) for row in self.rows]
        numbers = (self.parameters, self.connections, self.macs)
        total = ("total", "", "", *(f"{n:,}" for n in numbers), _bytes(self.memory), "")
        widths = [max(len(line[i]) for line in (header, *body, total)) for i in range(len(header))]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [_align(line, widths) for line in (header, *body, total)]
        return "\n".join(
            [f"{self.name}, input {_times(self.input_shape)}", lines[0], rule, *lines[1:-1], rule, lines[-1]]
        )

    __repr__ = __str__


def _align(cells: tuple[str, ...], widths: list[int]) -> str:
    left = 3  # names and shapes to the left, numbers to the right
    padded = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
    return "  ".join(padded).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    field = "" if row.receptive_field is None else _times(row.receptive_field)
    numbers = (f"{n:,}" for n in (row.parameters, row.connections, row.macs))
    return (row.name, row.type, _times(row.output_shape), *numbers, _bytes(row.memory), field)


def _times(shape: Shape) -> str:
    return "×".join(map(str, shape))


def _bytes(n: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} B"


def count_parameters(module: Module, trainable_only: bool = False) -> int:
    """Number of weights and biases; links that a connection table leaves out are not counted.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.nn.count_parameters(mc.nn.Conv2d(3, 6, 5))
    456
    """
    return _new_parameters(module, set(), trainable_only)


def _new_parameters(module: Module, seen: set[int], trainable_only: bool = False, recurse: bool = True) -> int:
    """Parameters below `module` that are not yet in `seen`, which grows by them."""
    count = 0
    for part in module.modules() if recurse else [module]:
        for parameter in part.parameters(recurse=False):
            if id(parameter) in seen or (trainable_only and not parameter.requires_grad):
                continue
            seen.add(id(parameter))
            count += parameter.numel()
            if isinstance(part, MaskedConv2d) and parameter is part.weight:
                count -= part.absent_weights
    return count


def summary(module: Module, input_shape: Shape | list[Shape], dtype: Any = None) -> Summary:
    """Run one sample of zeros through a network in evaluation mode and write down what every layer did.

    Layers are found by hooks, so what the network computes with bare functions between its layers has no row of
    its own; receptive fields follow the graph, and pass through such functions as through a pointwise one.

    Parameters
    ----------
    module : Module
        Left as it was: mode, statistics and gradients do not change.
    input_shape : tuple of int, or list of such
        Shape of one sample, without the batch axis; a list for a network of several inputs.
    dtype : dtype, optional
        Of the input; that of the first parameter by default.

    Returns
    -------
    Summary
        `rows`, totals, and a table when printed.

    Notes
    -----
    The receptive field grows by ``(extent - 1) · jump`` in every layer, where jump, the distance of neighbouring
    units in input pixels, multiplies by the stride; a unit of a fully connected layer sees what all units of the
    map before it see. It is not clipped to the image.

    Examples
    --------
    >>> import minicnn as mc
    >>> net = mc.nn.Sequential(mc.nn.Conv2d(1, 8, 3, bias=False), mc.nn.Conv2d(8, 8, 3, bias=False))
    >>> print(mc.nn.summary(net, (1, 16, 16)))
    Sequential, input 1×16×16
    layer  type    output   parameters  connections     MACs  memory  field
    -----------------------------------------------------------------------
    0      Conv2d  8×14×14          72       14,112   14,112  6.3 kB    3×3
    1      Conv2d  8×12×12         576       82,944   82,944  4.6 kB    5×5
    -----------------------------------------------------------------------
    total                          648       97,056   97,056  10.9 kB
    """
    shapes = list(input_shape) if isinstance(input_shape, list) else [input_shape]
    if not shapes or not all(isinstance(n, int) and n > 0 for shape in shapes for n in shape):
        raise checks.value_error("summary", f"input_shape must hold positive ints, got {input_shape!r}")
    first = next(module.parameters(), None)
    place = "cpu" if first is None else str(first.device)
    kind = find_dtype(dtype if dtype is not None else np.float32 if first is None else first.dtype)
    inputs = [tensor(np.zeros((1, *shape), dtype=kind), device=place) for shape in shapes]
    recorder = _Recorder(module)
    for x in inputs:
        if is_float(kind):
            x.requires_grad_()
        if len(x.shape) == 4:
            recorder.remember(x, _Field((1, 1), (1.0, 1.0), _map_of(x.shape)))
    with _evaluating(module), recorder.listening(), enable_grad():
        module(*inputs)
    return Summary(type(module).__name__, tuple(shapes[0]), tuple(recorder.rows))


@contextmanager
def _evaluating(module: Module) -> Iterator[None]:
    """Evaluation mode inside, every module's own mode after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@dataclass(frozen=True, slots=True)
class _Field:
    """Receptive field of a unit, distance between neighbours, and size of their map."""

    size: tuple[int, int]
    jump: tuple[float, float]
    map: tuple[int, int] | None


def _map_of(shape: Shape) -> tuple[int, int] | None:
    return (shape[2], shape[3]) if len(shape) == 4 else None


def _place(x: Tensor) -> tuple[Any, int]:
    """Where a value stands on the tape: its node and output number, or the leaf itself."""
    return (x, 0) if x.node is None else (x.node, x.index)


class _Recorder:
    """Writes a row whenever a layer has run."""

    def __init__(self, module: Module) -> None:
        self.rows: list[Row] = []
        self.fields: dict[tuple[int, int], _Field] = {}  # by id of node or leaf, and output number
        self.alive: list[Any] = []  # those nodes and leaves, so that no id is used twice
        self.seen: set[int] = set()
        self.layers = list(_layers("", module))

    def remember(self, x: Tensor, field: _Field) -> None:
        """The receptive field of this value is known."""
        origin, index = _place(x)
        self.alive.append(origin)
        self.fields[id(origin), index] = field

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hooks on all layers, removed on the way out."""
        with ExitStack() as stack:
            for name, layer, whole in self.layers:

                def note(module: Module, args: Any, output: Any, name: str = name, whole: bool = whole) -> None:
                    self.note(name, module, args, output, whole)

                stack.enter_context(layer.register_forward_hook(note))
            yield

    def note(self, name: str, layer: Module, args: Any, output: Any, whole: bool) -> None:
        """One row, and the receptive field of the output."""
        y = output[0] if isinstance(output, tuple | list) else output
        x = next((a for a in args if isinstance(a, Tensor)), None)
        if x is None or not isinstance(y, Tensor):
            return
        work = layer_work(layer, x.shape, y.shape)
        field = self._field_of(x)
        if field is not None:
            field = self._grown(field, work, y) if whole else self._field_of(y)
        if field is not None:
            self.remember(y, field)
        self.rows.append(
            Row(
                name,
                type(layer).__name__,
                tuple(y.shape[1:]),
                _new_parameters(layer, self.seen, recurse=whole),
                work.connections,
                work.macs,
                math.prod(y.shape[1:]) * y.dtype.itemsize,
                None if field is None else field.size,
                work.fixed,
            )
        )

    @staticmethod
    def _grown(field: _Field, work: Work, y: Tensor) -> _Field:
        reach, out_map = work.reach, _map_of(y.shape)
        if reach is None:
            return _Field(field.size, field.jump, field.map if out_map is None else out_map)
        extent = (field.map or (1, 1)) if reach.extent is None else reach.extent
        size = [round(s + (e - 1) * j) for s, e, j in zip(field.size, extent, field.jump, strict=True)]
        jump = [j * s for j, s in zip(field.jump, reach.step, strict=True)]
        return _Field((size[0], size[1]), (jump[0], jump[1]), (1, 1) if reach.extent is None else out_map)

    def _field_of(self, x: Tensor) -> _Field | None:
        """The widest field among the known values that `x` was computed from."""
        found: list[_Field] = []
        stack = [_place(x)]
        met: set[tuple[int, int]] = set()
        while stack:
            origin, index = stack.pop()
            key = (id(origin), index)
            if key in met:
                continue
            met.add(key)
            if key in self.fields:
                found.append(self.fields[key])
            elif not isinstance(origin, Tensor):
                edges = [e for e in origin.edges if e is not None]
                stack.extend((e, 0) if isinstance(e, Tensor) else e for e in edges)
        if not found:
            return None
        size = (max(f.size[0] for f in found), max(f.size[1] for f in found))
        jump = (max(f.jump[0] for f in found), max(f.jump[1] for f in found))
        maps = [f.map for f in found if f.map is not None]
        return _Field(size, jump, _map_of(x.shape) or (max(maps) if maps else None))


def _layers(path: str, module: Module) -> Iterator[tuple[str, Module, bool]]:
    """Layers that get a row, with their names, and whether the row stands for all that is below them."""
    children = list(module.named_children())
    known = layer_work.dispatch(type(module)) is not layer_work.dispatch(object)
    if known or not children:
        yield path or type(module).__name__, module, True
        return
    if next(module.parameters(recurse=False), None) is not None:
        yield path or type(module).__name__, module, False
    for name, child in children:
        yield from _layers(f"{path}.{name}" if path else name, child)
